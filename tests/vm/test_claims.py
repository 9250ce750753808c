"""New disks become space, used ones are left alone, and PVs that grow, go and return are kept."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.lab import loops, scsi
from tests.lab.lvmkit import make_pool, make_vg, pool_status, raw_thin
from tests.vm.disks import COMMANDS, CRAFTED, checksums, put, wipe
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    assert_reads_back,
    config,
    entries,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

LEDGER = "/var/lib/dmguard/disks.json"
DEBUG = "/sys/bus/pseudo/drivers/scsi_debug"
RULES = "/etc/udev/rules.d/70-leg.rules"


def rule(match: str, vg: str = "docker", more: str = 'settle = "0"') -> str:
    """One claim rule."""
    return f'[[claim]]\nvg = "{vg}"\nmatch = {{ {match} }}\n{more}\n'


LINUX = rule('vendor = "Linux"')
NOBODY = rule('vendor = "nobody"')


def configure(m: Machine, *rules: str) -> None:
    """Let the agent take other rules."""
    m.put("/etc/dmguard/dmguard.toml", config(more="\n".join(rules)))
    m.run("systemctl reload dmguard")


def refusals(m: Machine) -> list[tuple[str, str]]:
    """Each (disk, code) that was told."""
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


def pvs(m: Machine, vg: str = "docker") -> list[str]:
    """The devices of a VG."""
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
    m.run(f"echo 1 >{DEBUG}/removable")
    nodes["removable"] = scsi.add(m, 1)[0]
    expected = {nodes["leg"]: "disk-multipath-leg", nodes["removable"]: "disk-removable"}
    for kind, (pieces, code) in CRAFTED.items():
        put(m, nodes[kind], pieces(16 * MIB))
        expected[nodes[kind]] = code
    for kind, (command, code) in COMMANDS.items():
        m.run(command.format(nodes[kind]))
        expected[nodes[kind]] = code
    name = nodes["leg"].removeprefix("/dev/")
    relabel(m, nodes["leg"], f'KERNEL=="{name}", ENV{{DM_MULTIPATH_DEVICE_PATH}}="1"\n')
    return nodes, expected


def test_each_kind_of_used_disk_is_left_untouched_and_claimed_once_wiped(
    machines: Factory,
) -> None:
    """All of them at once; the same disks are claimed when nothing is in the way any more."""
    m = machines(disks=[64 * MIB, 32 * MIB], append=NO_DMEVENTD, config=config(more=NOBODY))
    make_vg(m, "docker", m.disks[:1], extent="1m")
    nodes, expected = make_used(m)
    other = m.disks[1].device

    before = checksums(m, [*nodes.values(), other])
    assert refusals(m) == []
    configure(m, LINUX)
    wait_for("all told", lambda: {d for d, _ in refusals(m)} >= expected.keys(), timeout=120)

    assert sorted(refusals(m)) == sorted(expected.items())
    assert disk(m, other)["codes"] == ["disk-no-rule"]
    assert pvs(m) == [m.disks[0].device]
    assert checksums(m, before) == before
    assert claims(m) == claims(m, "failed") == []

    configure(m, LINUX, rule('path = "platform-uml-blkdev.*"'))
    m.run("umount /mnt && dmsetup remove over && vgremove -q -y other")
    m.run(f"echo 0 >{DEBUG}/removable")
    scsi.pull(m, nodes.pop("removable"))
    relabel(m, nodes["leg"], "")
    wipe(m, [node for kind, node in nodes.items() if kind not in ("held", "leg")])
    scsi.back(m)
    wanted = {m.disks[0].device, other, *scsi.present(m)}
    assert len(wanted) == len(before) + 1
    wait_for("all claimed", lambda: set(pvs(m)) == wanted, timeout=240, interval=2)
    wait_for("all told", lambda: len(claims(m)) == len(before))

    assert set(Counter(claims(m)).values()) == {1}
    assert claims(m, "failed") == []
    root = disk(m, "/dev/ubda")
    assert (root["vg"], root["codes"]) == ("docker", ["disk-signature"])


def test_a_disk_of_other_sectors_or_with_a_double_is_left_until_that_is_gone(
    machines: Factory,
) -> None:
    """4Kn disks are not for a VG of 512-byte ones, but for one of their own kind."""
    m = machines(disks=[64 * MIB], append=NO_DMEVENTD, config=config(more=LINUX))
    make_vg(m, "docker", m.disks, extent="1m")
    first, base, large = scsi.add(m, 3, options="sector_size=4096")
    wait_for(
        "all told",
        lambda: sorted(refusals(m)) == [(n, "disk-sector-size") for n in (first, base, large)],
    )
    assert pvs(m) == [m.disks[0].device]

    # Its serial is the one that the doubles below have.
    scsi.pull(m, first)
    m.run(f"vgcreate -y -s 1m big {base}")
    configure(m, rule('vendor = "Linux"', vg="big"))
    wait_for("claimed", lambda: pvs(m, "big") == [base, large], timeout=60)

    wait_for("told", lambda: claims(m) == [large])
    # From here on every disk that udev looks at has the serial of the first.
    m.run(f"udevadm settle && echo 0 >{DEBUG}/vpd_use_hostno")
    twins = scsi.add(m, 2)
    before = checksums(m, twins)
    wait_for("told", lambda: {(twin, "disk-not-unique") for twin in twins} <= set(refusals(m)))
    assert checksums(m, twins) == before
    assert pvs(m, "big") == [base, large]

    scsi.pull(m, twins[1])
    wait_for("claimed", lambda: pvs(m, "big") == sorted([base, large, twins[0]]), timeout=60)
    wait_for("told", lambda: sorted(claims(m)) == sorted([large, twins[0]]))
    assert claims(m, "failed") == []


def test_forty_disks_in_one_burst_with_a_limit_of_eight(machines: Factory) -> None:
    more = rule('vendor = "Linux"', more='settle = "0"\nlimit = 8')
    m = machines(disks=[64 * MIB], append=NO_DMEVENTD, config=config(more=more))
    make_vg(m, "docker", m.disks, extent="1m")

    nodes = scsi.add(m, 40, size_mb=8)
    wait_for("eight PVs", lambda: len(pvs(m)) == 8, timeout=120, interval=2)
    wait_for("the rest told", lambda: len(set(refusals(m))) == 33, timeout=60)
    done = claims(m)

    assert len(pvs(m)) == 8
    assert set(pvs(m)) == {m.disks[0].device, *done}
    assert (len(done), len(set(done))) == (7, 7)
    assert sorted(refusals(m)) == sorted((node, "vg-limit") for node in set(nodes) - set(done))
    assert [e for e in entries(m) if e["DMGUARD_RESULT"] == "failed"] == []


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
    (entry,) = wait_for(
        "told", lambda: [e for e in entries(m, "claim-disk") if "DMGUARD_SIZE" in e]
    )
    assert (entry["DMGUARD_RESULT"], entry["DMGUARD_TRIGGER"]) == ("done", "udev")
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
    wait_for("the control claimed", lambda: last in pvs(m))
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
    (entry,) = wait_for("resized", lambda: entries(m, "resize-pv"))
    assert (entry["DMGUARD_RESULT"], entry["DMGUARD_TRIGGER"]) == ("done", "udev")
    assert entry["DMGUARD_DISK"] == nodes["docker"]
    assert pv_size(m, nodes["docker"]) == sizes["docker"] + 128 * MIB
    write(m, thin[0], 0, 130)
    wait_for("grown into it", lambda: size_of(m, "docker", "thinpool") > 130 * MIB)
    assert_reads_back(m, thin[0], 0, 130)

    m.run(f"systemctl restart dmguard && udevadm trigger --settle {nodes['small']}")
    loops.grow(m, nodes["docker"], 320 * MIB)
    wait_for("resized again", lambda: len(entries(m, "resize-pv")) == 2)
    assert pv_size(m, nodes["docker"]) == sizes["docker"] + 192 * MIB
    assert pv_size(m, nodes["small"]) == sizes["small"] < 120 * MIB
    assert {e["DMGUARD_DISK"] for e in entries(m, "resize-pv")} == {nodes["docker"]}


def seqno(m: Machine) -> int:
    """How often the VG has been changed."""
    return int(m.run("vgs --noheadings -o vg_seqno docker").out)


def wait_for_new_table(m: Machine, times: int) -> None:
    """Until a stale table was loaded anew so often, and the data is on the disk that came back."""

    def told() -> list[str]:
        found = [e for e in entries(m, "refresh") if e["DMGUARD_REASON"] == "stale-table"]
        return [e["DMGUARD_RESULT"] for e in found]

    wait_for("refreshed", lambda: told() == ["done"] * times, timeout=60)
    (node,) = scsi.present(m)
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
    scsi.pull(m, *scsi.present(m))
    extra = m.add_disk(16 * MIB).device
    wait_for("told", lambda: (extra, "vg-missing-pv") in refusals(m))
    m.run(f"vgextend -q docker {extra}")
    last = m.add_disk(32 * MIB).device
    wait_for("told", lambda: (last, "vg-missing-pv") in refusals(m))
    scsi.back(m)
    (entry,) = wait_for("taken back", lambda: entries(m, "restore-pv"), timeout=60)
    assert (entry["DMGUARD_RESULT"], entry["DMGUARD_REASON"]) == ("done", "pv-returned")
    wait_for_new_table(m, 2)
    wait_for("claimed", lambda: last in claims(m), timeout=60)
    assert m.run("vgs --noheadings -o vg_missing_pv_count docker").out.strip() == "0"


def test_a_pv_that_is_pulled_and_returns(machines: Factory) -> None:
    more = rule('path = "platform-uml-blkdev.*"')
    m = machines(disks=[16 * MIB], append=NO_DMEVENTD, config=config(more=more))
    (pulled,) = scsi.add(m, 1, size_mb=64)
    make_dry_pool(m, pulled)
    size = size_of(m, "docker", "thinpool")
    device = raw_thin(m, "docker", "thinpool", "t0", 400 * MIB, 0)
    write(m, device, 0, 52)
    wait_for("dry", lambda: "vg-dry" in reasons(m))

    # Pulled under a writer, which then gets errors.
    scsi.pull(m, pulled)
    assert start_writing(m, device, 52, 4).wait(60).status != 0
    status = pool_status(m, "docker", "thinpool")
    assert (status["mode"], status["needs_check"]) == ("ro", True)
    wait_for("told", lambda: "vg-missing-pv" in reasons(m), timeout=45)
    before = seqno(m)
    new = m.add_disk(64 * MIB).device
    wait_for("told", lambda: (new, "vg-missing-pv") in refusals(m))
    assert seqno(m) == before
    assert claims(m) == []

    scsi.back(m)
    wait_for_new_table(m, 1)
    wait_for("claimed", lambda: claims(m) == [new], timeout=60)
    wait_for("told", lambda: "pool-needs-check" in reasons(m))
    recovered = m.run("dmguard recover --json", check=False)
    left = json.loads(recovered.out)["left"]
    (finding,) = [each for each in left if each["subject"] == "docker/thinpool"]
    assert (recovered.status, finding["code"]) == (4, "pool-needs-check")
    assert size_of(m, "docker", "thinpool") == size
    assert [e for e in entries(m, "extend-data") if "DMGUARD_TARGET" in e] == []

    # The control: checked, it grows, and nothing that was synced is lost.
    m.run(
        "dmsetup remove t0 && lvchange -q -an docker/thinpool && lvchange -q -ay --config"
        """ 'global/thin_check_options=["-q","--clear-needs-check-flag"]' docker/thinpool"""
    )
    wait_for("grown", lambda: size_of(m, "docker", "thinpool") > size, timeout=60)
    table = f"0 {400 * MIB // 512} thin /dev/mapper/docker-thinpool 0"
    m.run(f"dmsetup create t0 --table '{table}' && udevadm settle")
    assert_reads_back(m, device, 0, 52)

    assert_taken_back_after_a_change(m)


def test_a_disk_that_is_pulled_while_it_is_claimed(machines: Factory) -> None:
    """The agent lives, what became of the VG is told, and the next disk is claimed."""
    m = machines(disks=[128 * MIB], append=NO_DMEVENTD, config=config(more=LINUX))
    make_vg(m, "docker", m.disks, extent="1m")
    make_pool(m, "docker", "thinpool", "100m")
    wait_for_mark(m, "docker", "thinpool")
    pid = m.run("systemctl show -P MainPID dmguard").out

    # The command is `lvm vgextend …`; held in its middle, it goes on without its disk.
    trap = m.start("until pkill -STOP -f '^lvm vgextend'; do :; done")
    (node,) = scsi.add(m, 1)
    assert trap.wait(60).status == 0
    scsi.pull(m, node)
    m.run("pkill -CONT -f '^lvm vgextend'")
    ended = wait_for(
        "told", lambda: [e for e in entries(m, "claim-disk") if "DMGUARD_SIZE" in e], timeout=60
    )
    print(ended[0]["DMGUARD_RESULT"], ended[0]["MESSAGE"])
    assert ended[0]["DMGUARD_DISK"] == node
    if "[unknown]" in m.run("pvs -o pv_name,vg_name").out:
        wait_for("told", lambda: "vg-missing-pv" in reasons(m), timeout=45)
        m.run("vgreduce -q --removemissing docker")

    (other,) = scsi.add(m, 1)
    wait_for("claimed", lambda: other in pvs(m), timeout=60)
    wait_for("told", lambda: other in claims(m))
    assert pvs(m) == [other, m.disks[0].device]
    assert m.run("systemctl show -P MainPID dmguard").out == pid
    assert pool_status(m, "docker", "thinpool")["mode"] == "rw"
