"""The agent and the machine die at every point of an act; the next start puts it right."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dmguard.core import actions
from dmguard.core.model import Resource
from dmguard.loop.intent import boundaries
from tests.vm.boundaries import stops
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import MIB, NO_DMEVENTD, config, entries, history, size_of, wait_for, written
from tests.vm.mortal import (
    CLAIMS,
    INTENT,
    Activate,
    ActivateTorn,
    Claim,
    Data,
    Metadata,
    Mortal,
    Refresh,
    ResizePv,
    attach,
    kill,
    main_pid,
    run_until,
    settled,
    wait_until_stopped,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.boundaries import Stop
    from tests.vm.conftest import Factory

SEED = 20261124


def stop_at(m: Machine, stop: Stop) -> str:
    """Attach strace to the agent so that it stops there once; returns the agent's pid."""
    # The thread that writes these files begins with its first line, and must be there to be traced.
    told = len(history(m, "reload"))
    m.run("systemctl reload dmguard")
    wait_for("reloaded", lambda: len(history(m, "reload")) > told)
    pid = main_pid(m)
    # Its threads by number, not -f: that would trace LVM as well, and slow it down.
    attach(m, pid, stop, threads=m.run(f"ls /proc/{pid}/task").out)
    return pid


def kill_agent(m: Machine, pid: str) -> None:
    kill(m, pid)
    wait_for("a new agent", lambda: main_pid(m) not in ("0", pid))


def make_machine(machines: Factory, kind: type[Mortal]) -> tuple[Machine, Mortal]:
    # No event tells that another command took the mark away: that is the timer's to see.
    resync = "3s" if kind is Refresh else "1h"
    more = CLAIMS if kind is Claim else ""
    settings = config(guard=f'resync = "{resync}"', more=more)
    m = machines(disks=[2 << 30], append=NO_DMEVENTD, config=settings)
    mortal = kind(m)
    m.wait_until(f"test ! -e {INTENT}")
    return m, mortal


KINDS = pytest.mark.parametrize(
    "kind", [Data, Metadata, Refresh, Claim, ResizePv], ids=lambda kind: kind.__name__
)


def test_the_stops_are_all_boundaries_of_each_act() -> None:
    extend = actions.Extend("vg", "lv", "", Resource.DATA, 0, 0, None, 0, 75, "above-threshold")
    activate = actions.Activate("vg", "lv", "", 0, (), skip=False, monitor=False)
    samples: dict[type[Mortal], actions.Action] = {
        Data: extend,
        Metadata: replace(extend, resource=Resource.METADATA),
        Refresh: actions.Refresh("vg", "lv", "", 0, 0, 75, "low-water"),
        Claim: actions.Claim("vg", "", "/dev/a", "", (8, 0), None, 0, "disk-matches"),
        ResizePv: actions.ResizePv("vg", "", "/dev/a", "", 0, 1),
        Activate: activate,
        ActivateTorn: replace(activate, components=("lv_tmeta",)),
    }
    for kind, action in samples.items():
        assert tuple(stops(kind.steps)) == boundaries(action)


@KINDS
def test_the_agent_killed_at_each_boundary_converges(machines: Factory, kind: type[Mortal]) -> None:
    """kill -9 at every boundary that the executor names; the service manager starts it anew."""
    m, mortal = make_machine(machines, kind)
    for boundary, stop in stops(mortal.steps).items():
        pid = stop_at(m, stop)
        mortal.cause()
        wait_until_stopped(m, pid)
        kill_agent(m, pid)
        mortal.assert_converged()
        print(f"killed at {boundary}: converged")
    mortal.assert_intact()


@KINDS
def test_a_power_cut_at_each_boundary_converges(machines: Factory, kind: type[Mortal]) -> None:
    m, mortal = make_machine(machines, kind)
    for boundary, stop in stops(mortal.steps).items():
        pid = stop_at(m, stop)
        mortal.cause()
        wait_until_stopped(m, pid)
        m.power_cut()
        m.boot()
        mortal.revive()
        mortal.assert_converged()
        print(f"cut at {boundary}: converged")
    mortal.assert_intact()


