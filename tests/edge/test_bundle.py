"""`recover --bundle` with real processes and files: what does not answer costs its part alone."""

from __future__ import annotations

import errno
import os
import resource
import stat
import tarfile
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from dmguard.app.cli import main
from dmguard.core.bundle.parts import parts_of
from dmguard.edge.config import load_settings
from dmguard.edge.evidence import obtain, read_hostnames
from dmguard.edge.files import write_new
from dmguard.edge.run import SEARCH_PATH, Runner
from tests.edge.conftest import run, script
from tests.edge.lvmfake import full_report

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.core.bundle.pack import Obtained
    from dmguard.core.bundle.parts import Part

Capture = pytest.CaptureFixture[str]
UNITS = ("docker.service", "containerd.service", "isulad.service")


def parts(*names: str, seconds: float | None = None) -> list[Part]:
    found = [part for part in parts_of(UNITS, ()) if part.name in names]
    assert len(found) == len(names)
    return [replace(part, timeout_s=seconds) if seconds else part for part in found]


def ask(tmp_path: Path, wanted: list[Part]) -> dict[str, Obtained]:
    with Runner(str(tmp_path / "bin")) as runner:
        found = run(obtain(wanted, runner, tmp_path))
    return {one.part.name: one for one in found}


def put(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_program_that_hangs_or_is_missing_costs_its_own_part(tmp_path: Path) -> None:
    script(tmp_path / "bin", "lvm", "exec /bin/sleep 60")
    script(tmp_path / "bin", "lsblk", 'echo "{}"')
    script(tmp_path / "bin", "dmsetup", "echo half; echo oops >&2; exit 3")
    put(tmp_path, "proc/mounts", "/dev/sda1 / ext4 rw 0 0\n")
    wanted = parts("lvm/fullreport.json", "lvm/config-differences.txt", seconds=0.2)
    wanted += parts("disks/lsblk.json", "dm/table.txt", "host/mounts.txt", "disks/blkid.txt")
    found = ask(tmp_path, wanted)
    for name in ("lvm/fullreport.json", "lvm/config-differences.txt"):
        assert found[name].text == ""
        assert found[name].error.endswith(": no answer within 0.2 s")
    assert found["disks/blkid.txt"].error.startswith("blkid: not found")
    assert (found["disks/lsblk.json"].text, found["disks/lsblk.json"].error) == ("{}\n", "")
    table = found["dm/table.txt"]
    assert (table.text, table.error) == ("half\n", "oops\n(ended with status 3)")
    assert found["host/mounts.txt"].text == "==> /proc/mounts <==\n/dev/sda1 / ext4 rw 0 0\n\n"


def test_lvm_is_asked_as_the_agent_does(tmp_path: Path) -> None:
    put(tmp_path, "answer", full_report())
    script(
        tmp_path / "bin", "lvm", f'echo "$LVM_REPORT_FD $@" >&2; exec /bin/cat {tmp_path}/answer'
    )
    report = ask(tmp_path, parts("lvm/fullreport.json"))["lvm/fullreport.json"]
    assert report.text == full_report()
    assert report.error.startswith("1 fullreport --all --reportformat json")
    assert "seg_monitor" not in report.error


def test_files_are_read_with_their_names_and_folders_are_listed(tmp_path: Path) -> None:
    put(tmp_path, "etc/lvm/backup/docker", "docker {}\n")
    put(tmp_path, "etc/lvm/backup/vg", "vg {}\n")
    put(tmp_path, "etc/lvm/archive/vg_00001-1.vg", "12345")
    put(tmp_path, "var/lib/dmguard/history.jsonl", "a\n" * (3 << 20))
    (tmp_path / "etc/default/docker").mkdir(parents=True)
    wanted = parts("lvm/backup.txt", "lvm/archive.txt", "dmguard/history.txt", "dmguard/state.txt")
    found = ask(tmp_path, [*wanted, *parts("consumers/variables.txt")])
    assert found["lvm/backup.txt"].text == (
        "==> /etc/lvm/backup/docker <==\ndocker {}\n\n\n==> /etc/lvm/backup/vg <==\nvg {}\n\n"
    )
    assert found["lvm/archive.txt"].text.endswith(" vg_00001-1.vg\n")
    assert found["dmguard/state.txt"].error == "there is no such file"
    assert "(no file)" in found["consumers/variables.txt"].text
    history = found["dmguard/history.txt"]
    assert len(history.text) <= history.part.limit
    assert history.dropped > 0


def test_programs_are_given_the_devices_that_there_are(tmp_path: Path) -> None:
    for name in ("sda", "dm-0"):
        (tmp_path / "sys/class/block" / name).mkdir(parents=True)
    script(tmp_path / "bin", "udevadm", 'echo "$@"')
    said = ask(tmp_path, parts("disks/udev.txt"))["disks/udev.txt"].text
    assert said == "info --query=all /sys/class/block/dm-0 /sys/class/block/sda\n"


def test_a_host_is_known_by_all_its_names(tmp_path: Path) -> None:
    put(tmp_path, "proc/sys/kernel/hostname", "web7\n")
    put(tmp_path, "etc/hosts", "127.0.0.1 localhost # x\n10.1.2.3 web7.corp.lan db9\n::1 ip6-me\n")
    assert set(read_hostnames(tmp_path)) == {"web7", "localhost", "web7.corp.lan", "db9"}


def test_a_new_file_is_for_its_owner_alone_and_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new"
    write_new(path, b"one")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"one", 0o600)
    with pytest.raises(FileExistsError):
        write_new(path, b"two")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "link", b"two")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "new"]
    assert path.read_bytes() == b"one"


