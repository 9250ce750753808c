"""The commands that need no LVM, and what every command promises to scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from dmguard import __version__
from dmguard.app.cli import COMMANDS, main
from dmguard.core.codes import CODES
from dmguard.core.entry import Entry
from dmguard.core.settings import Settings, parse_settings
from dmguard.edge.config import load_settings
from dmguard.loop.record import Paths
from tests.edge.schema import TREE, check

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]

CONFIG = """
[guard]
pools = ["docker/*", "vg-1/the-pool"]
resync = "90s"
sources = ["timer", "udev"]
[policy]
data_threshold = 60
step = "12.5%"
min_step = "512MiB"
headroom = "90min"
max_size = "2TiB"
vg_reserve = "0"
[pool."docker/my-pool"]
data_threshold = 90
step = "10GiB"
headroom = "0"
[pool."vg-1/the.pool"]
vg_reserve = "3GiB"
[pool."loop:docker"]
max_size = "100GiB"
[activate]
timeout = "90s"
[[raw_pool]]
name = "devpool"
data = "/srv/pool/data"
metadata = "/dev/disk/by-id/virtio-m"
options = ["ignore_discard", "skip_block_zeroing"]
[[raw_pool]]
name = "other"
data = "/srv/data"
metadata = "/srv/metadata"
block_size = "128KiB"
low_water = 0
max_size = "2GiB"
[[claim]]
vg = "docker"
match = { path = "pci-*", min_size = "10GiB", rotational = false }
limit = 8
mode = "ask"
settle = "1.5s"
[[claim]]
vg = "vg-1"
match = { link = "/dev/disk/by-id/wwn-*", vendor = "a \\"b\\" 'c'" }
[consumer.docker]
unit = "docker@main.service"
on_recovered = "none"
"""


def call(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(TREE)}
    return subprocess.run(
        [sys.executable, "-m", "dmguard", *argv],
        capture_output=True, text=True, check=False, timeout=60, env=environment, cwd="/",
    )  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dmguard.toml").write_text(CONFIG)
    return tmp_path


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An empty host."""
    paths = Paths(run=tmp_path / "run", lib=tmp_path / "lib")
    monkeypatch.setattr("dmguard.loop.record.Paths", lambda: paths)
    return paths


def test_the_version_is_the_packages() -> None:
    done = call("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"dmguard {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: dmguard {command}" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["no-such-command"], ["explain", "--no-such-option"]])
def test_a_wrong_use_exits_2(argv: list[str]) -> None:
    done = call(*argv)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: dmguard")
    assert done.stdout == ""


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code: str, capsys: Capture) -> None:
    assert main(["explain", code]) == 0
    shown = capsys.readouterr().out
    row = CODES[code]
    assert shown.startswith(f"{code}: {row.title}\n")
    for text in (row.cause, row.danger, row.cure):
        assert text in shown
    assert main(["explain", code, "--json"]) == 0
    values = check("explain", capsys.readouterr().out)
    assert (values["code"], values["message_id"]) == (code, row.message_id)


def test_all_codes_are_listed(capsys: Capture) -> None:
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(CODES)
    assert main(["explain", "--json"]) == 0
    values = check("explain", capsys.readouterr().out)
    assert [row["code"] for row in values["codes"]] == list(CODES)


def test_an_unknown_code_exits_3_and_says_what_was_meant() -> None:
    done = call("explain", "vg-dri")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "dmguard: no such code: vg-dri; did you mean vg-dry?\n"
    assert "dmguard explain lists them" in call("explain", "%%%").stderr


def test_the_shown_configuration_reads_back_to_the_same_settings(root: Path) -> None:
    done = call("config", "show", "--root", str(root))
    assert (done.returncode, done.stderr) == (0, "")
    shown = parse_settings(tomllib.loads(done.stdout))
    assert shown == load_settings(root)
    assert shown != Settings()
    assert set(shown.overrides) == {"docker/my-pool", "vg-1/the.pool"}
    assert set(shown.loops) == {"docker"}
    assert [rule.vg for rule in shown.claims] == ["docker", "vg-1"]
    assert [rule.name for rule in shown.raws] == ["devpool", "other"]
    assert shown.consumers["docker"].unit == "docker@main.service"


def test_the_defaults_are_shown_without_files(tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "show", "--root", str(tmp_path / "none")]) == 0
    assert parse_settings(tomllib.loads(capsys.readouterr().out)) == Settings()


def test_the_configuration_as_json_reads_back_to_the_same_settings(
    root: Path, capsys: Capture
) -> None:
    assert main(["config", "show", "--json", "--root", str(root)]) == 0
    values = check("config", capsys.readouterr().out)
    assert values["ok"] is True
    assert values["files"] == [str(root / "dmguard.toml")]
    assert parse_settings(values["settings"]) == load_settings(root)
    assert [rule["mode"] for rule in values["settings"]["claim"]] == ["ask", "auto"]
    assert [rule["name"] for rule in values["settings"]["raw_pool"]] == ["devpool", "other"]


def test_good_files_are_accepted_by_name(root: Path, capsys: Capture) -> None:
    assert main(["config", "check", "--root", str(root)]) == 0
    assert capsys.readouterr().out == f"accepted: {root}/dmguard.toml\n"