@on_each_kernel
def test_ten_random_moments_of_death_converge(machines: Factory) -> None:
    """Five kills and five power cuts, each so long after the crossing; the seed is printed."""
    rng = random.Random(SEED)
    m, mortal = make_machine(machines, Data)
    for number in range(1, 11):
        delay = rng.uniform(0.0, 2.5)
        print(f"seed {SEED}: moment {number}, {delay:.2f} s after the crossing")
        pid = main_pid(m)
        mortal.cause()
        m.run(f"sleep {delay:.2f}")
        if number % 2:
            kill_agent(m, pid)
        else:
            m.power_cut()
            m.boot()
            mortal.revive()
        mortal.assert_converged()
    mortal.assert_intact()


def test_stopping_the_service_lets_a_running_lvextend_finish(machines: Factory) -> None:
    """SIGTERM while LVM works: the pool is grown and the act told before the unit is inactive."""
    m, mortal = make_machine(machines, Data)
    assert isinstance(mortal, Data)
    # By its words: a reader, or one that is just ending, has none of these.
    growing = "-f '^lvm lvextend '"
    catcher = m.start(f"until pkill -STOP {growing} && pgrep {growing}; do :; done")
    writer = mortal.begin()
    lvm = catcher.wait(30).out.split()[0]

    m.run("systemctl stop --no-block dmguard")
    m.wait_until("systemctl show -P ActiveState dmguard | grep -q deactivating")
    assert m.run(f"cat /proc/{lvm}/comm").out.strip() == "lvm"
    assert size_of(m, "docker", "thinpool") == 100 * MIB
    m.run(f"kill -CONT {lvm}")
    m.wait_until("systemctl show -P ActiveState dmguard | grep -q '^inactive'")

    written(writer)
    assert size_of(m, "docker", "thinpool") == 120 * MIB
    assert settled(m, "extend-data", "docker/thinpool") == 1
    assert m.run(f"test -e /proc/{lvm}", check=False).status != 0


def activations(m: Machine) -> list[str]:
    """How the activations of this boot ended."""
    return [str(entry["DMGUARD_RESULT"]) for entry in entries(m, "activate")]


# Its pool is not the agent's, so that nothing but the command is about it.
BY_HAND = config(guard='pools = ["none/*"]')
POOLS = pytest.mark.parametrize("kind", [Activate, ActivateTorn], ids=lambda kind: kind.__name__)


@POOLS
def test_activate_killed_at_each_boundary_converges(
    machines: Factory, kind: type[Activate]
) -> None:
    m = machines(disks=[1 << 30], append=NO_DMEVENTD, config=BY_HAND)
    mortal = kind(m)
    for boundary, stop in stops(mortal.steps, "activate").items():
        mortal.cause()
        before = activations(m).count("done")
        _, pid = run_until(m, "dmguard activate vg/pool", stop)
        kill(m, pid)
        mortal.revive()
        mortal.assert_converged()
        assert activations(m).count("done") == before + 1
        print(f"killed at {boundary}: converged")
    mortal.assert_intact()


@POOLS
def test_a_power_cut_at_each_boundary_of_activate_converges(
    machines: Factory, kind: type[Activate]
) -> None:
    m = machines(disks=[1 << 30], append=NO_DMEVENTD, config=BY_HAND)
    mortal = kind(m)
    for boundary, stop in stops(mortal.steps, "activate").items():
        mortal.cause()
        run_until(m, "dmguard activate vg/pool", stop)
        m.power_cut()
        m.boot()
        mortal.revive()
        mortal.assert_converged()
        # A pool is down after a boot, however far the act had come.
        assert activations(m).count("done") == 1
        print(f"cut at {boundary}: converged")
    mortal.assert_intact()
