"""What the guides tell operators to type and to write."""

import re
import tomllib
from pathlib import Path

import pytest

from dmguard.app.cli import COMMANDS
from dmguard.core.codes import CODES
from dmguard.core.settings import parse_settings
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
