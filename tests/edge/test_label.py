"""The label of a half-made PV on a real block device: blanked, and nothing else touched."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dmguard.edge import label
from tests.unit.pvhead import COMMITTED, HEADER, LABEL, PREPARED, TEXT, head

SIZE = 8 << 20
HALF = head((512, LABEL), (4096, PREPARED), (4608, TEXT))
REST = b"rest" * ((SIZE - len(HALF)) // 4)


@dataclass
class Device:
    """A loop device on a file."""

    file: Path
    node: str

    @property
    def devno(self) -> tuple[int, int]:
        number = Path(self.node).stat().st_rdev
        return os.major(number), os.minor(number)

    def fill(self, begin: bytes) -> None:
        with Path(self.node).open("r+b") as disk:
            disk.write(begin + REST)
            disk.flush()
            os.fsync(disk.fileno())

    def unmake(self, *, size: int = SIZE) -> bool:
        return label.unmake(self.node, self.devno, size)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    file = tmp_path / "disk"
    with file.open("wb") as new:
        new.truncate(SIZE)
    argv = ["losetup", "--find", "--show", str(file)]
    made = subprocess.run(argv, check=False, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no loop devices here: {made.stderr}")
    node = made.stdout.strip()
    yield Device(file, node)
    subprocess.run(["losetup", "--detach", node], check=True)


def test_a_half_is_blanked_and_the_rest_of_the_disk_is_as_it_was(device: Device) -> None:
    device.fill(HALF)
    assert device.unmake()
    assert device.file.read_bytes() == bytes(len(HALF)) + REST
    assert not device.unmake(), "there is none any more"


@pytest.mark.parametrize(
    "begin",
    [head((512, LABEL), (4096, COMMITTED), (4608, TEXT)), b"text" * (len(HALF) // 4)],
    ids=["committed", "text"],
)
def test_what_is_no_half_is_left(
    device: Device, begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not even opened for writing, which udev takes for an event of the disk."""
    flags: list[int] = []
    real = os.open

    def opened(path: str, how: int) -> int:
        flags.append(how & os.O_ACCMODE)
        return real(path, how)

    device.fill(begin)
    monkeypatch.setattr("os.open", opened)
    assert not device.unmake()
    monkeypatch.undo()
    assert flags == [os.O_RDONLY]
    assert device.file.read_bytes() == begin + REST


def test_another_disk_or_one_that_is_taken_is_left(device: Device) -> None:
    device.fill(HALF)
    with pytest.raises(label.OtherDiskError):
        device.unmake(size=SIZE * 2)
    with pytest.raises(label.OtherDiskError):
        label.unmake(device.node, (7, 9999), SIZE)
    with pytest.raises(label.OtherDiskError):
        label.unmake(str(device.file), (7, 9999), SIZE)
    holder = os.open(device.node, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(OSError, match="busy"):
            device.unmake()
    finally:
        os.close(holder)
    assert device.file.read_bytes() == HALF + REST
    assert device.unmake()


@pytest.mark.parametrize("written", [0, 1, 2])
def test_wherever_it_is_cut_off_it_goes_on(
    device: Device, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write is on the disk before the next is begun."""
    device.fill(HALF)
    done: list[int] = []
    real = os.pwrite

    def cut(descriptor: int, data: bytes, offset: int) -> int:
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(offset)
        return real(descriptor, data, offset)

    monkeypatch.setattr("os.pwrite", cut)
    if written < 2:
        with pytest.raises(KeyboardInterrupt):
            device.unmake()
    else:
        assert device.unmake()
    assert done == [4096, 0][:written], "the label goes last"
    monkeypatch.undo()
    assert device.unmake() is (written < 2)
    assert device.file.read_bytes() == bytes(len(HALF)) + REST


def test_a_header_without_a_label_is_a_half(device: Device) -> None:
    device.fill(head((4096, HEADER)))
    assert device.unmake()
    assert device.file.read_bytes() == bytes(len(HALF)) + REST
