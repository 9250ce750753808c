"""A raw pool of containerd's, on two files: up before it after a power cut, and never made anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.vm.bootkit import ACTIVATE, WITHOUT, cut_and_boot, is_active, plugin, turns
from tests.vm.kit import MIB, history, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

FOLDER = "/srv/devmapper"
DATA, METADATA = f"{FOLDER}/data", f"{FOLDER}/metadata"
CONFIG = f"""[guard]
resync = "2s"
[policy]
min_step = "0"
headroom = "0"
[[raw_pool]]
name = "devpool"
data = "{DATA}"
metadata = "{METADATA}"
max_size = "300MiB"
[[raw_pool]]
name = "diskpool"
data = "/dev/disk/by-path/platform-uml-blkdev.1"
metadata = "/dev/disk/by-path/platform-uml-blkdev.2"
block_size = "128KiB"
options = ["skip_block_zeroing"]
"""


def test_a_raw_pool_comes_up_before_containerd_and_is_never_made_anew(machines: Factory) -> None:
    m = machines("trixie", disks=[100 * MIB + 65536, 16 * MIB], config=CONFIG)
    make_by_hand(m)
    m.run("systemctl start containerd", timeout=120)
    assert plugin(m) == "ok"
    m.run("systemctl enable containerd.service")

    cut_and_boot(m, WITHOUT)
    wait_for("containerd active", lambda: is_active(m, "containerd.service"), timeout=120)
    assert plugin(m) == "error"

    cut_and_boot(m)
    wait_for("containerd active", lambda: is_active(m, "containerd.service"), timeout=120)
    assert plugin(m) == "ok"
    assert len(turns(m, "containerd.service")) == 1
    assert len(turns(m, ACTIVATE)) == 1
    table = m.run("dmsetup table diskpool").out.split()
    assert table[1] == str(100 * MIB // 512)
    assert table[5:] == ["256", "200", "1", "skip_block_zeroing"]
    assert set(m.run("losetup -n -O BACK-FILE").out.split()) == {METADATA, DATA}

    grows_to_its_ceiling(m)
    is_never_made_anew(m)


def make_by_hand(m: Machine) -> None:
    """As the guides of containerd and Kata have it; and one on disks."""
    m.run(
        f"mkdir -p {FOLDER} && truncate -s 200M {DATA} && truncate -s 16M {METADATA}"
        f" && D=$(losetup --find --show {DATA}) && M=$(losetup --find --show {METADATA})"
        f' && dmsetup create devpool --table "0 409600 thin-pool $M $D 128 800"'
        f" && dmsetup create diskpool"
        f" --table '0 2048 thin-pool {m.disks[1].device} {m.disks[0].device} 256 0'"
    )
    m.put(
        "/etc/containerd/config.toml",
        'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\n'
        '  root_path = "/var/lib/containerd/devmapper"\n'
        '  pool_name = "devpool"\n  base_image_size = "64MB"\n',
    )


def grows_to_its_ceiling(m: Machine) -> None:
    m.run(
        "dmsetup message devpool 0 'create_thin 7'"
        " && dmsetup create t7 --table '0 614400 thin /dev/mapper/devpool 7'"
        " && dd if=/dev/urandom of=/dev/mapper/t7 bs=1M count=160 oflag=direct",
        timeout=120,
    )
    wait_for("grown", lambda: size(m) == 240 * MIB)
    m.run("dd if=/dev/urandom of=/dev/mapper/t7 bs=1M count=100 seek=160 oflag=direct", timeout=120)
    wait_for("grown to its ceiling", lambda: size(m) == 300 * MIB)
    assert m.run(f"stat -c %s {DATA}").out.strip() == str(300 * MIB)


def size(m: Machine) -> int:
    return int(m.run("dmsetup table devpool").out.split()[1]) * 512


def is_never_made_anew(m: Machine) -> None:
    """Nothing comes up on metadata that is blank, cut or gone, and nothing is written."""
    m.run(
        "systemctl stop dmguard containerd; dmsetup remove t7; dmsetup remove devpool;"
        " losetup -D; mv /srv/devmapper /srv/kept; mkdir /srv/devmapper"
    )
    late = m.run("dmguard activate devpool --timeout 1 --json", check=False)
    assert (late.status, json.loads(late.out)["late"]) == (1, ["devpool"])
    assert m.run("ls -A /srv/devmapper").out == ""

    m.run(f"truncate -s 300M {DATA} && truncate -s 16M {METADATA}")
    blank = m.run("dmguard activate devpool --timeout 1 --json", check=False)
    assert (blank.status, json.loads(blank.out)["down"]) == (1, ["devpool"])
    assert "[raw-no-pool]" in m.run("dmguard recover -n devpool", check=False).out
    assert m.run(f"cmp -n 16777216 {METADATA} /dev/zero && losetup -n -O NAME").out == ""
    assert m.run("dmsetup ls").out.split()[0] == "diskpool"

    m.run("rm -r /srv/devmapper && mv /srv/kept /srv/devmapper")
    assert m.run("dmguard activate devpool").out.startswith("devpool: activated raw pool on")
    assert size(m) == 300 * MIB
    assert history(m, "activate-raw")[-1]["result"] == "done"
