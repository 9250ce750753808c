"""What each act does and has to show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.demo.acts import (
    EACH,
    EXTENT,
    HANG,
    MIB,
    NEW_DISK,
    PIECE,
    PROFILE,
    SETTINGS,
    STUCK,
    WRITERS,
    Act,
    Event,
    collect,
    raise_curtain,
    read_sample,
    stage,
    vg_free_at,
    watch,
)
from tests.demo.reboots import read_entries, reboot_with_dmguard, reboot_without_dmguard
from tests.lab.lvmkit import pool_status, vg_free

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.machine import Machine

    Say = Callable[[str], None]

TOTAL = WRITERS * EACH * MIB


def stage_dmguard(m: Machine, say: Say) -> Act:
    """Make the first machine ready: the package is installed, and is all there is to it."""
    act = stage(m, "with dmguard", say)
    m.put("/etc/dmguard/dmguard.toml", SETTINGS)
    m.run("systemctl restart dmguard", timeout=120)
    return act


def stage_dmeventd(m: Machine, say: Say) -> Act:
    """Make the second machine ready: LVM's own growing, as the manual of Docker sets it up."""
    act = stage(m, "with dmeventd alone", say)
    m.put("/etc/lvm/profile/docker-thinpool.profile", PROFILE)
    m.run("lvchange --metadataprofile docker-thinpool docker/thinpool")
    # So that its low water mark is in the live table, and dmeventd is woken at the threshold.
    m.run("lvchange --refresh docker/thinpool")
    marked = pool_status(m, "docker", "thinpool")["low_water"] > 0
    act.expect("the kernel tells dmeventd of the threshold", holds=marked)
    monitored = m.run("lvs --noheadings -o seg_monitor docker/thinpool").out.strip()
    act.expect("dmeventd monitors the pool", holds=monitored == "monitored")
    idle = m.run("systemctl is-active dmguard", check=False).out.strip()
    act.expect("dmguard does not run", holds=idle == "inactive")
    return act


def play_dmguard(m: Machine, act: Act, say: Say) -> None:
    """Fill the pool: it grows into all the room there is, and no write fails."""
    containers = raise_curtain(m, act)
    say(f"{act.title}: {WRITERS} containers write {EACH} MiB each")
    plug_in(m, act, say)
    codes = m.run(f"docker wait {' '.join(containers)}", timeout=300).out.split()
    act.expect(f"the containers end with 0, not {codes}", holds=codes == ["0"] * WRITERS)
    for container in containers:
        last = m.run(f"docker logs {container}").out.splitlines()[-1:]
        act.expect(f"all is written, not {last}", holds=last == [f"written {EACH // PIECE}"])
    watch(m, lambda sample: sample.written == TOTAL, 10)
    collect(m, act)
    act.events.append(Event(act.samples[-1].at, "both containers end with 0", "all written"))
    for entry in read_entries(m):
        at = float(str(entry["at"]))
        if at >= act.samples[0].at:
            words = f"dmguard: {str(entry['message']).partition(': ')[2]}"
            act.events.append(Event(at, words, SHORT.get(str(entry["code"]), "")))
    last_one = act.samples[-1]
    grown = len({sample.size for sample in act.samples}) - 1
    act.expect("the pool grows several times", holds=grown >= 3)
    act.expect("everything arrives", holds=last_one.written == TOTAL)
    act.expect("no byte of the first disk is left", holds=last_one.size > STUCK)
    act.expect("LVM counts the same room", holds=vg_free(m, "docker") == vg_free_at(act, last_one))
    say(f"{act.title}: {TOTAL // MIB} MiB written, the pool grew {grown} times")
    reboot_with_dmguard(m, act, containers[0], say)


def plug_in(m: Machine, act: Act, say: Say) -> None:
    """Wait until the VG is dry, plug a blank disk in, and see it claimed."""
    m.wait_until("dmguard history --last 0 | grep -q vg-dry", 180, 1)
    say(f"{act.title}: the VG is dry; a disk is plugged in")
    act.events.append(Event(float(m.run("date +%s.%N").out), "a disk is plugged in", "disk in"))
    m.add_disk(NEW_DISK)
    m.wait_until("dmguard history --last 0 | grep -q disk-matches", 60, 1)
    (claim,) = (entry for entry in read_entries(m) if entry["action"] == "claim-disk")
    act.expect(f"the disk is claimed, not {claim}", holds=claim["result"] == "done")
    act.disks.append((float(str(claim["at"])), NEW_DISK - EXTENT))
    say(f"{act.title}: the disk is claimed")


# A growth is marked where the sampler saw it.
SHORT = {
    "vg-dry": "alert: VG dry",
    "act-failed": "act failed",
    "disk-claimed": "disk claimed",
}


def play_dmeventd(m: Machine, act: Act, say: Say) -> None:
    """Fill the pool in the same way: the last step does not fit, and the writers hang."""
    containers = raise_curtain(m, act)
    say(f"{act.title}: {WRITERS} containers write {EACH} MiB each")
    full = watch(m, lambda sample: sample.mode == "out_of_data_space", 150)
    act.expect("the pool runs out of data space", holds=full)
    if full:
        say(f"{act.title}: out of data space, looking on for {HANG:.0f} s")
        start = read_sample(m.run("tail -n 1 /root/samples").out).at
        watch(m, lambda sample: sample.at > start + HANG, HANG + 20)
    alive = m.run(f"docker inspect -f '{{{{.State.Running}}}}' {' '.join(containers)}").out
    collect(m, act)
    refusals = [
        Event(int(line["__REALTIME_TIMESTAMP"]) / 1e6, f"dmeventd: {line['MESSAGE']}", "")
        for line in m.journal()
        if "Insufficient free space" in str(line.get("MESSAGE"))
    ]
    act.expect("dmeventd has tried, and was refused", holds=bool(refusals))
    # It tries again and again with the same words: the first and the last are enough.
    act.events += [replace(event, short="step refused") for event in refusals[:1]] + refusals[1:][
        -1:
    ]
    words = f"the writers hang, {vg_free(m, 'docker') // MIB} MiB of the VG are not used"
    act.events.append(Event(act.samples[-1].at, words, ""))
    stalled = {sample.written for sample in act.samples if sample.mode != "rw"}
    act.expect("the writers still hang", holds=alive.split() == ["true"] * WRITERS)
    act.expect(f"nothing more is written: {stalled}", holds=len(stalled) <= 2)
    act.expect("there is room left", holds=vg_free(m, "docker") > 0)
    act.expect("the writers are short of their end", holds=max(stalled, default=TOTAL) < TOTAL)
    reboot_without_dmguard(m, act, say)