def test_a_new_file_that_is_cut_off_is_not_there(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_new(tmp_path / "new", bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_without_hard_links_is_whole_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_new(tmp_path / "new", b"one")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "new", b"two")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"one"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose LVM answers, and nothing else does; with settings of its own."""
    for name in ("lvm", "dmsetup", "systemctl", "journalctl", "udevadm", "lsblk", "blkid", "ps"):
        script(tmp_path / "bin", name, 'echo "password=hunter2hunter2"')
    search = f"{tmp_path}/bin:{SEARCH_PATH}"
    monkeypatch.setattr("dmguard.app.wiring.Runner", partial(Runner, search))
    monkeypatch.setattr("dmguard.app.guard.bundle.Runner", partial(Runner, search))
    monkeypatch.setattr(
        "dmguard.app.guard.bundle.load_settings", partial(load_settings, tmp_path / "etc")
    )
    return tmp_path


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_the_bundle_has_every_part_or_its_error(host: Path, capsys: Capture, suffix: str) -> None:
    path = host / f"out{suffix}"
    assert main(["recover", "--bundle", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{path}: ")
    assert f"tar -xOf {path} dmguard-bundle/MANIFEST" in said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with tarfile.open(path) as tar:
        texts = {
            member.name.removeprefix("dmguard-bundle/"): tar.extractfile(member).read().decode()  # type: ignore[union-attr] # they are all files
            for member in tar
        }
        assert {member.mode for member in tar} == {0o600}
    manifest = texts["MANIFEST"]
    for part in parts_of(UNITS, ()):
        assert part.name in manifest
        assert {part.name, f"{part.name}.error"} & texts.keys() or f"{part.name}  empty" in manifest
    assert "hunter2" not in "".join(texts.values())
    assert texts["dm/table.txt"] == "password=<redacted-key>\n"
    # LVM told no report: that is said in the plan's place, and is no end of the others.
    assert "lvm fullreport" in texts["dmguard/recover.json.error"]


def test_a_bad_configuration_is_told_in_the_bundle(host: Path) -> None:
    put(host, "etc/dmguard.toml", "[guard]\nnonsense = 1\n")
    assert main(["recover", "--bundle", str(host / "out.tar")]) == 0
    with tarfile.open(host / "out.tar") as tar:
        member = tar.extractfile("dmguard-bundle/dmguard/config.toml.error")
        assert member is not None
        assert b"nonsense" in member.read()


def test_nothing_is_written_over_and_nothing_half(
    host: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host / "out.tar.gz"
    path.write_text("mine")
    assert main(["recover", "--bundle", str(path)]) == 1
    assert f"is there already, and left as it is: '{path}'" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert main(["recover", "--bundle", str(host / "no/out.tar")]) == 1
    assert "Not a directory" in capsys.readouterr().err

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    before = sorted(host.iterdir())
    assert main(["recover", "--bundle", str(host / "full.tar")]) == 1
    assert "No space left on device: nothing is left of" in capsys.readouterr().err
    assert sorted(host.iterdir()) == before


@pytest.mark.parametrize("words", [["--bundle", "x.zip"], ["--bundle", "x.tar", "--json"]])
def test_what_cannot_be_packed_or_told_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["recover", *words])
    assert caught.value.code == 2
