"""What the activation adds before Docker: dmguard's unit, a unit of one `lvchange`, and none.

LVM's own activation is off, so that each has to bring the pool up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.figures import Measured
from tests.bench.plan import turns
from tests.bench.stand import MIB
from tests.lab.lvmkit import docker_direct_lvm
from tests.vm import bootkit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.plan import Plan
    from tests.lab.machine import Machine

CASE = "boot"
_BARE = "bare-activate.service"
_UNIT = """[Unit]
DefaultDependencies=no
Before=docker.service shutdown.target
Conflicts=shutdown.target
After=systemd-udevd.service dm-event.socket lvm2-monitor.service
ConditionKernelCommandLine=bench=lvchange

[Service]
Type=oneshot
ExecStart=/usr/sbin/lvchange -ay docker/thinpool

[Install]
WantedBy=docker.service
"""
_WORDS = {
    "lvchange": f"{bootkit.WITHOUT} bench=lvchange",
    "dmguard": "bench=dmguard",
    "nothing": f"{bootkit.WITHOUT} bench=nothing",
}
_UNITS = {"lvchange": _BARE, "dmguard": bootkit.ACTIVATE}


def measure(m: Machine, plan: Plan) -> Iterator[Measured]:
    """The seconds of the unit, and those from the boot to the start of Docker."""
    docker_direct_lvm(m, m.add_disk(1024 * MIB))
    m.put(f"/etc/systemd/system/{_BARE}", _UNIT)
    m.run(f"systemctl enable docker {_BARE}")
    bootkit.switch_autoactivation_off(m)
    for number, name in turns(list(_WORDS), plan.rounds):
        bootkit.cut_and_boot(m, _WORDS[name])
        docker = bootkit.turns(m, "docker.service")[0]
        yield Measured(CASE, "", "boot to Docker's start", "s", name, number, (docker.begun,))
        if name in _UNITS:
            unit = bootkit.turns(m, _UNITS[name])[0]
            assert not unit.failed
            yield Measured(CASE, "", "the unit", "s", name, number, (unit.seconds,))
