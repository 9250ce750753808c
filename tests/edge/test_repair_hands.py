"""edge/copies and loop/repairhands: a copy is whole or not there, and nothing in use is removed."""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.core.steps.dm import CopyMetadata, DropThins, ProveRoom
from dmguard.edge.dm import Control
from dmguard.edge.run import SEARCH_PATH, Runner
from dmguard.loop.repairhands import repair_hands
from tests.edge.conftest import run, script
from tests.edge.dmfake import Device, Kernel

if TYPE_CHECKING:
    from pathlib import Path

    from dmguard.loop.walk import Done

MIB = 1 << 20
CONTENT = os.urandom(MIB) + bytes(3 * MIB) + os.urandom(MIB + 4096)
POOL = Device("vg-pool", "LVM-" + "V" * 64, (253, 3))


def thin(name: str, pool: str = "253:3", **more: Any) -> Device:
    return Device(name, devno=(253, 9), kind="thin", table=f"{pool} 1 ", **more)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "node"
    path.write_bytes(CONTENT)
    return path


def do(tmp_path: Path, *steps: Any, devices: tuple[Device, ...] = ()) -> list[Done]:
    """Each step by its hand, in order; dmsetup notes what it is asked for."""
    kernel = Kernel(list(devices))

    def open_control() -> Control:
        return Control(os.open(tmp_path, os.O_RDONLY), kernel.ioctl)

    with Runner(f"{tmp_path}/bin:{SEARCH_PATH}") as runner:
        hands = repair_hands(runner, open_control)

        async def main() -> list[Done]:
            return [await hands[type(step)](step, 0) for step in steps]

        return run(main())


def test_a_copy_has_what_the_device_has_and_its_sum_beside_it(tmp_path: Path, node: Path) -> None:
    copy = tmp_path / "metadata" / "vg-pool.img"
    room = ProveRoom(str(copy), len(CONTENT))
    assert all(done.ok for done in do(tmp_path, room, CopyMetadata(str(node), str(copy))))
    assert copy.read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (copy.parent / "vg-pool.img.sha256").read_text() == f"{digest}  vg-pool.img\n"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert copy.stat().st_blocks * 512 < len(CONTENT) - 2 * MIB, "zeros take no room"
    assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name, f"{copy.name}.sha256"]


def test_a_copy_that_is_there_is_the_one_of_before_and_stays(tmp_path: Path, node: Path) -> None:
    copy = tmp_path / "vg-pool.img"
    step = CopyMetadata(str(node), str(copy))
    assert do(tmp_path, step)[0].ok
    node.write_bytes(b"repaired" * 512)
    assert do(tmp_path, step)[0].ok
    assert copy.read_bytes() == CONTENT


def test_a_copy_that_a_power_cut_ended_is_taken_anew(tmp_path: Path, node: Path) -> None:
    copy = tmp_path / "vg-pool.img"
    (tmp_path / ".vg-pool.img.part").write_bytes(bytes(64 * MIB))
    (tmp_path / "vg-pool.img.sha256").write_text("of another\n")
    assert do(tmp_path, CopyMetadata(str(node), str(copy)))[0].ok
    assert copy.read_bytes() == CONTENT
    assert "of another" not in (tmp_path / "vg-pool.img.sha256").read_text()


def test_where_there_is_no_room_nothing_is_begun(tmp_path: Path) -> None:
    copy = tmp_path / "metadata" / "vg-pool.img"
    (done,) = do(tmp_path, ProveRoom(str(copy), 1 << 60))
    assert (done.ok, done.code) == (False, "metadata-not-copied")
    assert "are free" in done.complaint
    assert do(tmp_path, ProveRoom(str(copy), 4096))[0].ok


def test_what_cannot_be_read_or_written_whole_is_no_copy(
    tmp_path: Path, node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "vg-pool.img"
    (done,) = do(tmp_path, CopyMetadata(str(tmp_path / "nothing"), str(copy)))
    assert (done.ok, done.code) == (False, "metadata-not-copied")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        (done,) = do(tmp_path, CopyMetadata(str(node), str(copy)))
    assert (done.ok, "No space left" in done.complaint) == (False, True)
    assert [path.name for path in tmp_path.iterdir()] == [node.name]


def dmsetup(tmp_path: Path, status: int = 0) -> Path:
    said = tmp_path / "said"
    script(tmp_path / "bin", "dmsetup", f'echo "$@" >>{said}; exit {status}')
    return said


def test_what_consumers_left_in_the_pool_is_removed_and_nothing_else(tmp_path: Path) -> None:
    said = dmsetup(tmp_path)
    devices = (
        POOL,
        thin("left-1"),
        thin("another", pool="253:4"),
        Device("vg-data", "LVM-" + "D" * 64, (253, 8), kind="thin", table="253:3 7 "),
        Device("vault", "CRYPT-LUKS2", (253, 7), kind="crypt", table="253:3 0 "),
        thin("left-2"),
    )
    assert do(tmp_path, DropThins("vg-pool"), devices=devices)[0].ok
    assert said.read_text() == "remove left-1\nremove left-2\n"


def test_nothing_is_removed_while_anything_is_in_use(tmp_path: Path) -> None:
    said = dmsetup(tmp_path)
    devices = (POOL, thin("left"), thin("mounted", opened=1))
    (done,) = do(tmp_path, DropThins("vg-pool"), devices=devices)
    assert (done.ok, done.code) == (False, "pool-open")
    assert "mounted" in done.complaint
    assert "left" not in done.complaint
    assert not said.exists()


def test_a_pool_with_lvms_volumes_is_found_below_its_own_name(tmp_path: Path) -> None:
    said = dmsetup(tmp_path)
    below = Device("vg-pool-tpool", "LVM-" + "V" * 64 + "-tpool", (253, 5))
    assert do(tmp_path, DropThins("vg-pool"), devices=(POOL, below, thin("left", "253:5")))[0].ok
    assert said.read_text() == "remove left\n"


def test_what_does_not_go_is_in_use(tmp_path: Path) -> None:
    dmsetup(tmp_path, 1)
    (done,) = do(tmp_path, DropThins("vg-pool"), devices=(POOL, thin("left")))
    assert (done.ok, done.code) == (False, "pool-open")
    assert do(tmp_path, DropThins("vg-other"), devices=(POOL, thin("left")))[0].ok
