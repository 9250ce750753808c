"""What SECURITY.md says of the units, the commands and the fields is what they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dmguard.app.cli import FOR_ANYONE
from dmguard.core.hints import MATCHES
from dmguard.edge.run import SEARCH_PATH
from tests.unit.test_packaging import EXPOSURE_LIMIT

TREE = Path(__file__).resolve().parents[2]
PAGE = (TREE / "SECURITY.md").read_text(encoding="utf-8")


def units() -> dict[str, str]:
    return {path.name: path.read_text() for path in (TREE / "units").glob("*.service")}


@pytest.mark.parametrize("unit", sorted(units()))
def test_each_capability_of_a_unit_is_told_and_no_other(unit: str) -> None:
    lines = re.findall("^CapabilityBoundingSet=(.*)$", units()[unit], re.MULTILINE)
    had = {word for line in lines for word in line.split()}
    rows = re.findall(r"^\| ((?:`CAP_\w+`(?:, )?)+) \| (.*) \|$", PAGE, re.MULTILINE)
    told = {
        name
        for names, why in rows
        for name in re.findall(r"CAP_\w+", names)
        if f"not in `{unit}`" not in why
    }
    assert told == had
    (absent,) = re.findall(r"^Not among them: ([^.]*)\.", PAGE, re.MULTILINE)
    assert not had & set(re.findall(r"CAP_\w+", absent))


@pytest.mark.parametrize("unit", sorted(units()))
def test_each_unit_is_shut_in_as_is_told(unit: str) -> None:
    for line in (
        "NoNewPrivileges=yes", "RestrictAddressFamilies=AF_UNIX AF_NETLINK", "IPAddressDeny=any",
        "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "RestrictNamespaces=yes",
        "MemoryDenyWriteExecute=yes", "SystemCallFilter=@system-service @module",
        "SystemCallErrorNumber=EPERM",
    ):  # fmt: skip
        assert f"\n{line}\n" in units()[unit], line


def test_the_figure_the_commands_and_the_fields_are_those_of_the_code() -> None:
    assert f"gives {EXPOSURE_LIMIT / 10} or less for each" in PAGE
    confined = (TREE / "tests/vm/test_confinement.py").read_text()
    assert f"exposure(m, unit) <= {EXPOSURE_LIMIT / 10}" in confined
    assert f"`{SEARCH_PATH}`" in PAGE
    *names, last = FOR_ANYONE
    said = f"All commands but {', '.join(f'`{name}`' for name in names)} and `{last}` want root."
    assert said in " ".join(PAGE.split())
    speakers = {term.removeprefix("_COMM=") for group in MATCHES for term in group[:1]}
    assert speakers - {"_TRANSPORT=kernel"} == {"dmeventd", "dockerd", "isulad", "containerd"}


def test_each_place_that_is_named_is_there() -> None:
    for name in re.findall(r"`((?:core|edge)/[\w/]+)`", PAGE):
        path = TREE / "dmguard" / name
        assert path.is_dir() or path.with_suffix(".py").is_file(), name
    for name in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert (TREE / name).is_file(), name


def test_one_lvm_command_says_yes_and_it_only_reads() -> None:
    """LVM brings up a part of a pool read-only, and only if it may."""
    found = [
        (path.name, line.strip())
        for path in (TREE / "dmguard/core/steps").rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r"[\"\' ](?:--yes|-y|-yy|--force|-ff)[\"\' ]", line)
    ]
    told = 'Lvm(("lvchange", "--activate", "y", "--yes", "--config", config, metadata)),'
    assert found == [("repair.py", told)]
