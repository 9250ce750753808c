"""TOML text that is made to take long, or to break its reader."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers import containerd, tomltext
from dmguard.core.consumers.edit import EditError
from dmguard.core.toml import TomlError, load_toml

PARTS = 20_000
LONG = [
    ".".join("a" * PARTS) + " = 1\n",
    " . ".join(["a"] * PARTS) + " = 1\n",
    ".".join(['"a=.,[]{}#"'] * PARTS) + " = 1\n",
    ".".join(["''"] * PARTS) + " = 1\n",
    f"[{'.'.join('a' * PARTS)}]\n",
    f"[[{'.'.join('a' * PARTS)}]]\n",
    f"x = {{ {'.'.join('a' * PARTS)} = 1 }}\n",
    f'x = ["""\n"a.b """, {{ {".".join("a" * PARTS)} = 1 }}]\n',
    f"x = ['''\n\"a'b ''''', {{ {'.'.join('a' * PARTS)} = 1 }}]\n",
    f'x = """\\"""" # "\n{".".join("a" * PARTS)} = 1\n',
]
DEEP = [
    "x = " + "[" * PARTS,
    "x = " + "[" * PARTS + "]" * PARTS,
    "x = " + "{ a = " * PARTS + "1" + "}" * PARTS,
    "x = " + "[{ a = " * PARTS + "1" + "}]" * PARTS,
]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_a_key_of_many_dots_is_refused_at_once(text: str) -> None:
    began = time.process_time()

    with pytest.raises(TomlError, match="a key of more than 32 dots"):
        load_toml(text)
    assert containerd.read(text) is None
    with pytest.raises(EditError, match="a key of more than 32 dots"):
        tomltext.read(text)

    assert time.process_time() - began < 1


@pytest.mark.parametrize("text", DEEP, ids=range(len(DEEP)))
def test_what_is_nested_deeply_is_an_error(text: str) -> None:
    with pytest.raises(TomlError, match="nested too deeply"):
        load_toml(text)
    assert containerd.read(text) is None
    assert containerd.imports_in(text) == ()
    with pytest.raises(EditError, match="nested too deeply"):
        tomltext.read(text)


@pytest.mark.parametrize(
    "text",
    [
        '"' + '\\"' * 100_000 + "." * 40,
        '"\\"\n' * 50_000 + "." * 40,
        '"""' + '\\"' * 100_000 + "." * 40,
        '"' * 100_001 + "." * 40,
        "a" * 200_000 + "." * 40,
        ". " * 100_000,
        "a " * 100_000 + "." * 40,
        "'''" + "''" * 100_000 + "." * 40,
        '"""\\' + "." * 40,
    ],
    ids=range(9),
)
def test_an_unclosed_text_costs_no_more_than_it_is_long(text: str) -> None:
    began = time.process_time()

    with pytest.raises(TomlError):
        load_toml(text)

    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        f'x = "{"a." * 500}"',
        f"x = '{'a.' * 500}'",
        f'x = """\n{"a." * 500}\\""" "\n"""""',
        f"x = '''\n{'a.' * 500}'' \"'''",
        f"# {'a.' * 500}\n",
        f"x = [{'1.5, ' * 500}]",
        f"{'a.' * 32}b = 1",
        "x = [" + "[" * 50 + "]" * 50 + "]",
    ],
    ids=range(8),
)
def test_what_anybody_may_write_is_read(text: str) -> None:
    assert load_toml(text) == tomllib.loads(text)


_PIECES = st.sampled_from(
    [*"\"'\\#\n\r={}[],. ", '"""', "'''", "a", "x = ", ".".join("b" * 40), "1.5"]
)


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_only_a_key_of_many_dots_is_refused_beyond_what_is_no_toml(text: str) -> None:
    try:
        document = tomllib.loads(text)
    except ValueError:
        document = None
    try:
        assert load_toml(text) == document
    except TomlError:
        assert document is None or ".".join("b" * 40) in text
