"""What the guides tell operators to type and to write."""

import contextlib
import io
import re
import tomllib
from pathlib import Path

import pytest

from dmguard.app.cli import COMMANDS, Exit, build_parser
from dmguard.core.codes import CODES
from dmguard.core.entry import Entry
from dmguard.core.settings import Settings, parse_settings, show_settings
from tests.vm.manual import PROCEDURES, TOLD

TREE = Path(__file__).resolve().parents[2]
GUIDES = pytest.mark.parametrize("guide", ["README.md", "README.zh-CN.md"])
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)


def read(guide: str) -> str:
    return (TREE / guide).read_text(encoding="utf-8")


@GUIDES
def test_every_command_that_is_told_is_there(guide: str) -> None:
    code = "\n".join(CODE.findall(read(guide)))
    told = set(re.findall(r"(?<![\w/.-])dmguard ([a-z]+)", code))
    assert told - set(COMMANDS) == set()
    assert "setup" in told


OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
TYPED = re.compile(r"(?<![\w/.-])dmguard ([a-z]+(?: (?:status|resize)(?=\W))?)([^`#\n]*)")


def options_of(command: str) -> set[str]:
    """What its --help lists."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        build_parser().parse_args([*command.split(), "--help"])
    heads = re.findall(r"^  (-.*?)(?:  .*)?$", shown.getvalue(), re.MULTILINE)
    return {option for head in heads for option in OPTION.findall(head)}


@GUIDES
def test_every_option_that_is_told_is_there(guide: str) -> None:
    told: set[tuple[str, str]] = set()
    for command, rest in TYPED.findall("\n".join(CODE.findall(read(guide)))):
        # What stands behind two spaces is about the command.
        words = OPTION.findall(rest.lstrip().partition("  ")[0])
        told |= {(command, word) for word in words}
    assert [pair for pair in told if pair[1] not in options_of(pair[0])] == []
    assert {("setup", "-n"), ("loop resize", "--metadata"), ("doctor", "--fix")} <= told


@GUIDES
def test_the_list_of_commands_has_each_of_them_once(guide: str) -> None:
    """With the options that say what is done; the manual page has all of them."""
    (block,) = re.findall(r"```\n(dmguard status.*?)```", read(guide), re.DOTALL)
    told = re.findall(r"^dmguard (.*(?:\n .*)*)", block, re.MULTILINE)
    names = [name for text in told for name, _ in TYPED.findall(f"dmguard {text}")[:1]]
    commands = {*COMMANDS, "loop status", "loop resize"} - {"run", "loop"}
    assert sorted(names) == sorted(commands)
    for name, text in zip(names, told, strict=True):
        for option in (
            "--watch",
            "--timeout",
            "--bundle",
            "--fix",
            "--last",
            "--metadata",
            "--import",
            "-n",
        ):
            is_told = re.search(rf"(?<![\w-]){option}(?![\w-])", text) is not None
            assert is_told == (option in options_of(name)), (name, option)


@GUIDES
def test_the_defaults_are_those_of_the_code(guide: str) -> None:
    (block,) = re.findall(r"```toml\n(\[guard\].*?)```", read(guide), re.DOTALL)
    told = tomllib.loads(block)
    assert parse_settings(told) == Settings()
    shown = show_settings(Settings())
    assert {key: told[key].keys() for key in told} == {key: shown[key].keys() for key in shown}


@GUIDES
def test_every_exit_code_is_told(guide: str) -> None:
    (said,) = re.findall(r"(?:Exit codes: |\u9000\u51fa\u7801\uff1a)(0[^\u3002]*?75)", read(guide))
    assert re.findall(r"\d+", said) == [str(int(code)) for code in Exit]


@GUIDES
def test_every_field_of_the_journal_that_is_told_is_there(guide: str) -> None:
    told = set(re.findall(r"`(DMGUARD_[A-Z]+)`", read(guide)))
    entry = Entry("vg-dry", "a", "r", "t", "vg", "vg/p", "vg-dry", "m", disk="d", id="i")
    assert told == {name for name in entry.as_fields() if name.startswith("DMGUARD_")}


@GUIDES
def test_what_is_told_to_write_is_accepted(guide: str) -> None:
    text = read(guide)
    blocks = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"<<'RULE'\n(.*?)\nRULE\n", text, re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        parse_settings(tomllib.loads(block))


@GUIDES
def test_links_lead_somewhere(guide: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", read(guide))
    assert [link for link in links if not (TREE / link).exists()] == []


def test_codes_that_are_told_are_there() -> None:
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", read("README.zh-CN.md")))
    others = {"storage-driver", "storage-opts", "reset-failed", "thin-provisioning-tools"}
    others |= {"dmguard-lvm"}
    assert told - set(CODES) - others == set()


@GUIDES
def test_each_procedure_of_the_manual_has_its_row_in_order(guide: str) -> None:
    rows = re.findall(r"^\| (P\d+) \|", read(guide), re.MULTILINE)
    assert rows == list(PROCEDURES)


@GUIDES
def test_each_procedure_has_a_command_or_a_reason(guide: str) -> None:
    rows = re.findall(r"^\| (P\d+) \|.*\|(.*)\|$", read(guide), re.MULTILINE)
    others = {"P3", *TOLD}
    without = {name for name, how in rows if "dmguard" not in how}
    assert without <= others
