"""Consumers, with what systemd and they themselves say of their state."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dmguard.core.model import Consumer, State, Unit
from dmguard.core.settings import Settings
from dmguard.loop.clients import Clients
from tests.unit.builders import in_kernel, make_pool, make_state

DOCKER, CONTAINERD = Consumer("docker", "vg-pool"), Consumer("containerd", "vg-pool")
UP = make_state(in_kernel(make_pool(), appeared=1000))
RUNS = Unit("x.service", "active", entered=910, tried=900)


class Host:
    """What systemd and containerd answer, and how often they were asked."""

    def __init__(self) -> None:
        self.unit: Unit | Exception | None = RUNS
        self.broken: bool | None = True
        self.units: list[str] = []
        self.asked = 0
        self.consumers: tuple[Consumer, ...] = (CONTAINERD,)
        self.settings = Settings()
        self.clients = Clients(
            lambda: self.settings, lambda: self.consumers, self.read_unit, self.is_broken
        )

    async def read_unit(self, name: str) -> Unit | None:
        self.units.append(name)
        if isinstance(self.unit, Exception):
            raise self.unit
        return self.unit

    async def is_broken(self) -> bool | None:
        self.asked += 1
        return self.broken

    def read(self, state: State = UP) -> Consumer:
        (found,) = asyncio.run(self.clients.read(state))
        return found


@pytest.fixture
def far() -> Host:
    return Host()


def test_the_unit_is_the_configured_one(far: Host) -> None:
    assert far.read() == replace(CONTAINERD, unit=RUNS, broken=True)
    assert far.units == ["containerd.service"]


def test_a_unit_that_cannot_be_read_leaves_the_consumer_known(far: Host) -> None:
    far.unit = OSError("no bus")
    assert far.read() == CONTAINERD
    far.unit = None
    assert far.read() == CONTAINERD


def test_without_systemd_only_the_configuration_is_read() -> None:
    clients = Clients(Settings, lambda: (DOCKER,))
    assert asyncio.run(clients.read(UP)) == (DOCKER,)


def test_a_consumer_that_the_settings_do_not_know_is_only_named(far: Host) -> None:
    far.settings = Settings(consumers={})
    assert far.read() == CONTAINERD
    assert far.units == []


def test_docker_is_never_asked_because_it_does_not_run_without_its_pool(far: Host) -> None:
    far.consumers = (DOCKER,)
    assert far.read() == replace(DOCKER, unit=RUNS, broken=None)
    assert far.asked == 0


@pytest.mark.parametrize(
    ("unit", "state", "broken", "asked"),
    [
        (RUNS, UP, True, 1),
        (replace(RUNS, tried=1001), UP, False, 0),
        (replace(RUNS, state="failed"), UP, None, 0),
        (RUNS, make_state(make_pool()), None, 0),
        (RUNS, make_state(replace(make_pool(), kernel=None)), None, 0),
        (RUNS, make_state(), None, 0),
    ],
    ids=["before", "after", "failed", "no time", "pool down", "no pool"],
)
def test_it_is_asked_only_if_it_was_started_before_its_pool_was_there(
    far: Host,
    unit: Unit,
    state: State,
    broken: bool | None,  # noqa: FBT001 - a table
    asked: int,
) -> None:
    far.unit = unit
    assert (far.read(state).broken, far.asked) == (broken, asked)


def test_the_answer_is_kept_until_it_or_its_pool_starts_anew(far: Host) -> None:
    for _ in range(3):
        assert far.read().broken is True
    assert far.asked == 1
    far.broken = False
    far.unit = replace(RUNS, entered=950)
    assert (far.read().broken, far.asked) == (False, 2)
    later = make_state(in_kernel(make_pool(), appeared=2000))
    assert (far.read(later).broken, far.asked) == (False, 3)


def test_what_could_not_be_told_is_asked_again(far: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    far.broken = None
    assert far.read().broken is None
    far.broken = True
    assert far.read().broken is None  # not at once: what does not answer takes long not to
    monkeypatch.setattr("dmguard.loop.clients.time", SimpleNamespace(monotonic=lambda: 1e12))
    assert far.read().broken is True
    assert far.asked == 2
