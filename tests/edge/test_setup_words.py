"""`dmguard setup`: what its words mean, and what another tool's configuration becomes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dmguard.app.cli import build_parser, main
from dmguard.app.cli.adopt import words_of
from dmguard.app.cli.setup import goal_of, rule_of
from dmguard.app.guard.adopt import read_foreign
from dmguard.core.actions import EditFile
from dmguard.core.goals import KeepSettings, SetUp
from dmguard.core.host import FileText, Host
from dmguard.core.imports.imported import ForeignError
from dmguard.core.model import Consumer, State
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.settings import Settings
from dmguard.core.steps import PutFile, UnitStep, UnitVerb, steps_for
from dmguard.core.units import Amount
from dmguard.edge.dockerapi import Engine
from dmguard.edge.run import Runner
from dmguard.edge.serving import read_serving
from tests.edge.conftest import run, script

if TYPE_CHECKING:
    from pathlib import Path


def goal(*words: str) -> SetUp:
    return goal_of(build_parser().parse_args(["setup", *words]))


def test_without_words_it_is_as_in_dockers_manual() -> None:
    assert goal("/dev/sdb") == SetUp(disks=("/dev/sdb",), consumer="auto")


def test_each_word_has_its_meaning() -> None:
    words = [
        "/dev/sdb",
        "/dev/sdc",
        "--vg",
        "v",
        "--pool",
        "p",
        "--consumer",
        "containerd",
        "--data-percent",
        "80",
        "--metadata-percent",
        "2",
        "--chunk",
        "64KiB",
        "--zero",
        "--autoextend-threshold",
        "70",
        "--autoextend-percent",
        "30",
        "--force",
        "S1",
        "--force",
        "/dev/disk/by-id/x",
        "--move-data",
    ]
    assert goal(*words) == SetUp(
        disks=("/dev/sdb", "/dev/sdc"),
        vg="v",
        named=True,
        pool="p",
        consumer="containerd",
        data=Amount(percent=80.0),
        metadata=Amount(percent=2.0),
        chunk=64 << 10,
        zero=True,
        threshold=70,
        percent=30,
        forced=("S1", "/dev/disk/by-id/x"),
        move_data=True,
    )
    assert goal("--consumer", "none", "--vg", "v").consumer == ""


@pytest.mark.parametrize(
    "words",
    [
        ("--data-percent", "0"),
        ("--data-percent", "100"),
        ("--data-percent", "95%"),
        ("--chunk", "100KiB"),
        ("--chunk", "32KiB"),
        ("--chunk", "2GiB"),
        ("--chunk", "512"),
        ("--autoextend-threshold", "100"),
        ("--autoextend-threshold", "49"),
        ("--autoextend-percent", "0"),
        ("--consumer", "podman"),
        ("--claim", "path"),
        ("--claim", "path="),
        ("--claim", "name=sd*"),
        ("--force",),
        ("--vg", "a/b"),
        ("--vg=-f",),
        ("--vg", ".."),
        ("--vg", ""),
        ("--pool=--yes",),
        ("--pool", "snapshot"),
        ("--pool", "lvol1"),
        ("--pool", "a_tmeta"),
        ("--import", "--raw-from-running", "p"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        goal("/dev/sdb", *words)
    assert error.value.code == 2
    assert words[0].partition("=")[0] in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--import",), ("--raw-from-running", "p")], ids=str)
def test_what_sets_up_no_disk_takes_none(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup", "/dev/sdb", *words]) == 2
    assert "/dev/sdb" in capsys.readouterr().err


def kept(text: str | None, goal: KeepSettings) -> Plan:
    files = {} if text is None else {goal.path: FileText(text)}
    return make_plan(State((), (), host=Host(files=files)), Settings(), Past(), goal)


def test_a_rule_for_hotplug_is_a_file_of_settings_that_the_agent_reads() -> None:
    words = ["setup", "/dev/sdb", "--claim", "path=pci-*", "--claim", "min_size=10GiB"]
    rule = rule_of(build_parser().parse_args(words))
    assert rule.path == "/etc/dmguard/conf.d/setup-docker.toml"
    assert rule.text.splitlines() == [
        "[[claim]]",
        'vg = "docker"',
        'match = { path = "pci-*", min_size = "10GiB" }',
    ]
    (edit,) = kept(None, rule).actions
    assert isinstance(edit, EditFile)
    put, reload = steps_for(edit)
    assert put == PutFile(rule.path, rule.text, "")
    assert reload == UnitStep(UnitVerb.RELOAD, "dmguard.service")


def test_settings_of_another_are_left_alone() -> None:
    rule = KeepSettings("/etc/dmguard/conf.d/x.toml", '[activate]\ntimeout = "5s"\n')
    assert kept(rule.text, rule) == Plan()
    assert [r.code for r in kept("# mine\n", rule).refusals] == ["settings-there"]
    bad = KeepSettings(rule.path, '[activate]\ntimeout = "soon"\n')
    (refusal,) = kept(None, bad).refusals
    assert refusal.code == "config-unclear"
    assert "timeout" in refusal.message


CSS = """STORAGE_DRIVER=devicemapper
DEVS="/dev/vdb /dev/vdc"
VG=docker-vg
CHUNK_SIZE=256K
POOL_AUTOEXTEND_THRESHOLD=60
AUTO_EXTEND_POOL=yes
WIPE_SIGNATURES=true
"""


def test_container_storage_setups_configuration_becomes_words_and_settings(tmp_path: Path) -> None:
    file = tmp_path / "docker-storage-setup"
    file.write_text(CSS)
    found = read_foreign(str(file))
    assert found is not None
    assert found.goal is not None
    assert found.goal.path == "/etc/dmguard/conf.d/container-storage-setup.toml"
    assert '[pool."docker-vg/docker-pool"]' in found.goal.text
    assert found.imported.setup is not None
    words = words_of(found.imported.setup)
    goal = goal_of(build_parser().parse_args(words[1:]))
    assert goal.disks == ("/dev/vdb", "/dev/vdc")
    assert (goal.pool_name, goal.chunk, goal.threshold) == ("docker-vg/docker-pool", 256 << 10, 60)
    assert any("WIPE_SIGNATURES" in note for note in found.imported.notes)


def test_dockers_own_direct_lvm_becomes_words(tmp_path: Path) -> None:
    file = tmp_path / "daemon.json"
    file.write_text(
        '{"storage-opts": ["dm.directlvm_device=/dev/xdf", "dm.thinp_percent=90",'
        ' "dm.thinp_metapercent=2"],'
        f' "data-root": "{tmp_path}"}}'
    )
    found = read_foreign(str(file))
    assert found is not None
    assert found.imported.setup is not None
    words = words_of(found.imported.setup)
    assert words[:3] == ["dmguard", "setup", "/dev/xdf"]
    assert words[words.index("--data-percent") + 1] == "90"


def test_what_is_not_there_or_not_understood_is_told(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match="cannot be read"):
        read_foreign(str(tmp_path / "none"))
    file = tmp_path / "daemon.json"
    file.write_text("{")
    with pytest.raises(ForeignError, match="cannot be read"):
        read_foreign(str(file))


def test_only_a_consumer_that_runs_and_has_a_pool_is_asked(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script(
        tmp_path,
        "ctr",
        f"echo ctr >> {asked}; echo 'io.containerd.snapshotter.v1 devmapper linux/amd64 ok'",
    )
    containerd, docker = Consumer("containerd", "vg-q"), Engine(pool="vg-p")

    async def ask(*running: str, consumers: tuple[Consumer, ...] = (containerd,)) -> dict[str, str]:
        with Runner(f"{tmp_path}:/usr/bin:/bin") as runner:
            return await read_serving(runner, consumers, running, docker)

    assert run(ask()) == {}
    assert run(ask("docker", "containerd", consumers=())) == {"docker": "vg-p"}
    assert not asked.exists()
    assert run(ask("docker", "containerd")) == {"docker": "vg-p", "containerd": "vg-q"}


def test_a_plugin_in_error_serves_nothing(tmp_path: Path) -> None:
    script(tmp_path, "ctr", "echo 'io.containerd.snapshotter.v1 devmapper linux/amd64 error'")

    async def ask() -> dict[str, str]:
        consumers = (Consumer("containerd", "q"),)
        with Runner(f"{tmp_path}:/usr/bin:/bin") as runner:
            return await read_serving(runner, consumers, ("containerd",), Engine())

    assert asyncio.run(ask()) == {}
