"""What the package promises to systemd, dpkg and journald, as far as files alone can show it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dmguard
from dmguard.core.codes import CODES
from dmguard.core.settings import SETTINGS, Settings, parse_settings

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


def test_unit_is_less_exposed_than_its_peers() -> None:
    run(
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={EXPOSURE_LIMIT}",
        UNIT,
    )


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


@pytest.mark.parametrize("page", ["dmguard.8", "dmguard.toml.5"])
def test_man_page_has_no_fault(generated: Path, page: str) -> None:
    assert run("mandoc", "-Tlint", "-Wwarning", generated / page) == ""


def test_man_page_tells_every_setting(generated: Path) -> None:
    page = run("mandoc", "-Tascii", "-Owidth=200", generated / "dmguard.toml.5")
    page = re.sub(".\b", "", page)
    assert [row.key for row in SETTINGS if row.name not in page] == []


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


def test_bash_completes_commands_and_options(generated: Path) -> None:
    script = f"""
        source {generated}/dmguard.bash
        complete_words() {{
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
            _dmguard
            echo "${{COMPREPLY[@]}}"
        }}
        complete_words dmguard sta
        complete_words dmguard status --js
    """
    assert run("bash", "-euc", script).splitlines() == ["status", "--json"]


def test_example_shows_every_setting_with_its_default() -> None:
    text = (TREE / "packaging/dmguard.toml.example").read_text(encoding="utf-8")
    head, _, _ = text.partition("# One pool may differ")
    document = tomllib.loads(re.sub("^# (?=[a-z_]+ = )", "", head, flags=re.MULTILINE))
    shown = {f"{section}.{key}" for section, keys in document.items() for key in keys}
    assert shown == {row.key for row in SETTINGS}
    assert parse_settings(document) == Settings()


def test_example_is_right_with_every_line_taken_over() -> None:
    text = (TREE / "packaging/dmguard.toml.example").read_text(encoding="utf-8")
    document = tomllib.loads(re.sub(r"^# (?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE))
    assert parse_settings(document).overrides.keys() == {"docker/thinpool"}