def test_a_bad_file_exits_2_and_is_named_with_its_key(root: Path) -> None:
    bad = root / "conf.d" / "50-local.toml"
    bad.parent.mkdir()
    bad.write_text("[policy]\ndata_treshold = 80\n")
    for what in ("check", "show"):
        done = call("config", what, "--root", str(root))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            f"dmguard: {bad}: policy: unknown key 'data_treshold'; did you mean data_threshold?\n"
        )


def test_a_bad_file_is_told_in_json_too(root: Path, capsys: Capture) -> None:
    (root / "dmguard.toml").write_text("[policy]\ndata_threshold = 3\n")
    assert main(["config", "check", "--json", "--root", str(root)]) == 2
    values = check("config", capsys.readouterr().out)
    assert values["ok"] is False
    assert f"{root}/dmguard.toml: policy.data_threshold" in values["error"]


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["plan"],
        ["extend", "a/b", "--data", "max"],
        ["activate"],
        ["recover"],
        ["disks"],
        ["claim", "sdb", "--vg", "a"],
        ["ignore", "sdb"],
    ],
    ids=lambda argv: argv[0],
)
def test_every_command_refuses_a_bad_configuration(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, command: list[str]
) -> None:
    (root / "dmguard.toml").write_text("[policy]\ndata_threshold = 3\n")
    monkeypatch.setattr("dmguard.edge.config.load_settings", partial(load_settings, root))
    assert main(command) == 2
    assert f"dmguard: {root}/dmguard.toml: policy.data_threshold" in capsys.readouterr().err


def test_extending_by_nothing_exits_2() -> None:
    done = call("extend", "vg/pool")
    assert (done.returncode, done.stdout) == (2, "")
    assert "say how much: --data SIZE, --metadata SIZE, or both" in done.stderr


@pytest.mark.parametrize("size", ["10", "1GB", "+", "-1GiB", "50%", "1.5GiB", ""])
def test_a_size_that_is_none_exits_2(size: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["extend", "vg/pool", f"--data={size}"])
    assert caught.value.code == 2
    assert "argument --data: " in capsys.readouterr().err


def test_claiming_for_no_group_exits_2() -> None:
    done = call("claim", "/dev/sdb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "the following arguments are required: --vg" in done.stderr


@pytest.mark.parametrize("timeout", ["-1", "1 fortnight", "soon", ""])
def test_a_timeout_that_is_none_exits_2(timeout: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["activate", f"--timeout={timeout}"])
    assert caught.value.code == 2
    assert "argument --timeout: " in capsys.readouterr().err


def test_a_rule_for_every_disk_exits_2_and_is_named(root: Path) -> None:
    bad = root / "conf.d" / "50-local.toml"
    bad.parent.mkdir()
    bad.write_text('[[claim]]\nvg = "docker"\nmatch = {}\n')
    done = call("config", "check", "--root", str(root))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"dmguard: {bad}: claim 1.match: it must say which disks")


def test_an_empty_host_has_no_history(paths: Paths, capsys: Capture) -> None:
    assert main(["history", "--json"]) == 0
    assert check("history", capsys.readouterr().out) == {"schema": 1, "entries": []}
    assert main(["history"]) == 0
    assert capsys.readouterr().out == "nothing yet\n"
    assert not paths.lib.exists()


def remember(paths: Paths, *entries: Entry, torn: str = "") -> None:
    paths.lib.mkdir(parents=True)
    lines = [json.dumps(entry.as_values()) + "\n" for entry in entries]
    paths.history.write_text("".join(lines) + torn)


def entry(number: int, pool: str = "vg/pool", **other: Any) -> Entry:
    return Entry(
        "vg-dry", "extend-data", "refused", "timer", "vg", pool, "vg-dry", f"number {number}",
        id=f"{number:032x}", at=1.7e9 + number, numbers={"size": 1 << 30}, **other,
    )  # fmt: skip


def test_the_history_is_told_oldest_first_without_torn_lines(paths: Paths, capsys: Capture) -> None:
    entries = [entry(number) for number in range(60)]
    remember(paths, *entries, torn='{"code": "vg-')
    assert main(["history", "--json"]) == 0
    values = check("history", capsys.readouterr().out)
    assert values["entries"] == [one.as_values() for one in entries[10:]]
    assert main(["history", "--last", "2"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("refused  number 58 [vg-dry, timer]")
    assert second.endswith("refused  number 59 [vg-dry, timer]")


def test_the_history_of_one_pool_has_no_other(paths: Paths, capsys: Capture) -> None:
    remember(paths, entry(1), entry(2, "vg/other"), entry(3))
    assert main(["history", "vg/pool", "--json"]) == 0
    values = check("history", capsys.readouterr().out)
    assert [row["message"] for row in values["entries"]] == ["number 1", "number 3"]


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dmguard", "explain", "--json"],
            stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60, cwd=TREE,
            env={"PATH": os.defpath},
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--yes"], "argument --yes: only with argument --offline"),
        (["--offline"], "--yes says that it need not"),
        (["--offline", "--json"], "--yes says that it need not"),
        (["--offline", "--bundle", "/tmp/x.tar"], "not allowed with argument --bundle"),
    ],
)
def test_what_stops_consumers_is_not_done_by_the_way(
    words: list[str], told: str, capsys: Capture
) -> None:
    """Standard input is no terminal here, so nobody can be asked."""
    with pytest.raises(SystemExit) as caught:
        main(["recover", *words])
    assert caught.value.code == 2
    assert told in capsys.readouterr().err
