"""Under a storm nothing is lost for good, a pool is grown in time, and the agent stays small."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.lab import scsi
from tests.lab.lvmkit import make_pool, make_vg
from tests.vm.kit import MIB, NO_DMEVENTD, config, history, wait_for, wait_for_mark
from tests.vm.stormkit import (
    PROMPT_S,
    Filling,
    assert_nothing_failed,
    assert_small,
    fill,
    install,
    make_thins,
    peaks,
    program,
)
from tests.vm.test_events import lost, sources

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

DISKS, LIMIT = 40, 8
STORM_S = 8
BEHIND_CLAIM_S = 15.0
"""LVM holds the group's lock for a claim, and with forty disks, on a machine with others beside it,
for seconds; a growth waits for the one that is under way.
"""
POOLS, FULL = 100, 3
LONGEST_S = 180.0
MARKED = "--config 'activation/monitoring=0 activation/thin_pool_autoextend_threshold=75'"
RULES = (
    f'[[claim]]\nvg = "docker"\nmatch = {{ vendor = "Linux" }}\nsettle = "0"\nlimit = {LIMIT}\n'
    '[[claim]]\nvg = "docker"\nmatch = { path = "platform-uml-blkdev.*" }\nsettle = "0"\n'
)
LOST = "events were lost"

# Two services that say as much as they can; journald leaves most of what one of them says out.
LINES = 8000
NOISE = f"for i in $(seq {LINES}); do echo line $i of what a service has to say; done"
LIMITS = {
    "noisy": "-p LogRateLimitIntervalSec=0",
    "limited": "-p LogRateLimitIntervalSec=1s -p LogRateLimitBurst=10",
}


def uevents(m: Machine) -> int:
    return int(m.run("cat /sys/kernel/uevent_seqnum").out)


def claims(m: Machine, result: str) -> set[str]:
    """The disks whose claims ended like this. A finding that is gone is `done`, too."""
    told = (act for act in history(m, "claim-disk") if act["result"] == result)
    return {act["disk"] for act in told if result != "done" or "size" in act["numbers"]}


def pid_of(m: Machine) -> str:
    return m.run("systemctl show -P MainPID dmguard").out.strip()


def cross_while_disks_come(m: Machine, pool: Filling) -> None:
    """Forty disks at once; the pool fills while they are claimed, one after the other."""
    pool.come_near()
    m.run(f"modprobe scsi_debug per_host_store=1 add_host=0 dev_size_mb=4 && echo {DISKS}"
          f" >{scsi.DRIVER}/add_host", timeout=60)  # fmt: skip
    wait_for("the first claim", lambda: claims(m, "done"), timeout=60)
    took = pool.reaction(pool.cross())
    print(f"while disks come: {took:.2f} s, {len(claims(m, 'done'))} claimed")
    assert took < BEHIND_CLAIM_S
    nodes = scsi.present(m)
    assert len(nodes) == DISKS
    wait_for("all claimed", lambda: len(claims(m, "done")) == LIMIT - 1, timeout=120, interval=1)
    taken = claims(m, "done")
    rest = set(nodes) - taken
    wait_for("the rest told", lambda: rest <= claims(m, "refused"), timeout=60, interval=1)
    assert len(taken) == LIMIT - 1
    assert claims(m, "failed") == set()
    pvs = m.run("pvs --noheadings -o pv_name -S vg_name=docker").out.split()
    assert sorted(pvs) == sorted([m.disks[0].device, *taken])


def cross_while_devices_come_and_go(m: Machine, pool: Filling) -> None:
    pool.come_near()
    before = uevents(m)
    storm = m.start(program(f"-m tests.bench.inside.storm docker-thinpool 1000 3000 20 {STORM_S}"))
    wait_for("the storm", lambda: uevents(m) > before + 200, interval=0.5)
    took = pool.reaction(pool.cross())
    result = storm.wait(60)
    assert result.status == 0, result.err
    seen = uevents(m) - before
    print(f"while devices come and go: {took:.2f} s, {seen} uevents")
    assert seen / STORM_S * 60 > 2000
    assert took < PROMPT_S


def cross_while_the_journal_is_flooded(m: Machine, pool: Filling) -> None:
    pool.come_near()
    started = time.monotonic()
    for name, limit in LIMITS.items():
        m.run(f"systemd-run -q --unit={name} {limit} sh -c '{NOISE}'")
    began = pool.cross()
    m.run("journalctl -q --rotate && journalctl -q --vacuum-files=1 && journalctl -q --rotate")
    took = pool.reaction(began)
    m.wait_until("! systemctl is-active -q noisy limited", 60)
    rate = len(LIMITS) * LINES / (time.monotonic() - started) * 60
    print(f"while the journal is flooded: {took:.2f} s, {rate:.0f} lines a minute")
    assert rate > 20_000
    assert took < PROMPT_S
    m.run("journalctl --sync")
    assert m.run("journalctl -b -o cat | grep -c 'Suppressed .* messages from limited'").out
    assert "down" not in " ".join(sources(m).values())


def make_deaf(m: Machine) -> str:
    """The agent anew, with the smallest of buffers for udev's events; its pid."""
    least = "/proc/sys/net/core/rmem_max"
    before = m.run(f"cat {least}").out.strip()
    m.run(f"echo 2304 >{least} && systemctl restart dmguard")
    wait_for("udev listening", lambda: sources(m).get("udev") == "listening")
    m.run(f"echo {before} >{least}")
    return pid_of(m)


