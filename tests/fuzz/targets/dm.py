"""The kernel's device-mapper: whole conversations, buffers, and the lines in them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.bare import HEAD, read_superblock
from dmguard.edge.dm import (
    Control,
    DmParseError,
    Tables,
    decode_deps,
    decode_list,
    decode_target,
    parse_status,
    parse_table,
)
from tests.edge import dmfake
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_block, mutated_text
from tests.unit.bares import make_head

if TYPE_CHECKING:
    from dmguard.core.model import Usage
    from tests.fuzz.dice import Dice

_GOLDEN = Path(__file__).parents[2] / "edge" / "golden"
_POOL = dmfake.Device("vg-pool-tpool", dmfake.POOL_UUID, deps=((8, 0), (8, 16)))
_BARE = dmfake.Device("docker-98:0-1-pool", devno=(253, 1), status="0 1/2 3/4 - rw no_x y - 1 ")
_DEVICES = [_POOL, _BARE, dmfake.Device("other", "LVM-x", (253, 2), kind="linear")]

_LISTS = (
    (_GOLDEN / "list-devices-4.47.bin").read_bytes(),
    bytes(dmfake.reply(dmfake.encode_list(_DEVICES))),
    bytes(dmfake.reply(dmfake.encode_list(_DEVICES, uuids=False))),
)
_TARGETS = tuple(
    bytes(dmfake.reply(dmfake.encode_target(_POOL, params), targets=1))
    for params in (_POOL.status, _POOL.table, "Fail", "")
)
_DEPS = (bytes(dmfake.reply(dmfake.encode_deps(_POOL.deps))), bytes(dmfake.reply(bytes(8))))
_STATUS = (
    "1 10/1024 5/100 - rw discard_passdown queue_if_no_space - 1024 ",
    "18446744073709551615 0/4294967296 0/0 123 out_of_data_space error_if_no_space needs_check",
    "Fail",
    "Error",
    "0 41/256 2/10 - ro no_discard_passdown queue_if_no_space needs_check 64",
)
_TABLE = ("253:1 253:0 128 25 1 skip_block_zeroing ", "/dev/a /dev/b 2048 0 0")


def check_buffer(data: bytes) -> None:
    """A buffer as the answer to each of the questions."""
    for decode in (lambda raw: list(decode_list(raw)), decode_deps, decode_target):
        try:
            decode(data)
        except DmParseError as error:
            assert str(error)


def check_answers(data: bytes) -> None:
    """The same buffer as the answer to all that is asked for a look."""
    kernel = dmfake.Kernel([_POOL, _BARE])
    asked = 0

    def ioctl(descriptor: int, request: int, buffer: bytearray) -> int:
        nonlocal asked
        asked += 1
        assert asked < 2000, "it asks for ever"
        answer = kernel.ioctl(descriptor, request, buffer)
        # The second byte says which of the questions are answered by the rest.
        if len(data) > 2 and data[0] >> (request & 7) & 1 == data[1] & 1:
            buffer[: len(data) - 2] = data[2:]
            del buffer[len(buffer) :]
        return answer

    for look in (
        lambda: Control(-1, ioctl).read_pools(),
        lambda: Control(-1, ioctl).read_bare(),
        lambda: Control(-1, ioctl).list_pools(),
        lambda: Tables(-1, ioctl).read_live(_POOL.name),
    ):
        asked = 0
        try:
            look()
        except DmParseError as error:
            assert str(error)


def _is_usage(usage: Usage | None) -> bool:
    return usage is None or (usage.used >= 0 and usage.total >= 0)


def check_status(data: bytes) -> None:
    line = data.decode(errors="replace")
    try:
        status = parse_status(line, 65536)
    except DmParseError:
        return
    words = line.split()
    if words in (["Fail"], ["Error"]):
        assert (status.data, status.metadata, status.transaction_id) == (None, None, None)
        return
    assert _is_usage(status.data)
    assert _is_usage(status.metadata)
    assert status.data is not None
    used, total = map(int, words[2].split("/"))
    assert (status.data.used, status.data.total) == (used * 65536, total * 65536)
    assert status.transaction_id == int(words[0])
    assert status.mode == words[4]
    if status.data.total:
        assert status.data.percent >= 0


def check_table(data: bytes) -> None:
    try:
        chunk, low_water = parse_table(data.decode(errors="replace"))
    except DmParseError:
        return
    assert chunk > 0
    assert low_water >= 0


def check_head(data: bytes) -> None:
    found = read_superblock(data)
    if found is not None:
        assert len(data) >= HEAD
        assert struct.unpack_from("<Q", data, 32) == (27022010,)
        assert found.size % max(1, found.chunk) == 0


_BLOCKS = mutated_block((*_LISTS, *_TARGETS, *_DEPS))


def _answered(dice: Dice) -> bytes:
    return bytes((dice.number(0, 255), dice.number(0, 1))) + _BLOCKS(dice)


TARGETS = (
    Target("dm-buffer", _BLOCKS, check_buffer),
    Target("dm-answers", _answered, check_answers),
    Target("dm-status", mutated_text(_STATUS, ["needs_check", "1/0", " - ", "rw"]), check_status),
    Target("dm-table", mutated_text(_TABLE, ["0", "1:2", "18446744073709551616"]), check_table),
    Target(
        "dm-head", mutated_block((make_head().ljust(HEAD, b"\0"), make_head()), most=3), check_head
    ),
)
