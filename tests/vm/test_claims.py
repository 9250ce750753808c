"""New disks become space, used ones are left alone, and PVs that grow, go and return are kept."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.lab import loops, scsi
from tests.lab.lvmkit import bring_thin_up, make_pool, make_vg, pool_status, raw_thin
from tests.vm.conftest import on_each_kernel
from tests.vm.disks import COMMANDS, CRAFTED, checksums, put, wipe
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    assert_reads_back,
    config,
    done,
    entries,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    write,
)
from tests.vm.lvmcut import catch_vgextend
from tests.vm.mortal import INTENT, main_pid

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

LEDGER = "/var/lib/dmguard/disks.json"
LARGE = 80 * MIB
BLANK = hashlib.sha256(bytes(16 * MIB)).hexdigest()
"""The checksum of a disk that nobody has written to."""
RULES = "/etc/udev/rules.d/70-leg.rules"


def rule(match: str, vg: str = "docker", more: str = 'settle = "0"') -> str:
    """One claim rule."""
    return f'[[claim]]\nvg = "{vg}"\nmatch = {{ {match} }}\n{more}\n'


LINUX = rule('vendor = "Linux"')
EITHER = LINUX + rule('path = "platform-uml-blkdev.*"')
NOBODY = rule('vendor = "nobody"')


def configure(m: Machine, *rules: str) -> None:
    """Let the agent take other rules."""
    m.put("/etc/dmguard/dmguard.toml", config(more="\n".join(rules)))
    m.run("systemctl reload dmguard")


def refusals(m: Machine) -> list[tuple[str, str]]:
    """Each (disk, code) that was told; made a dict, it is what each disk was refused for last."""
    found = entries(m, "claim-disk")
    return [
        (e["DMGUARD_DISK"], e["DMGUARD_REASON"]) for e in found if e["DMGUARD_RESULT"] == "refused"
    ]


def reasons(m: Machine, pool: str = "docker/thinpool") -> set[str]:
    """The codes that were told of a pool."""
    return {e["DMGUARD_REASON"] for e in entries(m) if e.get("DMGUARD_POOL") == pool}


def claims(m: Machine, result: str = "done") -> list[str]:
    """The disks of the claims that ended like this. A finding that is gone is `done`, too."""
    found = entries(m, "claim-disk")
    return [
        e["DMGUARD_DISK"] for e in found if e["DMGUARD_RESULT"] == result and "DMGUARD_SIZE" in e
    ]


def failures(m: Machine) -> list[str]:
    """The disks of the claims that failed, but for those that found the VG locked."""
    failed = [e for e in entries(m, "claim-disk") if e["DMGUARD_RESULT"] == "failed"]
    return [e["DMGUARD_DISK"] for e in failed if e["DMGUARD_REASON"] != "vg-busy"]


def pvs(m: Machine, vg: str = "docker") -> list[str]:
    """The devices of a VG. Not to be polled: dmguard finds the VG locked while LVM reads it."""
    out = m.run(f"pvs --noheadings -o pv_name -S vg_name={vg} --config global/wait_for_locks=1").out
    return sorted(out.split())


def pv_size(m: Machine, node: str) -> int:
    """Bytes of a PV that LVM uses."""
    return int(m.run(f"pvs --noheadings --nosuffix --units b -o pv_size {node}").out)


def disk(m: Machine, node: str) -> dict[str, Any]:
    """What `dmguard disks` says of one disk, with its codes."""
    found = json.loads(m.run("dmguard disks --json").out)["disks"]
    (values,) = [d for d in found if d["disk"] == node]
    return {**values, "codes": [reason["code"] for reason in values["reasons"]]}


def seconds_to_claim(m: Machine, node: str, entry: dict[str, Any]) -> float:
    """From udev's first look at a disk until dmguard had seen it in the VG, and said so."""
    shown = m.run(f"udevadm info -q property --property USEC_INITIALIZED --value {node}").out
    took = (int(entry["__MONOTONIC_TIMESTAMP"]) - int(shown)) / 1e6
    print(f"claimed {took:.2f} s after udev saw it")
    return took


def relabel(m: Machine, node: str, rules: str) -> None:
    """Have udev look at a disk with these rules."""
    m.put(RULES, rules)
    m.run(f"udevadm control --reload && udevadm trigger --settle {node}")


