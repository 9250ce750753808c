"""What was obtained → the files of a bundle, with nothing in them that is nobody's business."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dmguard.core.bundle.names import Names
from dmguard.core.bundle.rules import RULES, hide_secrets, hide_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dmguard.core.bundle.parts import Part

MANIFEST = "MANIFEST"
_HEAD = """\
What dmguard {version} found on a host, for whoever is to help with it.

Secrets are replaced by <redacted-KIND>: {rules}.
Names of disks (serial numbers, WWNs), hosts, network addresses and targets are replaced by others,
as <disk-id-1>: the same one has the same name in the whole bundle. Names of volume groups, volumes,
paths and UUIDs are as they are. What was hidden is known by where it stands: look through the
bundle before it is handed on.
"""


@dataclass(frozen=True, slots=True)
class Obtained:
    """A part as it was read: what is there of it, and what went wrong."""

    part: Part
    text: str = ""
    error: str = ""
    dropped: int = 0
    """Characters that were too many."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the bundle."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """The files, the first of which says what the others are; and what was hidden in them."""

    members: tuple[Member, ...]
    failed: tuple[str, ...]
    hidden: Counter[str] = field(default_factory=Counter)


def pack(obtained: Sequence[Obtained], hosts: Iterable[str], version: str) -> Packed:
    """`hosts`: the names that the host is known by."""
    texts = [_without_secrets(one) for one in obtained]
    names = Names(hosts)
    names.learn(said for text, error, _ in texts for said in (text, error))
    members: list[Member] = []
    rows: list[str] = []
    hidden: Counter[str] = Counter()
    for one, (text, error, secrets) in zip(obtained, texts, strict=True):
        shown, of_text = names.hide(text)
        complaint, of_error = names.hide(error)
        counts = secrets + of_text + of_error
        hidden += counts
        files = _files(one.part.name, shown, complaint)
        members += files
        rows += _rows(one, files, complaint, counts)
    how, _ = names.hide("\n".join(rows))
    kinds = ", ".join(sorted({rule.name for rule in RULES}))
    head = _HEAD.format(version=version, rules=kinds)
    first = Member(MANIFEST, f"{head}\n{how}\n".encode())
    failed = tuple(one.part.name for one in obtained if one.error and not one.text)
    return Packed((first, *members), failed, hidden)


def _without_secrets(one: Obtained) -> tuple[str, str, Counter[str]]:
    counts: Counter[str] = Counter()
    text = one.text
    if one.part.variables:
        text, counts = hide_variables(text)
    text, more = hide_secrets(text)
    error, also = hide_secrets(one.error)
    return text, error, counts + more + also


def _files(name: str, text: str, error: str) -> list[Member]:
    files = [Member(name, text.encode(errors="replace"))] if text else []
    if error:
        files.append(Member(f"{name}.error", f"{error}\n".encode(errors="replace")))
    return files


def _rows(
    one: Obtained, files: Sequence[Member], error: str, counts: Counter[str]
) -> Iterator[str]:
    yield from (f"{file.name}  {len(file.data)} bytes" for file in files)
    if not files:
        yield f"{one.part.name}  empty"
    yield f"    by: {one.part.how}"
    if error:
        yield f"    error: {error.splitlines()[0]}"
    if one.dropped:
        end = "beginning" if one.part.keep_end else "end"
        yield f"    left out: {one.dropped} characters at its {end}"
    told = ", ".join(f"{kind} {number}" for kind, number in sorted(counts.items()))
    yield f"    hidden: {told or 'nothing'}"


def cut(text: str, limit: int, *, keep_end: bool) -> tuple[str, int]:
    """Whole lines, at most so many characters, and how many were left out.

    Never a part of a line: what says that a secret follows may be in the other part.
    """
    if len(text) <= limit:
        return text, 0
    if keep_end:
        begin = text.find("\n", len(text) - limit - 1) + 1
        kept = text[begin:] if begin else ""
    else:
        kept = text[: text.rfind("\n", 0, limit) + 1]
    return kept, len(text) - len(kept)
