"""`dmguard setup`: what its words mean, and what another tool's configuration becomes."""

from __future__ import annotations

import asyncio
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.app.cli import build_parser, main
from dmguard.app.cli.setup import goal_of, rule_of
from dmguard.core.actions import EditFile
from dmguard.core.goals import KeepSettings, SetUp
from dmguard.core.host import FileText, Host
from dmguard.core.model import Consumer, State
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.settings import ClaimRule, Match, Settings, parse_settings
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
    sized = goal("/dev/sdb", "--data-size", "20GiB", "--metadata-size", "512MiB")
    assert (sized.data, sized.metadata) == (Amount(size=20 << 30), Amount(size=512 << 20))


@pytest.mark.parametrize(
    "words",
    [
        ("--data-percent", "0"),
        ("--data-percent", "100"),
        ("--data-percent", "95%"),
        ("--data-size", "0B"),
        ("--data-size", "20"),
        ("--metadata-size", "+1GiB"),
        ("--data-size", "1GiB", "--data-percent", "90"),
        ("--metadata-size", "1GiB", "--metadata-percent", "1"),
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
        ("--claim", "min_size=10GB"),
        ("--claim", "max_size=big"),
        ("--claim", "model=a\nb"),
        ("--claim", "model=\udcff"),
        ("--claim", "path=pci-1", "--claim", "path=pci-2"),
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


@pytest.mark.parametrize("source", [("--import",), ("--raw-from-running", "p")], ids=str)
@pytest.mark.parametrize(
    "words",
    [
        ("--vg", "v"),
        ("--pool", "p"),
        ("--consumer", "none"),
        ("--data-percent", "80"),
        ("--data-size", "1GiB"),
        ("--metadata-percent", "2"),
        ("--metadata-size", "64MiB"),
        ("--chunk", "64KiB"),
        ("--zero",),
        ("--autoextend-threshold", "70"),
        ("--autoextend-percent", "30"),
        ("--move-data",),
        ("--force", "S1"),
        ("--claim", "path=pci-*"),
    ],
    ids=" ".join,
)
def test_words_that_would_not_count_are_a_usage_error(
    source: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup", *source, *words]) == 2
    assert f"{words[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--import",), ("--raw-from-running", "p")], ids=str)
def test_what_sets_up_no_disk_takes_none(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["setup", "/dev/sdb", *words]) == 2
    assert "/dev/sdb" in capsys.readouterr().err


RAW = '[[raw_pool]]\nname = "{}"\ndata = "/x/{}"\nmetadata = "/x/{}"\n'


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


@given(
    st.dictionaries(
        st.sampled_from(["path", "link", "serial", "wwn", "model", "vendor", "bus"]),
        st.text(st.sampled_from("a*?[]'\"\\#=,{} é😀"), min_size=1),
        min_size=1,
    )
)
def test_any_rule_is_written_so_that_it_is_read_again(globs: dict[str, str]) -> None:
    """It is the last thing that is done: the pool would be there, and the rule would not."""
    claims = [word for key, glob in globs.items() for word in ("--claim", f"{key}={glob}")]
    rule = rule_of(build_parser().parse_args(["setup", "/dev/sdb", *claims]))
    (edit,) = kept(None, rule).actions
    assert isinstance(edit, EditFile)
    (found,) = parse_settings(tomllib.loads(edit.text)).claims
    match: dict[str, Any] = {**globs}
    assert found == ClaimRule("docker", Match(**match))


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (RAW.format("p", 1, 2), True),
        (RAW.format("q", 3, 2), True),
        (RAW.format("q", 1, 4), True),
        (RAW.format("q", 3, 4), False),
    ],
)
def test_a_raw_pool_is_not_written_a_second_time(text: str, refused: bool) -> None:  # noqa: FBT001 - a table
    """With both of them the agent would not start any more."""
    goal = KeepSettings("/etc/dmguard/conf.d/raw-p.toml", text)
    settings = parse_settings(tomllib.loads(RAW.format("p", 1, 2)))
    plan = make_plan(State((), (), host=Host()), settings, Past(), goal)
    assert [refusal.code for refusal in plan.refusals] == ["settings-there"] * refused
    assert bool(plan.actions) is not refused
    # Once it is written it is there, and says so.
    there = State((), (), host=Host(files={goal.path: FileText(text)}))
    assert make_plan(there, settings, Past(), goal) == Plan()


