"""What comes after: the power is cut, and Docker starts again, with its pool or before it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from tests.demo.acts import Act, Event
from tests.lab.channel import LabError
from tests.lab.lvmkit import pool_status, slow_udev_down

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.machine import Machine

    Say = Callable[[str], None]

ERROR = "devicemapper: Non existing device docker-thinpool"


def checksum(m: Machine, container: str) -> str:
    """Of what a container wrote, read out of it by Docker."""
    return m.run(
        f"docker cp {container}:/data/file - | tar -xO | sha256sum", timeout=120
    ).out.split()[0]


def cut(m: Machine, act: Act, say: Say) -> None:
    """Cut the power, and boot again with a disk that udev takes its time for.

    Else it is a race, without dmguard, whether Docker finds its pool.
    """
    slow_udev_down(m)
    act.events.append(Event(float(m.run("date +%s.%N").out), "the power is cut", "power cut"))
    say(f"{act.title}: the power is cut, and comes back")
    m.power_cut()
    m.boot()
    m.wait_until("systemctl is-active docker || systemctl is-failed docker", 120)


def await_lvm(m: Machine) -> None:
    """LVM's own activation comes last here, and loads the pool's table anew; so does dmguard then.

    The kernel makes no device in a pool that is suspended meanwhile, and a container fails for it.
    """
    end = "Finished|Deactivated successfully"
    m.wait_until(f"journalctl -b -o cat UNIT=lvm-activate-docker.service | grep -qE '{end}'", 120)
    deadline = time.monotonic() + 60
    while not pool_status(m, "docker", "thinpool")["low_water"]:
        if time.monotonic() > deadline:
            raise LabError("dmguard does not set its low water mark again")
        time.sleep(0.5)  # between two looks of a poll


def told(m: Machine, unit: str, words: str) -> list[float]:
    """When a unit's journal of this boot said so."""
    lines = m.journal("-b", f"_SYSTEMD_UNIT={unit}", "+", f"UNIT={unit}")
    return [
        int(line["__REALTIME_TIMESTAMP"]) / 1e6
        for line in lines
        if words in str(line.get("MESSAGE"))
    ]


def reboot_with_dmguard(m: Machine, act: Act, container: str, say: Say) -> None:
    """The pool is up before Docker is started, and what a container wrote is there."""
    before = checksum(m, container)
    cut(m, act, say)
    up, docker = told(m, "dmguard-activate.service", "Finished"), told(m, "docker.service", "Start")
    ordered = bool(up and docker) and up[0] <= docker[0]
    act.expect("the pool is up before Docker is started", holds=ordered)
    if ordered:
        act.events.append(Event(up[0], "next boot: dmguard has the pool up", ""))
        act.events.append(Event(docker[0], "next boot: Docker is started", ""))
    act.expect("Docker finds its pool", holds=not told(m, "docker.service", ERROR))
    running = m.run("systemctl is-active docker", check=False).out.strip()
    act.expect(f"Docker runs, not {running}", holds=running == "active")
    act.expect("the container's data is intact", holds=checksum(m, container) == before)
    now = float(m.run("date +%s.%N").out)
    act.events.append(Event(now, "what a container wrote reads back equal", ""))
    await_lvm(m)
    m.run("docker run --rm --network none busybox true", timeout=120)
    say(f"{act.title}: Docker is up on its pool, and the container's data is intact")


def reboot_without_dmguard(m: Machine, act: Act, say: Say) -> None:
    """The same machine boots without dmguard: Docker is started before its pool is there."""
    cut(m, act, say)
    failed = told(m, "docker.service", ERROR)
    act.expect("Docker does not find its pool", holds=bool(failed))
    if failed:
        act.events.append(Event(failed[0], f"next boot: Docker: {ERROR}", ""))
        say(f"{act.title}: Docker fails: {ERROR}")


def read_entries(m: Machine) -> list[dict[str, object]]:
    """dmguard's own record, oldest first."""
    return list(json.loads(m.run("dmguard history --last 0 --json").out)["entries"])
