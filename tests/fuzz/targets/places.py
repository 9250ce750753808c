"""What the host's folders and devices have: Docker's own record, sysfs, the head of a disk."""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from dmguard.core.halfpv import LABEL_SPACE, unmade
from dmguard.edge import label
from dmguard.edge.datafolder import read_docker_data
from dmguard.edge.loopdev import Loops
from tests.edge.loopfake import GET_STATUS
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated, mutated_json, object_in
from tests.fuzz.targets.blocks import make_head

if TYPE_CHECKING:
    from dmguard.core.bare import Backing

_RECORD = b'{"open_transaction_id":7,"device_hash":"","device_id":9}'
_RECORDS = (_RECORD, b'{"open_transaction_id": 18446744073709551615}', b"{}", b"[]", b"7", b"")


def check_record(data: bytes) -> None:
    """Where it cannot be told what it says, nothing is said."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "g/devicemapper/metadata/transaction-metadata"
        file.parent.mkdir(parents=True)
        file.write_bytes(data)
        os.utime(file, (0, 0))
        found = read_docker_data(Path(folder), "/g")
        os.utime(file)
        fresh = read_docker_data(Path(folder), "/g")
    assert found is not None
    assert found.devices
    assert fresh is not None
    assert fresh.transaction is None
    if found.transaction is not None:
        assert type(found.transaction) is int
        assert found.transaction >= 0
        assert found.transaction == json.loads(data)["open_transaction_id"]


_SYSFS = {
    "size": "204800\n",
    "dev": "7:0\n",
    "backing_file": "FILE\n",
    "name": "loop0",
    "info": [0, 0, 0, 0, 0],
}
_TEXTS = (
    "FILE (deleted)\n", "\0\n", "FILE\0\n", "/\n", "//\n", "FILE/\n", "FILE/x\n", "\n", "7:\n",
    ":0\n", "7:0:0\n", "-7:0\n", "7:0", "-1\n", "1_0\n", "0x10\n", "loop", "sda", "sda!b",
    "/" + "a" * 300 + "\n", "/" + "a/" * 3000 + "\n", [1 << 63, (1 << 64) - 1, 0, 1, 512],
)  # fmt: skip


def check_loop(data: bytes) -> None:
    told = object_in(data)
    if told is None:
        return
    name = str(told.get("name", "loop0"))
    if not re.fullmatch(r"[a-z0-9!-]{1,99}", name):
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        root = Path(folder)
        (root / "file").write_bytes(bytes(4096))
        device = root / "sys/block" / name
        (device / "loop").mkdir(parents=True)
        (root / "sys/dev/block").mkdir(parents=True)
        (root / "sys/dev/block/7:0").symlink_to(device)
        (root / "dev").mkdir()
        (root / "dev" / name).touch()
        for place in ("size", "dev", "loop/backing_file"):
            text = told.get(place.rpartition("/")[2])
            if isinstance(text, str):
                text = text.replace("FILE", f"{root}/file")
                (device / place).write_bytes(text.encode(errors="surrogatepass"))
        loops = Loops(root / "sys", root / "dev", _answer(told.get("info"), root / "file"))
        backing = loops.read_backing((7, 0))
        _check_backing(backing, root / "file")
        for path in (str(root / "file"), str(root / "dev" / name), f"{root}/none"):
            found = loops.read_place(path)
            assert found is None or (type(found.size) is int and found.size >= 0)


def _answer(words: Any, file: Path) -> Any:
    """LOOP_GET_STATUS64: the file's inode where zeros stand, so that it may be the right one."""
    status = file.stat()
    numbers = [status.st_dev, status.st_ino, 0, 0, 0]
    for at, word in enumerate(words[:5] if isinstance(words, list) else ()):
        if type(word) is int and word:
            numbers[at] = word & ((1 << 64) - 1)

    def ioctl(_: int, request: int, buffer: Any) -> int:
        assert request == GET_STATUS, "nothing is changed by a look"
        struct.pack_into("=5Q", buffer, 0, *numbers)
        return 0

    return ioctl


def _check_backing(backing: Backing, file: Path) -> None:
    assert backing.size is None or (type(backing.size) is int and backing.size >= 0)
    found = backing.file
    if found is None:
        return
    assert Path(found.path).samefile(file)
    for number in (found.size, found.allocated, found.room, found.offset, found.limit):
        assert type(number) is int
        assert number >= 0


def check_label(data: bytes) -> None:
    """Of a disk of which no more than what LVM began may go."""
    size = LABEL_SPACE + 4096
    before = data[:LABEL_SPACE] + b"rest" * 1024
    expected = unmade(before[:LABEL_SPACE]) if len(before) == size else None
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        node = Path(folder) / "disk"
        node.write_bytes(before)
        with patch("dmguard.edge.label.stat.S_ISBLK", return_value=True):
            try:
                done = label.unmake(str(node), (0, 0), size)
            except label.OtherDiskError:
                assert len(before) != size
                done = False
        after = node.read_bytes()
    assert done == (expected is not None)
    assert after == (before if expected is None else expected + before[LABEL_SPACE:])


TARGETS = (
    Target(
        "docker-record", mutated(_RECORDS, (b'"open_transaction_id":', b"7e0", b"07")), check_record
    ),
    Target("loop-sysfs", mutated_json([_SYSFS], _TEXTS), check_loop),
    Target("label", make_head, check_label),
)