def make_used(m: Machine) -> tuple[dict[str, str], dict[str, str]]:
    """Every kind of used disk: nodes by kind, and codes by node."""
    kinds = [*CRAFTED, *COMMANDS, "leg"]
    nodes = dict(zip(kinds, scsi.add(m, len(kinds)), strict=True))
    m.run(f"echo 1 >{scsi.DRIVER}/removable")
    nodes["removable"] = scsi.add(m, 1)[0]
    m.run(f"echo 0 >{scsi.DRIVER}/removable")
    expected = {nodes["leg"]: "disk-multipath-leg", nodes["removable"]: "disk-removable"}
    for kind, (pieces, code) in CRAFTED.items():
        put(m, nodes[kind], pieces(16 * MIB))
        expected[nodes[kind]] = code
    for kind, (command, code) in COMMANDS.items():
        m.run(command.format(nodes[kind]))
        expected[nodes[kind]] = code
    name = nodes["leg"].removeprefix("/dev/")
    relabel(m, nodes["leg"], f'KERNEL=="{name}", ENV{{DM_MULTIPATH_DEVICE_PATH}}="1"\n')
    # dmguard reads disks of more than 64 MiB at their ends and here and there.
    for kind in ("tail", "noise"):
        large = nodes[f"large {kind}"] = m.add_disk(LARGE).device
        pieces, expected[large] = CRAFTED[kind]
        put(m, large, pieces(LARGE))
    return nodes, expected


def is_told_to_be_gone(m: Machine, node: str) -> bool:
    """Is it said that what was wrong with a disk is no longer so?"""
    told = (e["MESSAGE"] for e in entries(m, "claim-disk") if e["DMGUARD_DISK"] == node)
    return any(": no longer: " in message for message in told)


def assert_refused_when_it_returns(m: Machine, node: str, code: str) -> None:
    """The rule is in force when the disk is plugged in."""
    told = len(refusals(m))
    place = scsi.pull(m, node)
    wait_for("told to be gone", lambda: is_told_to_be_gone(m, node), timeout=60)
    scsi.back(m, place)
    wait_for("told again", lambda: (node, code) in refusals(m)[told:], timeout=60)


def test_each_kind_of_used_disk_is_left_untouched_and_claimed_once_wiped(
    machines: Factory,
) -> None:
    """All of them at once; the same disks are claimed when nothing is in the way any more."""
    m = machines(disks=[64 * MIB, 32 * MIB], append=NO_DMEVENTD, config=config(more=NOBODY))
    make_vg(m, "docker", m.disks[:1], extent="1m")
    nodes, expected = make_used(m)
    other = m.disks[1].device
    assert m.run(f"ls {nodes['gpt with a partition']}?").out

    before = checksums(m, [*nodes.values(), other])
    assert refusals(m) == []
    configure(m, LINUX, rule('path = "platform-uml-blkdev.[34]"'))
    wait_for("all told", lambda: dict(refusals(m)) == expected, timeout=240)
    assert_refused_when_it_returns(m, nodes["noise"], "disk-has-data")

    assert disk(m, other)["codes"] == ["disk-no-rule"]
    assert pvs(m) == [m.disks[0].device]
    assert checksums(m, before) == before
    assert claims(m) == failures(m) == []

    configure(m, EITHER)
    m.run("umount /mnt && dmsetup remove over && vgremove -q -y other")
    scsi.pull(m, nodes.pop("removable"))
    relabel(m, nodes["leg"], "")
    wipe(m, [node for kind, node in nodes.items() if kind not in ("held", "leg")])
    scsi.back(m)
    wanted = {disk.device for disk in m.disks} | set(scsi.present(m))
    assert len(wanted) == len(before) + 1
    wait_for("all claimed", lambda: len(set(claims(m))) == len(before), timeout=600, interval=5)

    assert set(pvs(m)) == wanted
    assert set(Counter(claims(m)).values()) == {1}
    assert failures(m) == []
    root = disk(m, "/dev/ubda")
    assert (root["vg"], root["codes"]) == ("docker", ["disk-signature"])


