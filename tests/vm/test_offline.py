"""`dmguard recover --offline`: pools that come back only with their consumers stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.edge.schema import check
from tests.lab.lvmkit import docker_direct_lvm, pool_status
from tests.vm.bootkit import Containerd, assert_docker_works, is_active, plugin
from tests.vm.kit import MIB, entries, wait_for
from tests.vm.offlinekit import (
    COPIES,
    SPACE_MAP,
    SUPERBLOCK,
    copy_sum,
    make_volume,
    metadata_sum,
    spoil,
    sum_of,
    take_down,
)
from tests.vm.wrongs.pools import READ_ONLY, torn

if TYPE_CHECKING:
    from tests.lab.channel import Result
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory


def offline(m: Machine, *words: str) -> tuple[int, dict[str, Any]]:
    command = f"dmguard recover --offline --yes --json {' '.join(words)}"
    answer = m.run(command, check=False, timeout=300)
    print(answer.out, answer.err)
    return answer.status, check("recover", answer.out)


def snapshot(m: Machine) -> str:
    return m.run(
        f"dmsetup table; dmsetup status docker-thinpool; lvs -a; systemctl is-active docker"
        f" docker.socket; ls -lR {COPIES}; wc -l /var/lib/dmguard/history.jsonl",
        check=False,
    ).out


def on_a_terminal(m: Machine, answer: str, words: str) -> Result:
    return m.run(f"echo {answer} | script -qec 'dmguard recover --offline {words}' /dev/null",
                 check=False, timeout=300)  # fmt: skip


def test_a_pool_is_taken_out_of_use_repaired_and_given_back(machines: Factory) -> None:
    m = machines(disks=[1 << 30, 512 * MIB])
    docker_direct_lvm(m, m.disks[0])
    m.run(f"vgcreate -q -y -s 1m vg {m.disks[1].device}")
    docker_is_stopped_and_started_and_only_if_that_is_agreed_to(m)
    m.run("systemctl stop dmguard")
    damage_is_repaired_with_what_was_there_kept(m)
    what_thin_repair_cannot_repair_is_left_as_it_was(m)
    nothing_is_taken_from_who_has_it_open(m)


def docker_is_stopped_and_started_and_only_if_that_is_agreed_to(m: Machine) -> None:
    m.run("docker run --name kept --network none busybox sh -c 'echo of before >/kept'")
    started = m.run("systemctl show docker -P ExecMainStartTimestampMonotonic").out
    m.run(torn(READ_ONLY, "docker-thinpool"), check=False)
    status = pool_status(m, "docker", "thinpool")
    assert (status["mode"], status["needs_check"]) == ("ro", True)

    before = snapshot(m)
    plain = m.run("dmguard recover docker/thinpool", check=False)
    assert (plain.status, "dmguard recover --offline" in plain.out) == (4, True)
    shown = m.run("dmguard recover --offline -n docker/thinpool").out
    print(shown)
    for step in (
        "systemctl stop docker.socket",
        "systemctl stop docker.service",
        "cp --sparse=always /dev/mapper/docker-thinpool_tmeta",
        "lvconvert --repair",
        "systemctl start docker.service",
    ):
        assert step in shown
    unasked = m.run("dmguard recover --offline docker/thinpool", check=False)
    assert (unasked.status, "--yes" in unasked.err) == (2, True)
    declined = on_a_terminal(m, "n", "docker/thinpool")
    assert (declined.status, "lvconvert --repair" in declined.out) == (4, True), declined.out
    assert snapshot(m) == before, "it was only asked, and the answer was no"

    agreed = on_a_terminal(m, "y", "docker/thinpool")
    print(agreed.out)
    assert agreed.status == 0
    status = pool_status(m, "docker", "thinpool")
    assert (status["mode"], status["needs_check"]) == ("rw", False)
    assert_docker_works(m)
    assert m.run("systemctl show docker -P ExecMainStartTimestampMonotonic").out != started
    assert is_active(m, "docker.socket")
    kept = "docker start kept >/dev/null && docker wait kept >/dev/null; docker cp kept:/kept -"
    assert "of before" in m.run(f"{kept} | tar -xO").out
    (act,) = (e for e in entries(m) if e["DMGUARD_ACTION"] == "repair-pool")
    assert (act["DMGUARD_RESULT"], act["DMGUARD_REASON"]) == ("done", "pool-needs-check")
    (copy,) = m.run(f"ls {COPIES}/*.img").out.split()
    assert copy in act["MESSAGE"]
    assert copy_sum(m, "docker", "thinpool")
    # The copy is what it was before: marked, and sound.
    assert m.run(f"thin_dump {copy}").status == 0
    m.run(f"rm {COPIES}/*")
    again = m.run("dmguard recover --offline --yes docker/thinpool")
    assert again.out == "nothing is wrong\n"


def damage_is_repaired_with_what_was_there_kept(m: Machine) -> None:
    data = make_volume(m, "vg", "hurt")
    take_down(m, "vg", "hurt")
    hurt = spoil(m, "vg", "hurt", SPACE_MAP)
    plain = m.run("dmguard recover vg/hurt", check=False)
    assert (plain.status, "[thin-check-failed]" in plain.out) == (4, True)
    assert metadata_sum(m, "vg", "hurt") == hurt

    shown = m.run("dmguard recover --offline -n vg/hurt").out
    assert "lvconvert --repair" in shown, "that its check has failed is known from the time before"
    status, told = offline(m, "vg/hurt")
    assert (status, [done["act"] for done in told["done"]]) == (0, ["repair-pool"])
    assert pool_status(m, "vg", "hurt")["mode"] == "rw"
    m.run("lvchange -q -ay vg/hurt-data")
    assert sum_of(m, "vg", "hurt") == data
    assert copy_sum(m, "vg", "hurt") == hurt
    m.run("lvchange -q -y -ay vg/hurt_meta0")
    assert m.run("sha256sum /dev/vg/hurt_meta0").out.split()[0] == hurt
    m.run(f"lvremove -q -y vg/hurt vg/hurt_meta0 && rm {COPIES}/*")


def what_thin_repair_cannot_repair_is_left_as_it_was(m: Machine) -> None:
    make_volume(m, "vg", "lost")
    take_down(m, "vg", "lost")
    lost = spoil(m, "vg", "lost", SUPERBLOCK)
    status, told = offline(m, "vg/lost")
    acts = [(d["act"], d["result"], d["reason"]) for d in told["done"]]
    assert (status, acts) == (
        1,
        [
            ("activate", "refused", "thin-check-failed"),
            ("repair-pool", "failed", "pool-not-repaired"),
        ],
    )
    assert "transaction id" in told["done"][1]["detail"]
    assert metadata_sum(m, "vg", "lost") == lost
    assert copy_sum(m, "vg", "lost") == lost
    assert not m.run("lvs --noheadings -o name vg/lost_meta0", check=False).out
    m.run(f"lvremove -q -y vg/lost && rm {COPIES}/*")


def nothing_is_taken_from_who_has_it_open(m: Machine) -> None:
    make_volume(m, "vg", "used")
    m.run("mkfs.ext4 -q /dev/vg/used-data && mount /dev/vg/used-data /mnt && touch /mnt/there")
    m.run("dmsetup message vg-used-tpool 0 'create_thin 7' && dmsetup create beside --table"
          " '0 2048 thin /dev/mapper/vg-used-tpool 7'")  # fmt: skip
    m.run(torn(READ_ONLY, "vg-used", "-tpool"), check=False)
    assert pool_status(m, "vg", "used")["needs_check"]
    status, told = offline(m, "vg/used")
    assert (status, told["done"][0]["reason"]) == (4, "pool-open")
    assert m.run("ls /mnt").out.split() == ["lost+found", "there"]
    assert pool_status(m, "vg", "used")["mode"] == "ro"
    assert not m.run(f"ls {COPIES}").out

    m.run("umount /mnt")
    holder = m.start("exec 3</dev/mapper/beside; echo held; exec sleep 600")
    m.wait_until("test $(dmsetup info -c --noheadings -o open beside) -eq 1", 10)
    status, told = offline(m, "vg/used")
    assert (status, told["done"][0]["reason"]) == (4, "pool-open")
    assert "beside" in told["done"][0]["detail"]
    # What had been put down before is up again.
    m.run("mount /dev/vg/used-data /mnt && ls /mnt/there && umount /mnt")

    m.run("pkill -x sleep")
    holder.wait(10)
    status, told = offline(m, "vg/used")
    assert (status, told["done"][0]["result"]) == (0, "done")
    assert pool_status(m, "vg", "used")["mode"] == "rw"
    m.run("mount /dev/vg/used-data /mnt && ls /mnt/there && touch /mnt/written && umount /mnt")
    assert m.run("dmsetup info beside", check=False).status != 0


def test_what_goes_on_without_its_daemon_is_named_and_nothing_is_taken_from_it(
    machines: Factory,
) -> None:
    """containerd leaves its thin devices up when it stops, and what runs in them runs on."""
    consumer = Containerd(machines)
    m = consumer.m
    m.run("systemctl stop dmguard")
    m.run("ctr snapshot --snapshotter devmapper prepare box", timeout=60)
    words = m.run("ctr snapshot --snapshotter devmapper mounts /mnt box").out
    mount = words.strip().removesuffix("-o")
    m.run(f"{mount} && echo of before >/mnt/file && sync")
    m.run(torn(READ_ONLY, "docker-thinpool"), check=False)
    assert pool_status(m, "docker", "thinpool")["needs_check"]

    status, told = offline(m)
    assert (status, told["done"][0]["reason"]) == (4, "pool-open")
    assert "docker-thinpool-snap-1" in told["done"][0]["detail"]
    assert is_active(m, "containerd")
    assert m.run("cat /mnt/file").out == "of before\n"
    assert pool_status(m, "docker", "thinpool")["needs_check"]

    m.run("umount /mnt")
    status, told = offline(m)
    assert (status, told["done"][0]["result"]) == (0, "done")
    live = pool_status(m, "docker", "thinpool")
    assert (live["mode"], live["needs_check"]) == ("rw", False)
    wait_for("containerd active", lambda: is_active(m, "containerd"), timeout=120)
    assert plugin(m) == "ok"
    # It had noted the snapshot as active, and makes its device anew.
    assert m.run(f"{mount} && cat /mnt/file && echo more >/mnt/more && umount /mnt").out.endswith(
        "of before\n"
    )