def cross_while_events_are_lost(m: Machine, pool: Filling) -> None:
    """The agent stands still; a disk comes and the pool fills among what it never hears of."""
    pid = make_deaf(m)
    pool.come_near()
    m.run(f"kill -STOP {pid}")
    flood = "for i in $(seq 40); do echo change >/sys/class/block/ubdb/uevent; done"
    m.run(f"{flood}; udevadm settle -t 60", timeout=120)
    before = lost(m, pid)
    disk = m.add_disk(64 * MIB)
    pool.cross()
    assert lost(m, pid) > before > 0
    went_on = float(m.run(f"date +%s.%N; kill -CONT {pid}").out)

    took = pool.reaction(went_on)
    print(f"while {lost(m, pid)} events were lost: {took:.2f} s")
    assert took < PROMPT_S
    wait_for("the disk claimed", lambda: disk.device in claims(m, "done"), timeout=60)
    assert LOST in m.run("journalctl -b -u dmguard -o cat").out
    assert pid_of(m) == pid


def test_a_pool_is_grown_in_time_in_a_storm_of_each_kind(machines: Factory) -> None:
    m = machines(disks=[512 * MIB], append=NO_DMEVENTD, config=config(more=RULES))
    install(m)
    make_vg(m, "docker", m.disks, extent="1m")
    make_pool(m, "docker", "thinpool", "100m")
    make_thins(m, ["docker-thinpool"], 2 << 20)
    wait_for_mark(m, "docker", "thinpool")
    pool, pid = Filling(m, "docker", "thinpool"), pid_of(m)

    cross_while_disks_come(m, pool)
    cross_while_devices_come_and_go(m, pool)
    cross_while_the_journal_is_flooded(m, pool)
    assert pid_of(m) == pid
    assert_small(m)
    cross_while_events_are_lost(m, pool)
    assert_small(m)
    assert_nothing_failed(m)


def make_pools(m: Machine) -> list[str]:
    """A hundred pools of 128 chunks in one group; their names in device-mapper.

    By lvcreate they would take a minute.
    """
    make_vg(m, "many", m.disks, extent="1m")
    m.run("lvcreate -y -q --type thin-pool -L 8m --poolmetadatasize 2m -c 64k -Zn"
          f" {MARKED} -n one many")  # fmt: skip
    m.run(program(f"-m tests.bench.inside.manypools many one {POOLS - 1} and"), timeout=120)
    m.run(f"vgchange -q -ay {MARKED} many", timeout=240)
    pools = m.run("dmsetup ls --target thin-pool | cut -f 1").out.split()
    assert len(pools) == POOLS
    return pools


def test_of_a_hundred_pools_that_cross_together_the_fullest_are_grown_first(
    machines: Factory,
) -> None:
    """Growth is one command of LVM's after the other, so that the last ones wait: they have the
    room for that.
    """
    m = machines(disks=[4 << 30], append=NO_DMEVENTD, config=config())
    m.run("systemctl stop dmguard")
    install(m, "bench/inside/manypools.py")
    pools = make_pools(m)
    make_thins(m, pools, 64 << 10)
    fill(m, pools, 0, 90)
    m.run("systemctl start dmguard")
    wait_for("the resident LVM", lambda: "dmguard-lvm" in peaks(m), timeout=60)

    full = pools[-FULL:]
    began = fill(m, pools, 90, 8) | fill(m, full, 98, 26)

    def grown() -> int:
        return len({act["pool"] for act in history(m, "extend-data")})

    wait_for("all grown", lambda: grown() == POOLS, timeout=LONGEST_S, interval=2)
    acts = history(m, "extend-data")
    assert {act["result"] for act in acts} == {"done"}
    took = {
        act["pool"].replace("/", "-"): act["at"] - began[act["pool"].replace("/", "-")]
        for act in reversed(acts)
    }
    inorder = sorted(took.values())
    urgent = max(took[pool] for pool in full)
    print({"first": inorder[0], "median": inorder[POOLS // 2], "last": inorder[-1], "full": urgent})
    assert len(took) == POOLS
    assert urgent < PROMPT_S
    assert inorder[-1] < LONGEST_S
    assert_small(m)
    assert_nothing_failed(m)