def test_a_disk_of_other_sectors_or_with_a_double_is_left_until_that_is_gone(
    machines: Factory,
) -> None:
    """4Kn disks are not for a VG of 512-byte ones, but for one of their own kind."""
    m = machines(disks=[64 * MIB], append=NO_DMEVENTD, config=config(more=LINUX))
    make_vg(m, "docker", m.disks, extent="1m")
    first, base, large = scsi.add(m, 3, options="sector_size=4096")
    expected = dict.fromkeys((first, base, large), "disk-sector-size")
    wait_for("all told", lambda: dict(refusals(m)) == expected, timeout=60)
    assert checksums(m, expected) == dict.fromkeys(expected, BLANK)
    assert pvs(m) == [m.disks[0].device]

    # Its serial is the one that the doubles below have.
    scsi.pull(m, first)
    m.run(f"vgcreate -y -s 1m big {base}")
    configure(m, rule('vendor = "Linux"', vg="big"))
    wait_for("claimed", lambda: claims(m) == [large], timeout=60)
    assert pvs(m, "big") == [base, large]

    # From here on every disk that udev looks at has the serial of the first.
    m.run(f"udevadm settle && echo 0 >{scsi.DRIVER}/vpd_use_hostno")
    twins = scsi.add(m, 2)
    doubles = {(twin, "disk-not-unique") for twin in twins}
    wait_for("told", lambda: doubles <= set(refusals(m)), timeout=60)
    assert checksums(m, twins) == dict.fromkeys(twins, BLANK)
    assert pvs(m, "big") == [base, large]
    assert_claimed_once_it_has_no_double(m, twins, [base, large])


def assert_claimed_once_it_has_no_double(m: Machine, twins: list[str], others: list[str]) -> None:
    """One when the other is gone, and that one when its serial is its own."""
    place = scsi.pull(m, twins[1])
    wait_for("claimed", lambda: twins[0] in claims(m), timeout=60)
    told = len(refusals(m))
    scsi.back(m, place)
    (back,) = set(scsi.present(m)) - {*others, twins[0]}
    wait_for("told", lambda: (back, "disk-not-unique") in refusals(m)[told:], timeout=60)
    assert checksums(m, [back]) == {back: BLANK}
    assert pvs(m, "big") == sorted([*others, twins[0]])

    scsi.pull(m, back)
    m.run(f"echo 1 >{scsi.DRIVER}/vpd_use_hostno")
    scsi.back(m, place)
    (own,) = set(scsi.present(m)) - {*others, twins[0]}
    wait_for("claimed", lambda: claims(m)[1:] == [twins[0], own], timeout=60)
    assert pvs(m, "big") == sorted([*others, twins[0], own])
    assert failures(m) == []


