"""Pools whose metadata is damaged while they are down, and what was kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.lab.machine import Machine

COPIES = "/var/lib/dmguard/metadata"
SPACE_MAP, SUPERBLOCK = "space-map", "superblock"

# Where the superblock says that the bitmaps of the data's space map are (Linux,
# drivers/md/dm-thin-metadata.c, struct thin_disk_superblock; struct disk_sm_root).
_SPOIL = f"""
import os, struct, sys
disk, at, what = sys.argv[1], int(sys.argv[2]) * 512, sys.argv[3]
file = os.open(disk, os.O_RDWR)
(block,) = struct.unpack_from("<Q", os.pread(file, 4096, at), 80)
os.pwrite(file, b"\\xff" * 64, at + 4096 * (block if what == "{SPACE_MAP}" else 0) + 100)
os.fsync(file)
"""


def make_volume(m: Machine, vg: str, name: str) -> str:
    """A pool of LVM's with a volume of random data; the sum of that."""
    m.run(
        f"lvcreate -q -y -T -L 40m -V 20m -n {name}-data {vg}/{name}"
        f" && dd if=/dev/urandom of=/dev/{vg}/{name}-data bs=1M count=10 oflag=direct status=none"
    )
    return sum_of(m, vg, name)


def sum_of(m: Machine, vg: str, name: str) -> str:
    return m.run(f"head -c 10M /dev/{vg}/{name}-data | sha256sum").out.split()[0]


def take_down(m: Machine, vg: str, name: str) -> None:
    m.run(f"lvchange -q -an {vg}/{name}-data && lvchange -q -an {vg}/{name}")


def spoil(m: Machine, vg: str, name: str, what: str) -> str:
    """Damage a part of the metadata of a pool that is down; the sum of it all."""
    metadata = f"{vg}/{name}_tmeta"
    m.put("/tmp/spoil.py", _SPOIL)
    m.run(f"lvchange -q -y -ay {metadata}")
    where, at = m.run(f"dmsetup table /dev/{metadata}").out.split()[3:]
    m.run(
        f"lvchange -q -an {metadata}"
        f" && python3 /tmp/spoil.py $(readlink -f /dev/block/{where}) {at} {what}"
    )
    return metadata_sum(m, vg, name)


def metadata_sum(m: Machine, vg: str, name: str) -> str:
    """The sum of a pool's metadata, while it is down."""
    metadata = f"{vg}/{name}_tmeta"
    up, down = f"lvchange -q -y -ay {metadata} >/dev/null", f"lvchange -q -an {metadata}"
    return m.run(f"{up} && sha256sum /dev/{metadata}; {down}").out.split()[0]


def copy_sum(m: Machine, vg: str, name: str) -> str:
    """The sum of the one copy that was kept, which is as it says itself."""
    m.run(f"cd {COPIES} && sha256sum --check --status *.sha256")
    (told,) = m.run(f"sha256sum {COPIES}/{vg}-{name}-*.img").out.splitlines()
    return told.split()[0]
