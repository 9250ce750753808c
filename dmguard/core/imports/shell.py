"""Assignments in a file that a shell would read, as far as they can be read without one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.imports.imported import ForeignError

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""(?P<joint>\\\r?\n)|(?P<gap>[ \t\r]+)|(?P<end>[\n;]+)"""
    r"""|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\[\s\S])*)"|\\(?P<escaped>.)"""
    r"""|(?P<plain>[^ \t\r\n'"\\;&|<>()]+)|(?P<open>['"\\&|<>()])"""
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=", re.ASCII)
_ESCAPED = re.compile(r"\\[\s\S]")
_EXPANSION = re.compile(r"[$`]")
_HOME = re.compile(r"(?:^\w+=|:)~", re.ASCII)


@dataclass(slots=True)
class Word:
    """A word while it is read. `is_plain` is false once the shell would compute something in it."""

    text: str = ""
    source: str = ""
    is_plain: bool = True


def read_assignments(text: str) -> dict[str, str]:
    """The values at the end of the file; ForeignError if it has anything but plain assignments."""
    values: dict[str, str] = {}
    for words in _commands(text):
        for word in words[1:] if words[0].source == "export" else words:
            if not word.is_plain or not _ASSIGNMENT.match(word.source):
                line = " ".join(each.source for each in words)
                raise ForeignError(f"{line}: only plain assignments are read, and this is none")
            name, _, value = word.text.partition("=")
            values[name] = value
    return values


def _commands(text: str) -> Iterator[list[Word]]:
    words: list[Word] = []
    for word in _words(text):
        if word is not None:
            words.append(word)
        elif words:
            yield words
            words = []
    if words:
        yield words


def _words(text: str) -> Iterator[Word | None]:
    """The words; None at the end of a command."""
    word: Word | None = None
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        kind = match.lastgroup
        if kind == "plain" and word is None and match[0].startswith("#"):
            at = _end_of_line(text, match.start())
        elif kind in ("gap", "end"):
            if word is not None:
                yield word
            if kind == "end":
                yield None
            word = None
        elif kind != "joint":
            word = word or Word()
            _add(word, match)
    if word is not None:
        yield word


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _add(word: Word, match: re.Match[str]) -> None:
    """One piece: quoted, escaped or plain. Not understood is a quote that is not closed, and what
    joins commands or leads to files.
    """
    kind = match.lastgroup
    assert kind is not None
    content = match[kind]
    if kind == "open" or (kind in ("double", "plain") and _is_computed(word, kind, content)):
        word.is_plain = False
    if kind == "double":
        content = re.sub(r'\\([$`"\\])|\\\n', lambda m: m[1] or "", content)
    word.text += content
    word.source += match[0]


def _is_computed(word: Word, kind: str, content: str) -> bool:
    """Does the shell put something else in its place?"""
    if kind == "plain" and "~" in content and _HOME.search(word.source + content):
        return True
    return _EXPANSION.search(_ESCAPED.sub("", content)) is not None
