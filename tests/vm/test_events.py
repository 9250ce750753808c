"""What wakes the agent: each source by itself, and what is made up for when one was not heard."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from tests.lab.lvmkit import docker_direct_lvm, make_pool, make_vg, raw_thin
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    config,
    done,
    entries,
    size_of,
    wait_for,
    wait_for_mark,
    write,
)
from tests.vm.manual import procedures

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

LOW_WATER_LINE = "reached low water mark for data device"
UNIT_FAILED = "be02cf6855d2428ba40df7e9d022f03d"
NO_ACTIVATION = "systemd.mask=dmguard-activate.service"
CLAIMS = '[[claim]]\nvg = "vg"\nmatch = { path = "platform-uml-blkdev.3" }\nsettle = "0"\n'

# One try, and after it a wait before the limit is hit, in which a pool may come up.
ONE_TRY = """[Unit]
StartLimitBurst=1
StartLimitIntervalSec=600
[Service]
Restart=always
RestartSec=20
"""


def sources(m: Machine) -> dict[str, str]:
    """The agent's sources and how each is, as `dmguard status` says it."""
    found: dict[str, str] = json.loads(m.run("dmguard status --json").out)["agent"]["sources"]
    return found


def listen_only_to(m: Machine, source: str, resync: str = "1h", more: str = "") -> None:
    """Restart the agent with this one source, and wait until it hears."""
    guard = f'sources = ["{source}"]\nresync = "{resync}"'
    m.put("/etc/dmguard/dmguard.toml", config(guard=guard, more=more))
    m.run("systemctl restart dmguard")
    wait_for(f"{source} listening", lambda: sources(m) == {source: "listening"})


def act_after(m: Machine, action: str, before: int) -> dict[str, Any]:
    """The one act of a kind beyond those that were done before."""
    found = wait_for(action, lambda: len(acts := done(m, action)) > before and acts, timeout=60)
    assert len(found) == before + 1
    entry: dict[str, Any] = found[-1]
    return entry


def at(entry: dict[str, Any]) -> float:
    """When an entry, or a line of the kernel's, was written, in seconds since the boot."""
    own = entry.get("_SOURCE_MONOTONIC_TIMESTAMP")
    return int(own or entry["__MONOTONIC_TIMESTAMP"]) / 1e6


def uptime(m: Machine, after: str = "true") -> float:
    """Seconds since the boot when this command has ended."""
    return float(m.run(f"{after} && cut -d ' ' -f 1 /proc/uptime").out)


def assert_prompt(
    entry: dict[str, Any], event: float, source: str, *, earliest: float | None = None
) -> None:
    """It was this source that woke, and the act began within 3 s.

    An entry is written when the act is done, and says how long it took. How long LVM's commands
    take is the machine's. `earliest`: when the event began, if it took a time itself.
    """
    took = re.search(r", ([\d.]+) s\)", entry["MESSAGE"])
    assert took is not None
    begun, ended = at(entry) - float(took[1]) - event, at(entry) - event
    print(f"{source}: begun after {begun:.2f} s, done after {ended:.2f} s")
    assert entry["DMGUARD_TRIGGER"] == source
    assert begun < 3
    assert begun + event > (event if earliest is None else earliest) - 0.2


def grow_by(m: Machine, source: str, device: str, first: int, count: int) -> None:
    """Cross the low water mark; the kernel's message tells when."""
    acts, before = len(done(m, "extend-data")), uptime(m)
    write(m, device, first, count)
    entry = act_after(m, "extend-data", acts)
    crossed = [at(line) for line in m.journal("-b", "-k", f"--grep={LOW_WATER_LINE}")]
    assert_prompt(entry, min(moment for moment in crossed if moment > before), source)


def claim_by(m: Machine, source: str) -> None:
    """Plug a blank disk in; udev says when it was done with it."""
    disk = m.add_disk(256 * MIB)
    entry = act_after(m, "claim-disk", 0)
    shown = m.run(f"udevadm info -q property --property USEC_INITIALIZED --value {disk.device}")
    assert entry["DMGUARD_DISK"] == disk.device
    assert m.run(f"pvs --noheadings -o vg_name {disk.device}").out.strip() == "vg"
    assert_prompt(entry, int(shown.out) / 1e6, source)


def start_unit_by(m: Machine, source: str) -> None:
    """Docker fails for want of its pool; the pool comes up, and only then systemd gives up."""
    m.run("systemctl start docker", check=False, timeout=120)
    m.wait_until("systemctl show -P SubState docker | grep -q auto-restart", 60)
    m.run("lvchange -q -ay docker/thinpool")
    assert entries(m, "start-unit") == []
    entry = act_after(m, "start-unit", 0)
    failures = m.journal("-b", "UNIT=docker.service", f"MESSAGE_ID={UNIT_FAILED}", "_PID=1")
    given_up = max(moment for line in failures if (moment := at(line)) < at(entry))
    assert_prompt(entry, given_up, source)
    m.wait_until("systemctl is-active docker", 120)