@on_each_kernel
def test_a_dry_vg_is_refilled_by_a_disk_while_its_writer_hangs(machines: Factory) -> None:
    more = rule('path = "platform-uml-blkdev.*"', more='settle = "1s"')
    m = machines(disks=[128 * MIB], append=NO_DMEVENTD, config=config(more=more))
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "100m")
    device = raw_thin(m, "docker", "thinpool", "t0", 600 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    writer = start_writing(m, device, 0, 150)
    wait_for("dry", lambda: "vg-dry" in reasons(m), timeout=60)
    wait_for("full", lambda: pool_status(m, "docker", "thinpool")["mode"] == "out_of_data_space")

    new = m.add_disk(256 * MIB)
    result = writer.wait(90)
    assert (result.status, result.err) == (0, "")
    assert len(result.out.split()) == 150

    assert pvs(m) == [m.disks[0].device, new.device]
    wait_for("told", lambda: claims(m) == [new.device])
    (entry,) = (e for e in done(m, "claim-disk") if "DMGUARD_SIZE" in e)
    assert entry["DMGUARD_TRIGGER"] == "udev"
    assert 1 <= seconds_to_claim(m, new.device, entry) <= 1 + 5
    assert size_of(m, "docker", "thinpool") >= 150 * MIB
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"
    assert_reads_back(m, device, 0, 150)


def test_a_disk_taken_out_by_an_administrator_is_not_claimed_again(machines: Factory) -> None:
    """Nor one that is ignored, nor one that waits to be asked for; the next blank one is."""
    m = machines(disks=[64 * MIB], append=NO_DMEVENTD, config=config(more=LINUX))
    make_vg(m, "docker", m.disks, extent="1m")
    (out,) = scsi.add(m, 1)
    wait_for("claimed", lambda: claims(m) == [out])
    m.wait_until(f"grep -q {disk(m, out)['identity']} {LEDGER}")

    m.run(f"vgreduce -q docker {out}")
    wipe(m, [out])
    wait_for("told", lambda: (out, "disk-taken-out") in refusals(m))
    m.run("systemctl restart dmguard")
    (new,) = scsi.add(m, 1)
    wait_for("the control claimed", lambda: claims(m) == [out, new])
    assert disk(m, out)["codes"] == ["disk-taken-out"]
    assert pvs(m) == [new, m.disks[0].device]
    m.run(f"dmguard claim {out} --vg docker")
    assert pvs(m) == [out, new, m.disks[0].device]

    configure(m, rule('vendor = "Linux"', more='settle = "0"\nmode = "ask"'))
    ask, never = scsi.add(m, 2)
    wait_for("asked", lambda: {(ask, "disk-ask"), (never, "disk-ask")} <= set(refusals(m)))
    m.run(f"dmguard claim {ask} --vg docker && dmguard ignore {never}")
    assert pvs(m) == [out, new, ask, m.disks[0].device]
    configure(m, LINUX)
    (last,) = scsi.add(m, 1)
    wait_for("the control claimed", lambda: last in claims(m))
    assert disk(m, never)["codes"] == ["disk-ignored"]
    assert pvs(m) == [out, new, ask, last, m.disks[0].device]


def test_a_grown_disk_is_used(machines: Factory) -> None:
    """A PV that was made smaller than its disk on purpose stays as it is."""
    m = machines(append=NO_DMEVENTD, config=config())
    m.run("systemctl stop dmguard")
    nodes = {vg: loops.add(m, vg, 128 * MIB) for vg in ("docker", "small")}
    m.run(f"pvcreate -q -y --setphysicalvolumesize 120m {nodes['small']}")
    thin = []
    for number, (vg, node) in enumerate(nodes.items()):
        m.run(f"vgcreate -q -y {vg} {node}")
        make_pool(m, vg, "thinpool", "100m")
        thin.append(raw_thin(m, vg, "thinpool", f"t{number}", 600 * MIB, 0))
    m.run("systemctl start dmguard")
    for vg in ("docker", "small"):
        wait_for_mark(m, vg, "thinpool")
        m.wait_until(f"grep -q $(pvs --noheadings -o pv_uuid {nodes[vg]}) {LEDGER}")
    sizes = {vg: pv_size(m, nodes[vg]) for vg in ("docker", "small")}

    loops.grow(m, nodes["docker"], 256 * MIB)
    (entry,) = wait_for("resized", lambda: done(m, "resize-pv"), timeout=60)
    assert (entry["DMGUARD_DISK"], entry["DMGUARD_TRIGGER"]) == (nodes["docker"], "udev")
    assert pv_size(m, nodes["docker"]) == sizes["docker"] + 128 * MIB
    write(m, thin[0], 0, 130)
    wait_for("grown into it", lambda: size_of(m, "docker", "thinpool") > 130 * MIB)
    assert_reads_back(m, thin[0], 0, 130)

    m.run(f"systemctl restart dmguard && udevadm trigger --settle {nodes['small']}")
    loops.grow(m, nodes["docker"], 320 * MIB)
    wait_for("resized again", lambda: len(done(m, "resize-pv")) == 2, timeout=60)
    assert pv_size(m, nodes["docker"]) == sizes["docker"] + 192 * MIB
    assert pv_size(m, nodes["small"]) == sizes["small"] < 120 * MIB
    assert {e["DMGUARD_DISK"] for e in entries(m, "resize-pv")} == {nodes["docker"]}


def seqno(m: Machine) -> int:
    """How often the VG has been changed, read also while LVM is at work."""
    return int(m.run("vgs --nolocking --noheadings -o vg_seqno docker").out)


def missing_pvs(m: Machine) -> str:
    """How many PVs of the VG are away, as LVM sees it."""
    return m.run("vgs --nolocking --noheadings -o vg_missing_pv_count docker").out.strip()


def wait_for_new_table(m: Machine, times: int, before: str) -> None:
    """Until a stale table was loaded anew so often, for a disk that came back with another name."""

    def told() -> int:
        return len([e for e in done(m, "refresh") if e["DMGUARD_REASON"] == "stale-table"])

    wait_for("refreshed", lambda: told() == times, timeout=60)
    (node,) = scsi.present(m)
    assert node != before
    deps = m.run("dmsetup deps -o blkdevname docker-thinpool_tdata").out
    assert f"({node.removeprefix('/dev/')})" in deps


def make_dry_pool(m: Machine, node: str) -> None:
    """A pool with all its data on one disk, in a VG without a free extent."""
    here = m.disks[0].device
    m.run(
        f"vgcreate -q -y -s 1m docker {here} {node} && lvcreate -q -y -L 4m -n meta docker {here}"
        f" && lvcreate -q -y -l 100%PVS -n thinpool docker {node}"
        " && lvconvert -q -y -Zn -c 64k --thinpool docker/thinpool --poolmetadata docker/meta"
        " && lvcreate -q -y -l 100%FREE -n filler docker"
    )


def assert_taken_back_after_a_change(m: Machine) -> None:
    """The PV is pulled, the VG is changed by hand without it, and it comes back."""
    (pulled,) = scsi.present(m)
    scsi.pull(m, pulled)
    extra = m.add_disk(16 * MIB).device
    wait_for("told", lambda: (extra, "vg-missing-pv") in refusals(m), timeout=60)
    m.run(f"vgextend -q docker {extra}")
    last = m.add_disk(32 * MIB).device
    wait_for("told", lambda: (last, "vg-missing-pv") in refusals(m), timeout=60)
    scsi.back(m)
    (entry,) = wait_for("taken back", lambda: done(m, "restore-pv"), timeout=60)
    assert entry["DMGUARD_REASON"] == "pv-returned"
    wait_for_new_table(m, 2, pulled)
    wait_for("claimed", lambda: last in claims(m), timeout=60)
    assert missing_pvs(m) == "0"


def pull_under_a_writer(m: Machine, node: str, device: str) -> None:
    """The writer gets errors, and the pool can no longer be written."""
    scsi.pull(m, node)
    assert start_writing(m, device, 52, 4).wait(60).status != 0

    def is_broken() -> bool:
        status = pool_status(m, "docker", "thinpool")
        return status["mode"] == "ro" and status["needs_check"]

    wait_for("ro needs_check", is_broken, timeout=60)


def told_steps(m: Machine) -> list[str]:
    """The commands that `dmguard recover` names for the pool, which it leaves alone."""
    recovered = m.run("dmguard recover", check=False)
    assert recovered.status == 4
    _, _, left = recovered.out.partition("Left alone:")
    assert "[pool-needs-check]" in left
    assert "lvconvert --repair VG/POOL" in left
    assert m.run("dmguard explain pool-needs-check").out.strip().splitlines()[-1][9:] in left
    return [
        step.replace("VG/POOL", "docker/thinpool")
        for step in re.findall(r"lvchange -a.*?VG/POOL", left)
    ]


def test_a_pv_that_is_pulled_and_returns(machines: Factory) -> None:
    more = rule('path = "platform-uml-blkdev.*"')
    m = machines(disks=[16 * MIB], append=NO_DMEVENTD, config=config(more=more))
    (pulled,) = scsi.add(m, 1, size_mb=64)
    make_dry_pool(m, pulled)
    size = size_of(m, "docker", "thinpool")
    device = raw_thin(m, "docker", "thinpool", "t0", 400 * MIB, 0)
    write(m, device, 0, 52)
    wait_for("dry", lambda: "vg-dry" in reasons(m), timeout=60)

    before = seqno(m)
    pull_under_a_writer(m, pulled, device)
    wait_for("told", lambda: "vg-missing-pv" in reasons(m), timeout=60)
    new = m.add_disk(64 * MIB).device
    wait_for("told", lambda: (new, "vg-missing-pv") in refusals(m), timeout=60)
    assert (seqno(m), missing_pvs(m)) == (before, "1")
    assert claims(m) == []

    scsi.back(m)
    wait_for_new_table(m, 1, pulled)
    wait_for("claimed", lambda: claims(m) == [new], timeout=60)
    wait_for("told", lambda: "pool-needs-check" in reasons(m), timeout=60)
    down, up = told_steps(m)
    assert size_of(m, "docker", "thinpool") == size
    assert [e for e in entries(m, "extend-data") if "DMGUARD_TARGET" in e] == []

    # The control: checked as it is told, it grows, and nothing that was synced is lost.
    m.run(f"dmsetup remove t0 && {down} && {up}")
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size, timeout=60)
    bring_thin_up(m, "docker", "thinpool", "t0", 400 * MIB, 0)
    assert_reads_back(m, device, 0, 52)

    assert_taken_back_after_a_change(m)


