"""Texts of a systemd service and its drop-ins → the words of the command that it starts.

As systemd reads them (man systemd.syntax, systemd.exec, systemd.service), as far as a daemon's
options need it: no specifiers but %%, and nothing of the manager's own environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_SECTION = re.compile(r"\[([^\]]*)\]\s*")
_ASSIGNED = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=(.*)", re.ASCII)
_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_]\w*)\}", re.ASCII)
_WORD = re.compile(r"\$([A-Za-z_]\w*)", re.ASCII)
_PIECE = re.compile(
    r"""[ \t\r\n]+|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\[\s\S])*)\""""
    r"""|\\(?P<escaped>[\s\S])|(?P<plain>[^ \t\r\n'"\\]+)"""
)
"""What shlex reads a character at a time, in a time that grows with the square of a word."""
_ESCAPED = re.compile(r'\\(["\\])')
_PREFIX = re.compile(r"[-@:+!|]*")


@dataclass(frozen=True, slots=True)
class Service:
    """The lists of a [Service] section that make its command line."""

    exec_start: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    environment_files: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of the files with variables; one that is not there counts as empty."""
        return tuple(path.removeprefix("-") for path in self.environment_files)

    def words(self, read: Callable[[str], str]) -> tuple[str, ...]:
        """The words of the last command, its variables replaced; `read` has a file's text."""
        variables = dict(_assignments(self.environment))
        # Of one named twice the last counts.
        for path in reversed(dict.fromkeys(reversed(self.files))):
            variables |= read_environment(read(path))
        if not self.exec_start:
            return ()
        prefix = _PREFIX.match(self.exec_start[-1])
        assert prefix is not None
        words = split_words(self.exec_start[-1][prefix.end() :])
        if ":" in prefix[0]:
            return words
        return tuple(text for word in words for text in _replace(word, variables))


@dataclass(slots=True)
class _Lists:
    """The lists while they are read: an empty assignment resets one."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def take(self, key: str, value: str) -> None:
        if value:
            self.found.setdefault(key, []).append(value)
        else:
            self.found[key] = []


def read_service(texts: Iterable[str]) -> Service:
    """The unit file's text and those of its drop-ins, in the order in which systemd reads them."""
    lists = _Lists()
    for text in texts:
        for section, key, value in _settings(text):
            if section == "Service":
                lists.take(key, value)
    return Service(
        exec_start=tuple(lists.found.get("ExecStart", ())),
        environment=tuple(lists.found.get("Environment", ())),
        environment_files=tuple(lists.found.get("EnvironmentFile", ())),
    )


def _settings(text: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    for line in _lines(text, joint=" "):
        if match := _SECTION.fullmatch(line):
            section = match[1]
            continue
        key, equals, value = line.partition("=")
        if equals:
            yield section, key.strip(), value.strip()


def _lines(text: str, joint: str) -> Iterator[str]:
    """Logical lines: without comments, also between parts of a continued one, and joined."""
    parts: list[str] = []
    # Not splitlines(): it also splits at U+2028 and the like, which a value may hold.
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("#", ";")) or (not stripped and not parts):
            continue
        if stripped.endswith("\\"):
            parts.append(stripped[:-1])
            continue
        yield joint.join([*parts, stripped])
        parts = []
    if parts:
        yield joint.join(parts)


def split_words(text: str) -> tuple[str, ...]:
    """Words as systemd and the shell split them; at white space alone where quotes are open."""
    words: list[str] = []
    pieces: list[str] = []  # of the word that is being read
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            return tuple(text.split())
        at = piece.end()
        kind = piece.lastgroup
        if kind is None:
            words += ["".join(pieces)] if pieces else []
            pieces = []
        else:
            pieces.append(_ESCAPED.sub(r"\1", piece[kind]) if kind == "double" else piece[kind])
    return (*words, "".join(pieces)) if pieces else tuple(words)


def _assignments(values: Iterable[str]) -> Iterator[tuple[str, str]]:
    for value in values:
        for word in split_words(value):
            name, equals, content = word.partition("=")
            if equals:
                yield name, content.replace("%%", "%")


def read_environment(text: str) -> dict[str, str]:
    """A file of variables, as EnvironmentFile= takes it and distributions have in /etc/sysconfig.

    The value goes to the end of the line, with or without quotes around it.
    """
    matches = (_ASSIGNED.fullmatch(line) for line in _lines(text, joint=""))
    return {match[1]: " ".join(split_words(match[2])) for match in matches if match}


def _replace(word: str, variables: Mapping[str, str]) -> tuple[str, ...]:
    """`$NAME` as a word of its own becomes as many words as it has, `${NAME}` stays in its word."""
    word = word.replace("%%", "%")
    if match := _WORD.fullmatch(word):
        return split_words(variables.get(match[1], ""))
    return (_VARIABLE.sub(lambda m: variables.get(m[1], "") if m[1] else "$", word),)