def refresh_by(m: Machine, source: str) -> None:
    """Another command takes the mark away, which no event tells."""
    acts = len(done(m, "refresh"))
    before = uptime(m)
    gone = uptime(m, "lvchange -q --refresh vg/pool")
    entry = act_after(m, "refresh", acts)
    assert_prompt(entry, gone, source, earliest=before)
    wait_for_mark(m, "vg", "pool")


@procedures("P15")
def test_each_source_alone_acts_within_three_seconds(machines: Factory) -> None:
    """One after the other on one machine, all others switched off and no timer to speak of.

    The timer is a source whose event is the end of its period: it gets one of a second.
    """
    m = machines(disks=[2 << 30, 1 << 30], append=f"{NO_DMEVENTD} {NO_ACTIVATION}", config=config())
    docker_direct_lvm(m, m.disks[0])
    m.run("systemctl stop docker docker.socket && lvchange -q -an docker/thinpool")
    m.put("/etc/systemd/system/docker.service.d/one-try.conf", ONE_TRY)
    m.run("systemctl daemon-reload")
    make_vg(m, "vg", m.disks[1:])
    make_pool(m, "vg", "pool", "100m")
    device = raw_thin(m, "vg", "pool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "vg", "pool")

    listen_only_to(m, "dm-event")
    grow_by(m, "dm-event", device, 0, 80)
    assert size_of(m, "vg", "pool") == 120 * MIB
    listen_only_to(m, "journal")
    grow_by(m, "journal", device, 80, 15)
    assert size_of(m, "vg", "pool") == 144 * MIB
    listen_only_to(m, "udev", more=CLAIMS)
    claim_by(m, "udev")
    listen_only_to(m, "dbus")
    start_unit_by(m, "dbus")
    listen_only_to(m, "timer", resync="1s")
    refresh_by(m, "timer")


def lost(m: Machine, pid: str) -> int:
    """How many events the kernel has dropped for a process's netlink sockets."""
    rows = [line.split() for line in m.run("cat /proc/net/netlink").out.splitlines()[1:]]
    own = re.findall(r"socket:\[(\d+)\]", m.run(f"ls -l /proc/{pid}/fd").out)
    # Not by the port, which need not be the pid.
    dropped = [int(row[8]) for row in rows if row[9] in own]
    assert dropped
    return sum(dropped)


def ticks(m: Machine, pid: str) -> int:
    """Hundredths of a second of the processor that a process has had."""
    words = m.run(f"cat /proc/{pid}/stat").out.rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def seconds_spent(m: Machine, pid: str) -> float:
    """How much of the processor it takes in five seconds."""
    before = ticks(m, pid)
    m.run("sleep 5")
    return (ticks(m, pid) - before) / 100


def test_events_lost_while_the_agent_was_stopped_are_made_up_for(machines: Factory) -> None:
    """Its buffer overflows, and the disk that comes meanwhile is among what is lost.

    After that it hears again: it neither spins on the error of its socket nor is deaf.
    """
    match = 'path = "platform-uml-blkdev.*", max_size = "64MiB"'
    claims = f'[[claim]]\nvg = "vg"\nmatch = {{ {match} }}\nsettle = "0"\n'
    m = machines(disks=[128 * MIB], append=NO_DMEVENTD)
    make_vg(m, "vg", m.disks)
    # Stopped for long it would be taken for dead.
    m.put("/etc/systemd/system/dmguard.service.d/patient.conf", "[Service]\nWatchdogSec=0\n")
    m.run("systemctl daemon-reload")
    # The most that it may ask for; some kernels allow 4 MiB, which takes a while to fill.
    m.run("echo 212992 >/proc/sys/net/core/rmem_max")
    listen_only_to(m, "udev", more=claims)
    pid = m.run("systemctl show -P MainPID dmguard").out.strip()
    assert lost(m, pid) == 0

    m.run(f"kill -STOP {pid}")
    flood = "for i in $(seq 100); do echo change >/sys/class/block/ubdb/uevent; done"
    for _ in range(30):
        m.run(f"{flood}; udevadm settle -t 60", timeout=120)
        if lost(m, pid):
            break
    dropped = lost(m, pid)
    assert dropped > 0
    disk = m.add_disk(64 * MIB)
    assert lost(m, pid) > dropped
    m.run(f"kill -CONT {pid}")

    entry = act_after(m, "claim-disk", 0)
    assert (entry["DMGUARD_DISK"], entry["DMGUARD_TRIGGER"]) == (disk.device, "udev")
    wait_for("it rests", lambda: seconds_spent(m, pid) < 1, timeout=60)
    assert sources(m) == {"udev": "listening"}
    another = m.add_disk(64 * MIB)
    entry = act_after(m, "claim-disk", 1)
    assert (entry["DMGUARD_DISK"], entry["DMGUARD_TRIGGER"]) == (another.device, "udev")
    assert m.run("systemctl show -P MainPID dmguard").out.strip() == pid
