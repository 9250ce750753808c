"""What the package promises to systemd, dpkg and journald, as far as files alone can show it."""

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import dmguard
from dmguard.app.cli import COMMANDS
from dmguard.core.actions import Act, Result
from dmguard.core.codes import CODES
from dmguard.core.entry import Entry
from dmguard.core.model import Trigger
from dmguard.core.settings import (
    CONSUMERS,
    SETTINGS,
    Match,
    Settings,
    SettingsError,
    parse_settings,
    show_settings,
)

TREE = Path(__file__).resolve().parents[2]
UNIT = TREE / "units/dmguard.service"
EXPOSURE_LIMIT = 45
"""Tenths, as systemd-analyze wants it. stratisd, udisks2 and dm-event have 95."""

OWN_MOUNTS = re.compile(
    "(Protect(?!Hostname)|Private(Devices|Mounts|Tmp)|ReadOnly|ReadWrite|Inaccessible|Bind|Exec"
    "|NoExec|Mount|Root|Temporary|ProcSubset).*"
)
"""Settings that make a mount namespace, by how their names begin."""


def read_unit() -> dict[str, list[str]]:
    """Every setting of the unit with all its values, whatever section it is in."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def run(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=TREE)
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_place_names_the_same_version() -> None:
    project = tomllib.loads((TREE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (TREE / "packaging/debian/changelog").read_text(encoding="utf-8")
    packaged = re.match(r"dmguard \((.+?)\)", changelog)
    assert packaged is not None
    assert project["version"] == dmguard.__version__ == packaged[1]
    assert f"## [{dmguard.__version__}]" in (TREE / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("KillMode", "process"),
        ("Restart", "always"),
        ("StartLimitIntervalSec", "0"),
        ("OOMScoreAdjust", "-1000"),
        ("Nice", "-10"),
        ("LimitMEMLOCK", "infinity"),
        ("RuntimeDirectoryPreserve", "yes"),
        ("SystemCallErrorNumber", "EPERM"),
    ],
)
def test_unit_keeps_what_pools_stay_alive_by(key: str, value: str) -> None:
    assert read_unit()[key] == [value]


def test_unit_has_no_mount_namespace_of_its_own() -> None:
    exceptions = {"ExecStart", "ExecReload"}
    assert [key for key in read_unit().keys() - exceptions if OWN_MOUNTS.fullmatch(key)] == []


def test_unit_leaves_lvm_what_it_needs() -> None:
    denied = {"PrivateIPC", "PrivateNetwork", "PrivateUsers", "DynamicUser", "User", "DevicePolicy"}
    assert not read_unit().keys() & denied


@pytest.mark.parametrize("unit", sorted(path.name for path in UNIT.parent.glob("*.service")))
def test_unit_is_less_exposed_than_its_peers(unit: str) -> None:
    run(
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE_LIMIT}",
        UNIT.with_name(unit),
    )


def test_the_activation_comes_before_every_consumer() -> None:
    text = (TREE / "units/dmguard-activate.service").read_text(encoding="utf-8")
    units = sorted(policy.unit for policy in CONSUMERS.values())
    (before,) = re.findall("^Before=(.*) shutdown.target$", text, flags=re.MULTILINE)
    (wanted,) = re.findall("^WantedBy=(.*)$", text, flags=re.MULTILINE)
    assert sorted(before.split()) == sorted(wanted.split()) == units


def test_unit_is_understood_by_systemd(tmp_path: Path) -> None:
    # Neither the program nor its man pages are installed where this runs.
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/dmguard", "/bin/true")
    text = re.sub("^Documentation=.*\n", "", text, flags=re.MULTILINE)
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / UNIT.name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in done.stderr.splitlines() if "dmguard" in line] == []


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    run("env", f"PYTHONPATH={TREE}", sys.executable, "-B", "packaging/generate.py", folder)
    return folder


PAGES = ("dmguard.8", "dmguard.toml.5", "dmguard-claim.7", "dmguard-setup.7")


@pytest.mark.parametrize("page", PAGES)
def test_man_page_has_no_fault(generated: Path, page: str) -> None:
    assert run("mandoc", "-Tlint", "-Wwarning", generated / page) == ""


def test_package_installs_every_man_page() -> None:
    listed = (TREE / "packaging/debian/dmguard.manpages").read_text(encoding="utf-8").split()
    assert sorted(listed) == sorted(f"build/generated/{page}" for page in PAGES)


def read_page(generated: Path, page: str) -> str:
    """As a reader sees it, each paragraph on one line."""
    text = run("mandoc", "-Tascii", "-Owidth=1000", generated / page)
    return re.sub(".\b", "", text)


def test_man_page_tells_every_setting(generated: Path) -> None:
    page = read_page(generated, "dmguard.toml.5")
    assert [row.key for row in SETTINGS if f"{row.name} = {row.kind}" not in page] == []
    for head in ("[guard]", "[activate]", "[[claim]]", "[consumer.NAME]", '[pool."vg/lv"]'):
        assert re.search(f"^ *{re.escape(head)}$", page, flags=re.MULTILINE), head


def test_man_page_tells_what_must_be_given(generated: Path) -> None:
    page = read_page(generated, "dmguard.toml.5")
    given = re.findall(r"(\w+) = \w+\n.*Must be given\.", page)
    rules: dict[str, dict[str, object]] = {
        "claim": {"vg": "docker", "match": {"path": "pci-*"}},
        "raw_pool": {"name": "devpool", "data": "/srv/data", "metadata": "/srv/metadata"},
    }
    assert parse_settings({section: [rule] for section, rule in rules.items()}).claims
    for section, rule in rules.items():
        for name in rule:
            with pytest.raises(SettingsError, match=f"{name} is missing"):
                parse_settings({section: [{key: rule[key] for key in rule if key != name}]})
    assert given == [name for rule in rules.values() for name in rule]
    assert "null" not in page


def test_man_page_tells_every_key_of_a_match(generated: Path) -> None:
    page = read_page(generated, "dmguard.toml.5")
    matches = page[page.index("MATCHES\n") : page.index("SEE ALSO\n")]
    told = re.findall(r"^ {7}([a-z_]+)\b", matches, flags=re.MULTILINE)
    assert told == [field.name for field in dataclasses.fields(Match)]


def test_man_page_tells_every_command_and_option(generated: Path) -> None:
    page = read_page(generated, "dmguard.8")
    for command in COMMANDS:
        assert re.search(rf"^ *dmguard {command}\b", page, flags=re.MULTILINE), command
    for path in ("/var/lib/dmguard/disks.json", "/run/dmguard/activate.json"):
        assert path in page
    for unit in (TREE / "units").iterdir():
        assert unit.name in page


def test_man_page_tells_every_field_of_an_entry_and_what_may_stand_in_it(generated: Path) -> None:
    page = read_page(generated, "dmguard.8")
    journal = page[page.index("\nJOURNAL\n") : page.index("\nFILES\n")]
    filled = Entry(
        next(iter(CODES)),
        Act.ACTIVATE,
        Result.DONE,
        Trigger.START,
        "vg",
        "vg/pool",
        "x",
        "words",
        disk="/dev/sdb",
        id="1",
        numbers={"size": 1, "target": 2},
    )
    assert [name for name in filled.as_fields() if name not in journal] == []
    for value in (*Act, *Result, *Trigger):
        assert re.search(rf"[ ,]{value}[,.]", journal), value


def test_claim_page_tells_every_reason_of_a_refusal(generated: Path) -> None:
    _, _, reasons = read_page(generated, "dmguard-claim.7").partition("\nREASONS\n")
    told = re.findall(r"^ {7}([a-z-]+)(?:\n| {2,})", reasons, flags=re.MULTILINE)
    source = (TREE / "dmguard/core/verdict.py").read_text(encoding="utf-8")
    given = {word for word in re.findall(r'"([a-z-]+)"', source) if word in CODES}
    assert given > {"disk-signature", "disk-has-data", "vg-limit"}
    assert given - set(told) == set()
    assert not {"disk-claimed", "disk-matches", "disk-grown", "vg-dry"} & set(told)


def test_catalog_explains_every_code(generated: Path) -> None:
    catalog = (generated / "dmguard.catalog").read_text(encoding="utf-8")
    known = re.findall("^-- ([0-9a-f]{32})$", catalog, flags=re.MULTILINE)
    assert known == [code.message_id for code in CODES.values()]


def test_journald_takes_the_catalog(generated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    (folder / "dmguard.catalog").write_bytes((generated / "dmguard.catalog").read_bytes())
    run("journalctl", f"--root={tmp_path}", "--update-catalog")
    listed = run("journalctl", f"--root={tmp_path}", "--list-catalog").splitlines()
    assert len(listed) == len(CODES)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sta", "status"),
        ("status --js", "--json"),
        ("act", "activate"),
        ("activate --t", "--timeout"),
        ("activate docker/pool --dry", "--dry-run"),
        ("rec", "recover"),
        ("recover --bu", "--bundle"),
        ("doctor --f", "--fix"),
        ("dis", "disks"),
        ("ig", "ignore"),
        ("ignore /dev/sdb --dr", "--dry-run"),
        ("claim --v", "--vg"),
        ("claim /dev/sdb --vg d", "docker data"),
        ("claim /dev/sdb --vg docker --dr", "--dry-run"),
        ("config s", "show"),
        ("config show --ro", "--root"),
    ],
)
def test_bash_completes(generated: Path, line: str, words: str) -> None:
    script = f"""
        source {generated}/dmguard.bash
        vgs() {{ echo "  docker"; echo "  data"; echo "  vg1"; }}
        COMP_WORDS=(dmguard {line}) COMP_CWORD={len(line.split())}
        _dmguard
        echo "${{COMPREPLY[@]}}"
    """
    assert run("bash", "-euc", script) == f"{words}\n"


def read_example(text: str) -> dict[str, Any]:
    """The example with its commented settings and sections taken over."""
    return tomllib.loads(re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE))


EXAMPLE = (TREE / "packaging/dmguard.toml.example").read_text(encoding="utf-8")


def test_example_shows_every_default() -> None:
    head, _, _ = EXAMPLE.partition("# One pool may differ")
    document = read_example(head)
    assert document == show_settings(Settings()) | {"activate": {"timeout": "60s"}}
    assert parse_settings(document) == Settings()


def test_example_shows_every_setting() -> None:
    document = read_example(EXAMPLE)
    consumer = document["consumer"]["docker"]
    assert consumer.keys() == document["consumer"]["containerd"].keys()
    sections = document | {"consumer": consumer}
    sections |= {name: document[name][0] for name in ("claim", "raw_pool")}
    del sections["pool"]
    shown = {f"{section}.{key}" for section, keys in sections.items() for key in keys}
    assert shown == {row.key for row in SETTINGS}


def test_example_is_right_with_every_line_taken_over() -> None:
    settings = parse_settings(read_example(EXAMPLE))
    assert settings.overrides.keys() == {"docker/thinpool"}
    assert settings.loops.keys() == {"docker"}
    assert [raw.name for raw in settings.raws] == ["devpool"]
    (rule,) = settings.claims
    assert (rule.vg, rule.limit, rule.match.path) == ("docker", 8, "pci-*")


def test_example_claims_nothing_as_it_is() -> None:
    assert parse_settings(tomllib.loads(EXAMPLE)) == Settings()
