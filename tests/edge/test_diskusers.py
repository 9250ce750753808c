"""edge/diskusers: whoever has a disk, or a partition of it, in use is seen."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Probe
from dmguard.edge import diskusers
from dmguard.edge.diskusers import Target, exclusive
from dmguard.edge.roots import text_of
from dmguard.edge.run import SEARCH_PATH
from tests.edge.diskfake import BLANK, LOOPS, Host, Looped, make_host, tool
from tests.edge.house import unshare_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

MOUNTS = (
    LOOPS
    and shutil.which("mkfs.ext4", path=SEARCH_PATH) is not None
    and subprocess.run(
        [*unshare_mounts(), "mount", "-t", "tmpfs", "none", "/mnt"], check=False
    ).returncode
    == 0
)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


class Guest:
    """A process that says a line when it is ready, and ends when it is told to."""

    def __init__(self, *argv: str) -> None:
        self.argv = argv

    def __enter__(self) -> Guest:
        self.child = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.child.pid
        return self

    def says(self) -> str:
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self.child.communicate("\n", timeout=10)


def test_a_claimed_device_is_in_use(host: Host) -> None:
    for looped in [Looped(host)] if LOOPS else []:
        with looped as real:
            claim = os.open(real.node, os.O_RDONLY | os.O_EXCL)
            held = real.look().users
            os.close(claim)
            assert held == ("held by another driver or mounted",)
            assert real.look() == BLANK  # and the look itself claims nothing for longer
    assert exclusive(host.node) == ()


@pytest.mark.parametrize("number", ["8:240", "8:241"])
def test_mounted_in_whatever_namespace(host: Host, number: str) -> None:
    part = host.roots.sys / "class" / "block" / "disk1"
    part.mkdir(parents=True)
    (part / "dev").write_text("8:241\n")
    (host.process(70, space="4026532000") / "mountinfo").write_text(
        f"50 1 {number} / /srv/my\\040data rw shared:1 master:2 - ext4 /dev/other rw\n"
    )
    disk = replace(host.disk, partitions=("disk1",))
    assert host.look(disk).users == ("mounted at /srv/my data",)


@pytest.mark.parametrize("source", ["/dev/disk", "/dev/disk/by-id/wwn-0x5000c500"])
def test_btrfs_is_known_by_its_source(host: Host, source: str) -> None:
    line = f"50 1 0:44 /sub /srv rw,relatime - btrfs {source} rw,subvol=/sub\n"
    (host.process(70, space="4026532000") / "mountinfo").write_text(line)
    assert host.look().users == ("mounted at /srv",)


def test_one_process_of_a_namespace_is_asked_unless_it_has_another_root(host: Host) -> None:
    mount = "50 1 8:240 / /srv rw - ext4 /dev/x rw\n"
    (host.process(70) / "mountinfo").write_text(mount)  # in the namespace of process 1
    assert host.look() == BLANK
    changed = host.process(71)
    (changed / "root").unlink()
    (changed / "root").symlink_to("/srv/jail")
    (changed / "mountinfo").write_text(mount)
    assert host.look().users == ("mounted at /srv",)


def test_a_process_that_ends_leaves_its_namespace_to_the_next(host: Host) -> None:
    (host.process(70, space="7") / "mountinfo").unlink()
    mountinfo = host.process(71, space="7") / "mountinfo"
    mountinfo.write_text("50 1 8:240 / /srv rw - ext4 /dev/x rw\n")
    (host.roots.proc / "72").mkdir()
    assert host.look().users == ("mounted at /srv",)


@pytest.mark.parametrize("kind", ["fake", *(("real",) if MOUNTS else ())])
def test_a_mount_in_a_namespace_of_its_own(host: Host, tmp_path: Path, kind: str) -> None:
    where = tmp_path / "mounted"
    where.mkdir()
    if kind == "fake":
        line = f"50 1 8:240 / {where} rw - ext4 /dev/x rw\n"
        (host.process(70, space="7") / "mountinfo").write_text(line)
        assert host.look().users == (f"mounted at {where}",)
        return
    tool("mkfs.ext4", "-q", "-E", "nodiscard", str(host.node))
    with Looped(host) as real:
        line = f"mount -o ro,noload {real.node} {where} && echo mounted && read end"
        with Guest(*unshare_mounts(), "sh", "-c", line) as guest:
            assert guest.says() == "mounted"
            assert real.look().users == ("held by another driver or mounted",)
            (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
            assert real.look().users == ("held by another driver or mounted", f"mounted at {where}")
        assert real.look().users == ()


def test_used_as_swap(host: Host) -> None:
    swaps = host.roots.proc / "swaps"
    swaps.write_text(swaps.read_text() + "/dev/gone\\040(deleted) partition 1 0 -2\n")
    assert host.look() == BLANK
    swaps.write_text(swaps.read_text() + "/dev/disk\tpartition\t100\t0\t-3\n")
    assert host.look().users == ("in use as swap",)


@pytest.mark.parametrize("name", ["node", "/dev/disk", "/dev/disk/by-id/wwn-0x5000c500"])
def test_opened_by_a_process(host: Host, name: str) -> None:
    host.opens(70, "qemu-system-x86", host.node if name == "node" else name)
    host.opens(71, "other", "/dev/disk2")
    assert host.look().users == ("opened by qemu-system-x86 (70)",)


def test_its_own_descriptors_do_not_count(host: Host) -> None:
    host.opens(os.getpid(), "python3", "/dev/disk")
    assert host.look() == BLANK


def test_a_real_process_that_has_it_open_is_seen(host: Host) -> None:
    command = (
        "sh",
        "-c",
        f"exec 7<{host.node}; echo open; read close; exec 7<&-; echo shut; read end",
    )
    with Guest(*command) as guest:
        assert guest.says() == "open"
        (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
        assert host.look().users == (f"opened by sh ({guest.pid})",)
        assert guest.child.stdin is not None
        guest.child.stdin.write("\n")
        guest.child.stdin.flush()
        assert guest.says() == "shut"
        assert host.look() == BLANK


def test_a_process_that_has_ended_but_is_not_reaped_is_passed_over(host: Host) -> None:
    with Guest("true") as guest:
        os.waitid(os.P_PID, guest.pid, os.WEXITED | os.WNOWAIT)
        (host.roots.proc / str(guest.pid)).symlink_to(f"/proc/{guest.pid}")
        # Its namespace and its root are gone, and its mountinfo answers EINVAL.
        with pytest.raises(OSError, match="Invalid argument"):
            Path(f"/proc/{guest.pid}/mountinfo").read_bytes()
        assert text_of(host.roots.proc / str(guest.pid) / "mountinfo") is None
        assert host.look() == BLANK


@pytest.mark.parametrize("place", ["loop"] if LOOPS else ["file"])
def test_a_node_of_another_name_is_known_by_its_number(host: Host, place: str) -> None:
    if place == "file":
        target = Target(frozenset(), frozenset({(1, 3)}), Path("/dev"))
        assert not target.means("/dev/null")  # the same number, but no block device
        return
    with Looped(host) as real:
        target = Target(frozenset(), frozenset({real.disk.devno}), Path("/dev"))
        assert target.means(str(real.node))
        assert not target.means("/dev/null")


@pytest.mark.parametrize("comm", ["(udev-worker)", "systemd-udevd"])
def test_udev_is_waited_for(host: Host, comm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    link = host.opens(70, comm, "/dev/disk")
    looks = 0
    holding = diskusers._holding

    def third_time_free(target: Target, processes: list[Path]) -> Iterator[tuple[str, str]]:
        nonlocal looks
        looks += 1
        if looks == 3:
            link.unlink()
        return holding(target, processes)

    monkeypatch.setattr(diskusers, "_holding", third_time_free)
    assert host.look() == BLANK
    assert looks == 3


def test_udev_that_does_not_end_is_a_user(host: Host) -> None:
    host.opens(70, "(udev-worker)", "/dev/disk")
    assert host.look().users == ("opened by (udev-worker) (70)",)


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("kernel/config/target/core/iblock_0/lun/udev_path", "exported by LIO"),
        ("kernel/config/nvmet/subsystems/nqn/namespaces/1/device_path", "exported by nvmet"),
        ("block/loop7/loop/backing_file", "behind a loop device"),
    ],
)
def test_used_within_the_kernel(host: Host, name: str, user: str) -> None:
    path = host.roots.sys / name
    path.parent.mkdir(parents=True)
    (path.parent.parent / "a file").touch()  # as configfs has beside the directories
    path.write_text("/dev/disk/by-id/wwn-0x5000c500\n")
    assert host.look().users == (user,)
    path.write_text("\n")
    assert host.look() == BLANK


def test_a_partition_that_has_gone(host: Host) -> None:
    seen = host.look(replace(host.disk, partitions=("disk1",)))
    assert seen == Probe(error="/dev/disk1 has gone")


@pytest.mark.parametrize("name", ["1/ns/mnt", "1/root", "1/mountinfo", "1/fd", "swaps"])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EIO])
def test_what_may_not_be_read_is_an_error(
    host: Host, name: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = host.roots.proc / name

    def refusing(method: str) -> None:
        known = getattr(Path, method)

        def call(path: Path, *rest: object) -> object:
            if path == refused:
                raise OSError(number, os.strerror(number), str(path))
            return known(path, *rest)

        monkeypatch.setattr(Path, method, call)

    for method in ("readlink", "read_bytes", "iterdir"):
        refusing(method)
    assert host.look() == Probe(error=f"/dev/disk: {refused}: {os.strerror(number)}")


def test_processes_that_are_hidden_are_an_error(host: Host) -> None:
    (host.roots.proc / "1").rename(host.roots.proc / "1000")
    assert host.look() == Probe(error=f"{host.roots.proc} does not show all processes")