def test_settings_of_another_are_left_alone() -> None:
    rule = KeepSettings("/etc/dmguard/conf.d/x.toml", '[activate]\ntimeout = "5s"\n')
    assert kept(rule.text, rule) == Plan()
    assert [r.code for r in kept("# mine\n", rule).refusals] == ["settings-there"]
    bad = KeepSettings(rule.path, '[activate]\ntimeout = "soon"\n')
    (refusal,) = kept(None, bad).refusals
    assert refusal.code == "config-unclear"
    assert "timeout" in refusal.message


def test_only_a_consumer_that_runs_and_has_a_pool_is_asked(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    script(
        tmp_path,
        "ctr",
        f"echo ctr >> {asked}; echo 'io.containerd.snapshotter.v1 devmapper linux/amd64 ok'",
    )
    containerd, docker = Consumer("containerd", "vg-q"), Engine("24.0.9", "vg-p")

    async def ask(
        *running: str, consumers: tuple[Consumer, ...] = (containerd,)
    ) -> dict[str, str | None]:
        units = dict.fromkeys(running, "active")
        with Runner(f"{tmp_path}:/usr/bin:/bin") as runner:
            return await read_serving(runner, consumers, units, docker)

    assert run(ask()) == {}
    assert run(ask("docker", "containerd", consumers=())) == {"docker": "vg-p", "containerd": ""}
    assert not asked.exists()
    assert run(ask("docker", "containerd")) == {"docker": "vg-p", "containerd": "vg-q"}


LISTED = "echo 'io.containerd.snapshotter.v1 devmapper linux/amd64 {}'"


@pytest.mark.parametrize(
    ("answer", "serves"),
    [(LISTED.format("ok"), "q"), (LISTED.format("error"), ""), ("exit 1", None)],
    ids=["is well", "is in error", "does not say"],
)
def test_containerds_plugin_in_error_serves_nothing_and_one_that_is_silent_may_serve(
    tmp_path: Path, answer: str, serves: str | None
) -> None:
    script(tmp_path, "ctr", answer)

    async def ask() -> dict[str, str | None]:
        consumers = (Consumer("containerd", "q"),)
        with Runner(f"{tmp_path}:/usr/bin:/bin") as runner:
            return await read_serving(runner, consumers, {"containerd": "active"}, Engine())

    assert asyncio.run(ask()) == {"containerd": serves}


@pytest.mark.parametrize("active", ["activating", "deactivating", "reloading"])
def test_what_starts_or_stops_just_now_is_asked_nothing(tmp_path: Path, active: str) -> None:
    consumers = (Consumer("containerd", "q"), Consumer("isulad", "q"), Consumer("docker", "q"))

    async def ask(state: str) -> dict[str, str | None]:
        with Runner(str(tmp_path)) as runner:
            units = {consumer.name: state for consumer in consumers}
            return await read_serving(runner, consumers, units, Engine())

    assert asyncio.run(ask(active)) == {"docker": None, "containerd": None, "isulad": None}
    assert asyncio.run(ask("failed")) == {}


def test_a_docker_that_uses_no_pool_is_told_from_one_that_does_not_answer(tmp_path: Path) -> None:
    async def ask(said: Engine) -> dict[str, str | None]:
        with Runner(str(tmp_path)) as runner:
            return await read_serving(runner, (), {"docker": "active"}, said)

    assert asyncio.run(ask(Engine("24.0.9"))) == {"docker": ""}
    assert asyncio.run(ask(Engine())) == {"docker": None}
