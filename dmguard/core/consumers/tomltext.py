"""The statements of a TOML text and where they stand, so that one can be changed and the rest kept.

The standard library reads each of them; only where they begin and end is found here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.consumers.edit import EditError, check_text
from dmguard.core.toml import TomlError, load_toml

if TYPE_CHECKING:
    from collections.abc import Mapping

_ENTRY = re.compile(
    r"""(?P<head>[ \t]*(?P<key>(?:[\w.\- \t]|"(?:[^"\\]|\\.)*"|'[^']*')+?)[ \t]*=[ \t]*)"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s"'\[{\#][^\s\#]*)"""
    r"""(?P<tail>[ \t]*(?:\#[^\n]*)?(?:\r?\n)?)"""
)
"""A key and a value on one line."""

_CLOSING = re.compile(r"""[\]}]|\"{3}|'{3}""")
"""In the last line of a value of several."""
_MOST = 1 << 20
"""Characters that are read again, because a value goes on in the next line."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A table's header, or a key and its value, with its whole path; blank lines have none."""

    start: int
    end: int
    path: Path = ()
    is_header: bool = False


def read(text: str) -> dict[str, Any]:
    """The document; EditError if it is none."""
    check_text(text)
    try:
        return load_toml(text)
    except TomlError as error:
        raise EditError(f"it is not TOML: {error}") from None


def read_statements(text: str) -> list[Statement]:
    """The statements of a text that is a document; EditError for one that is too long to tell."""
    found: list[Statement] = []
    table: Path | None = ()
    start = end = read = 0
    for line in text.split("\n"):
        end = min(end + len(line) + 1, len(text))
        if end - start > len(line) + 1 and not _CLOSING.search(line):
            continue
        read += end - start
        if read > len(text) + _MOST:
            raise EditError("it has a value of too many lines")
        document = _parse_lines(text[start:end])
        if document is None:
            continue
        statement = Statement(start, end)
        if text[start:end].lstrip().startswith("["):
            table = _table(document)
            statement = Statement(start, end, table or (), is_header=True)
        elif document and table is not None:
            statement = Statement(start, end, table + _path(document))
        found.append(statement)
        start = end
    return found


def _parse_lines(text: str) -> dict[str, Any] | None:
    """As _parse; most lines of most files are blank or a comment, and cost nothing."""
    stripped = text.strip(" \t\r\n")
    if not stripped or (stripped.startswith("#") and text.find("\n") in (-1, len(text) - 1)):
        return {} if text else None
    return _parse(text)


def _parse(text: str) -> dict[str, Any] | None:
    """None: it is not complete, and goes on in the next line."""
    try:
        return load_toml(text)
    except TomlError:
        return None


def _table(document: Any) -> Path | None:
    """The path of a header; None for one of a list of tables, in which nothing is looked for."""
    path: list[str] = []
    while document:
        if isinstance(document, list):
            return None
        [(key, document)] = document.items()
        path.append(key)
    return None if isinstance(document, list) else tuple(path)


def _path(document: Any) -> Path:
    """The path of a dotted key. A value that is a table in braces has no path of its own."""
    path: list[str] = []
    while isinstance(document, dict) and len(document) == 1:
        [(key, document)] = document.items()
        path.append(key)
    return tuple(path)


def set_values(text: str, table: Path, values: Mapping[str, str | bool]) -> str:
    """The text with these values in the table. Where they stand they are replaced, else added."""
    for key, value in values.items():
        text = _set_value(text, table, key, json.dumps(value, ensure_ascii=False))
    return text


def _set_value(text: str, table: Path, key: str, word: str) -> str:
    statements = read_statements(text)
    for statement in statements:
        if statement.path == (*table, key) and not statement.is_header:
            return _replace(text, statement, word)
    header = next((n for n, s in enumerate(statements) if s.is_header and s.path == table), None)
    if header is not None:
        return _insert(text, statements, header, f"{key} = {word}")
    sibling = next((s for s in reversed(statements) if s.path[:-1] == table), None)
    if sibling is not None and not sibling.is_header:
        match = _entry(text, sibling)
        prefix = match["key"].rstrip().removesuffix(sibling.path[-1])
        return _add_line(text, sibling.end, f"{_indent(match['head'])}{prefix}{key} = {word}")
    blank = "" if not text.strip() else _newline(text)
    text = _add_line(text, len(text), f"{blank}[{_header(table)}]")
    return _add_line(text, len(text), f"  {key} = {word}")


def _replace(text: str, statement: Statement, word: str) -> str:
    match = _entry(text, statement)
    start, end = (statement.start + place for place in match.span("value"))
    return text[:start] + word + text[end:]


def _insert(text: str, statements: list[Statement], header: int, line: str) -> str:
    """After the last key of the table, or after its header."""
    last = statements[header]
    for statement in statements[header + 1 :]:
        if statement.is_header:
            break
        if statement.path:
            last = statement
    indent = _indent(text[last.start : last.end])
    return _add_line(text, last.end, f"{indent}{'  ' if last.is_header else ''}{line}")


def _add_line(text: str, at: int, line: str) -> str:
    before = text[:at] if not at or text[:at].endswith("\n") else text[:at] + _newline(text)
    return f"{before}{line}{_newline(text)}{text[at:]}"


def _entry(text: str, statement: Statement) -> re.Match[str]:
    match = _ENTRY.fullmatch(text[statement.start : statement.end])
    if match is None:
        raise EditError(f"{statement.path[-1]}: its value is no text or flag on one line")
    return match


def _header(table: Path) -> str:
    return ".".join(key if re.fullmatch(r"[\w-]+", key) else json.dumps(key) for key in table)


def _indent(text: str) -> str:
    return text[: len(text) - len(text.lstrip(" \t"))]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
