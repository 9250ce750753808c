"""The table of stable codes, and what the source uses of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dmguard
from dmguard.core.codes import CODES
from dmguard.core.findings import find_all

SOURCE = Path(dmguard.__file__).parent
CODE = re.compile(r"[a-z]+(-[a-z]+)*")
TAKERS = {"Finding": 0, "Refusal": 1, "_refuse": 1, "refuse": 1, "Outcome": 1, "_tell": 0}
"""Who takes a code, and as which of its arguments."""


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Every text that stands where a code has to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            at = TAKERS.get(name)
            if at is not None and len(node.args) > at:
                yield from texts(node.args[at])
            for keyword in node.keywords:
                if keyword.arg in ("code", "reason"):
                    yield from texts(keyword.value)
        elif isinstance(node, ast.arg | ast.Assign | ast.FunctionDef):
            yield from named(node)


def named(node: ast.arg | ast.Assign | ast.FunctionDef) -> Iterator[str]:
    """Codes in assignments to a name `code`, and in defaults of a parameter `reason`."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if getattr(target, "id", "") == "code":
                yield from texts(node.value)
    elif isinstance(node, ast.FunctionDef):
        with_default = node.args.args[len(node.args.args) - len(node.args.defaults) :]
        for argument, default in zip(with_default, node.args.defaults, strict=True):
            if argument.arg == "reason":
                yield from texts(default)


def texts(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be: not those that it compares with."""
    if isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts(value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def used() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in SOURCE.rglob("*.py"):
        if path.parent.name != "codes":
            found |= dict.fromkeys(codes_in(ast.parse(path.read_text())), path.name)
    return found


def test_every_code_that_the_source_uses_is_in_the_table() -> None:
    found = used()
    assert len(found) > 15, "the scan finds too few: it looks in the wrong places"
    assert {code: path for code, path in found.items() if code not in CODES} == {}


def test_every_code_of_the_table_stands_somewhere_in_the_source() -> None:
    text = "\n".join(p.read_text() for p in SOURCE.rglob("*.py") if p.parent.name != "codes")
    made = {"data-extended", "metadata-extended"}
    assert {code for code in CODES if f'"{code}"' not in text} - made == set()


def test_codes_and_message_ids_are_unique_and_well_formed() -> None:
    ids = [row.message_id for row in CODES.values()]
    tables = [ast.parse(path.read_text()) for path in (SOURCE / "core/codes").glob("*.py")]
    nodes = [node for table in tables for node in ast.walk(table)]
    rows = [node for node in nodes if isinstance(node, ast.Call) and len(node.args) == 7]
    assert len(rows) == len(CODES) == len(set(ids))
    assert all(re.fullmatch("[0-9a-f]{32}", message_id) for message_id in ids)
    assert all(CODE.fullmatch(code) for code in CODES)


def test_every_code_is_explained() -> None:
    for row in CODES.values():
        assert all((row.title, row.cause, row.danger, row.cure)), row.code
        assert not row.title.endswith("."), row.code


def test_every_rule_of_findings_is_run() -> None:
    rules = {p.stem for p in (SOURCE / "core/findings").glob("*.py")} - {"__init__"}
    assert rules <= set(find_all.__code__.co_names + find_all.__code__.co_varnames)