def make_stopped_claim(m: Machine, *, committed: bool) -> tuple[str, str]:
    """Have a disk claimed, and LVM stopped before or after it committed: the disk, LVM's pid."""
    make_vg(m, "docker", m.disks, extent="1m")
    make_pool(m, "docker", "thinpool", "100m")
    wait_for_mark(m, "docker", "thinpool")
    before = seqno(m)
    catcher = catch_vgextend(m, m.disks[0].device if committed else "")
    (node,) = scsi.add(m, 1)
    caught = catcher.wait(120)
    assert (caught.status, caught.err) == (0, "")
    home = m.run(f"pvs --nolocking --noheadings -o pv_name,vg_name {node}").out.split()
    assert home == ([node, "docker"] if committed else [node])
    assert seqno(m) == before + committed
    return node, caught.out


def pull_and_go_on(m: Machine, node: str, lvm: str) -> None:
    """Pull the disk out, let LVM come to its end without it, and see that it is told."""
    scsi.pull(m, node)
    m.run(f"kill -CONT {lvm}")
    wait_for("told", lambda: node in (*claims(m, "refused"), *claims(m, "failed")), timeout=60)
    m.wait_until(f"test ! -e {INTENT}")
    assert claims(m) == []


def test_a_disk_that_is_pulled_before_its_claim_is_committed(machines: Factory) -> None:
    """The VG is as it was and takes the next disk; what LVM wrote to the first one is told."""
    m = machines(disks=[128 * MIB], append=NO_DMEVENTD, config=config(more=EITHER))
    node, lvm = make_stopped_claim(m, committed=False)
    agent, before = main_pid(m), seqno(m)
    pull_and_go_on(m, node, lvm)
    assert (seqno(m), missing_pvs(m)) == (before, "0")
    new = m.add_disk(16 * MIB).device
    wait_for("claimed", lambda: claims(m) == [new], timeout=60)

    # Its label cannot be taken away while it is out, and nothing shows afterwards whose it is.
    scsi.back(m)
    (returned,) = scsi.present(m)
    wait_for("told", lambda: (returned, "disk-orphan-pv") in refusals(m), timeout=60)
    wipe(m, [returned])
    wait_for("claimed", lambda: claims(m) == [new, returned], timeout=60)
    assert pvs(m) == sorted([m.disks[0].device, new, returned])
    assert main_pid(m) == agent
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"


def test_a_disk_that_is_pulled_after_its_claim_is_committed(machines: Factory) -> None:
    """The VG misses it and stays as it is until it returns; then it is a PV, and the VG grows."""
    m = machines(disks=[128 * MIB], append=NO_DMEVENTD, config=config(more=EITHER))
    node, lvm = make_stopped_claim(m, committed=True)
    agent, committed = main_pid(m), seqno(m)
    pull_and_go_on(m, node, lvm)
    wait_for("told", lambda: "vg-missing-pv" in reasons(m), timeout=60)
    new = m.add_disk(16 * MIB).device
    wait_for("told", lambda: (new, "vg-missing-pv") in refusals(m), timeout=60)
    assert (seqno(m), missing_pvs(m)) == (committed, "1")

    scsi.back(m)
    (returned,) = scsi.present(m)
    wait_for("claimed", lambda: claims(m) == [new], timeout=60)
    assert missing_pvs(m) == "0"
    assert pvs(m) == sorted([m.disks[0].device, new, returned])
    assert main_pid(m) == agent
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"
