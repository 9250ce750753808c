"""Inputs made from real ones: cut, repeated, spliced, with odd pieces and values put into them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.dice import Dice, Make

LONGEST = 64 << 10

ODD = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", "\u2028".encode(), "\x85".encode(), b"\x0b",
    b"\x0c", b"\r", b"\r\n", b"\n", b"\n\n", b" ", b"\t", b"\\", b"\\\n", b'"', b"'", b"'''",
    b'"""',
    b"\x1b[31m", "²".encode(), "٣".encode(), b"-", b"-1", b"0", b"1e999", b"9" * 30, b"9" * 5000,
    b"NaN", b"[", b"]", b"{", b"}", b"[" * 3000, b'{"a":' * 3000, b"=", b"#", b";", b",", b":",
    b".", b"..", b"/", b"//", b"%", b"%%", b"$", b"${", b"$(", b"*", b"**", b"[!", b"A" * 5000,
    b"\\040", b"\\000", b"\\777", b"\\u0000", b"\\ud800", b"null", b"true", b"a.b.c.d",
)  # fmt: skip

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1.5, 1e308, float("inf"), float("nan"), 1 << 63, 1 << 64,
    10**30, "", " ", "0", "-1", "-0", "1.5", "1e3", "1_000", " 1", "²", "٣", "9" * 30, "9" * 5000,
    "\0", "\ud800", "\x1b[31m", "a\nb", "\u2028", "x" * 5000, "/", "..", "-", "--", "[", "[]",
    [], {}, [None], [[]], {"": None}, [0] * 50, ["a", "a"],
)  # fmt: skip
"""For a place in a JSON document. A tree of thousands of levels is text and among the pieces."""


def mutated(seeds: Sequence[bytes], pieces: Sequence[bytes] = (), most: int = 5) -> Make:
    """One of the seeds, changed in a few places."""
    odd = (*pieces, *ODD)

    def make(dice: Dice) -> bytes:
        data = dice.one(seeds)
        for _ in range(dice.number(0, most)):
            data = dice.one(_EDITS)(dice, data, seeds, odd)[:LONGEST]
        return data

    return make


def _span(dice: Dice, data: bytes, most: int) -> tuple[int, int]:
    begin = dice.number(0, len(data))
    return begin, min(len(data), begin + dice.number(0, most))


def _insert(dice: Dice, data: bytes, _: Sequence[bytes], odd: Sequence[bytes]) -> bytes:
    at, _end = _span(dice, data, 0)
    return data[:at] + dice.one(odd) + data[at:]


def _replace(dice: Dice, data: bytes, _: Sequence[bytes], odd: Sequence[bytes]) -> bytes:
    begin, end = _span(dice, data, 12)
    return data[:begin] + dice.one(odd) + data[end:]


def _cut(dice: Dice, data: bytes, _: Sequence[bytes], __: Sequence[bytes]) -> bytes:
    begin, end = _span(dice, data, 64)
    return data[:begin] + data[end:]


def _truncate(dice: Dice, data: bytes, _: Sequence[bytes], __: Sequence[bytes]) -> bytes:
    return data[: dice.number(0, len(data))]


def _repeat(dice: Dice, data: bytes, _: Sequence[bytes], __: Sequence[bytes]) -> bytes:
    begin, end = _span(dice, data, 32)
    times = dice.one((2, 3, 100, LONGEST // max(1, end - begin)))
    return data[:begin] + data[begin:end] * times + data[end:]


def _line(dice: Dice, data: bytes, seeds: Sequence[bytes], _: Sequence[bytes]) -> bytes:
    """A line of one of the seeds between two of its own."""
    lines, others = data.split(b"\n"), dice.one(seeds).split(b"\n")
    lines.insert(dice.number(0, len(lines)), dice.one(others))
    return b"\n".join(lines)


def _splice(dice: Dice, data: bytes, seeds: Sequence[bytes], _: Sequence[bytes]) -> bytes:
    other = dice.one(seeds)
    return data[: dice.number(0, len(data))] + other[dice.number(0, len(other)) :]


def _flip(dice: Dice, data: bytes, _: Sequence[bytes], __: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = dice.number(0, len(data) - 1)
    return data[:at] + bytes((data[at] ^ 1 << dice.number(0, 7),)) + data[at + 1 :]


_EDITS: tuple[Any, ...] = (
    _insert, _insert, _replace, _replace, _cut, _truncate, _repeat, _line, _splice, _flip
)  # fmt: skip


def object_in(data: bytes) -> dict[str, Any] | None:
    """What mutated_json made a JSON object; None for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mutated_json(documents: Sequence[Any], values: Sequence[Any] = (), most: int = 4) -> Make:
    """One of the documents with other values in it, as text that may be torn, too."""
    every = (*values, *VALUES)

    def make(dice: Dice) -> bytes:
        root = [copy.deepcopy(dice.one(documents))]
        for _ in range(dice.number(0, most)):
            _alter(dice, root, every)
        data = json.dumps(root[0]).encode(errors="surrogatepass")
        return data if dice.number(0, 7) else mutated((data,), most=2)(dice)

    return make


def _alter(dice: Dice, root: list[Any], values: Sequence[Any]) -> None:
    """A value somewhere in it: another, gone, or there twice."""
    holder: Any = root
    key: Any = 0
    while isinstance(holder[key], dict | list) and holder[key] and dice.number(0, 5):
        holder = holder[key]
        key = dice.one(sorted(holder) if isinstance(holder, dict) else range(len(holder)))
    what = dice.number(0, 5)
    if what == 0 and isinstance(holder, dict):
        del holder[key]
    elif what == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = copy.deepcopy(dice.one(values))


_NUMBERS = (0, 1, 8, 312, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 64) - 1)


def mutated_block(seeds: Sequence[bytes], most: int = 5) -> Make:
    """Binary data with other numbers in it, or cut short."""

    def make(dice: Dice) -> bytes:
        data = bytearray(dice.one(seeds))
        for _ in range(dice.number(0, most)):
            size = dice.one((1, 2, 4, 8))
            if len(data) < size:
                break
            at = dice.number(0, len(data) - size)
            number = dice.one((*_NUMBERS, dice.number(0, (1 << 64) - 1)))
            data[at : at + size] = (number & ((1 << (8 * size)) - 1)).to_bytes(size, "little")
        if not dice.number(0, 5):
            del data[dice.number(0, len(data)) :]
        return bytes(data)

    return make


def texts(*seeds: str) -> tuple[bytes, ...]:
    return tuple(seed.encode(errors="surrogateescape") for seed in seeds)


def mutated_text(seeds: Sequence[str], pieces: Sequence[str] = ()) -> Make:
    return mutated(texts(*seeds), texts(*pieces))
