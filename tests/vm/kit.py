"""Words that the tests share: write and check data, read dmguard's entries, break things."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

from tests.lab.channel import CommandTimeout
from tests.lab.lvmkit import pool_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.channel import Running
    from tests.lab.machine import Machine

MIB = 1 << 20
LIBRARY = "/usr/lib/x86_64-linux-gnu/liblvm2cmd.so.2.03"
"""LVM as dmeventd and dmguard-lvm have it in memory; the program lvm does without."""
LIB = "/var/lib/dmguard"

NO_DMEVENTD = " ".join(
    f"systemd.mask={unit}"
    for unit in ("dm-event.service", "dm-event.socket", "lvm2-monitor.service")
)

# Every MiB of a device has its own content, known from its number alone.
_WRITE = """
import hashlib, os, sys, time
device, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(device, os.O_WRONLY)
for number in range(first, first + count):
    time.sleep(float(sys.argv[4]))
    os.pwrite(fd, hashlib.shake_128(b"%d" % number).digest(1 << 20), number << 20)
    os.fsync(fd)
    print(number, flush=True)
"""
_CHECK = """
import hashlib, os, sys
device, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
fd = os.open(device, os.O_RDONLY)
for number in range(first, first + count):
    data = os.pread(fd, 1 << 20, number << 20)
    if data != hashlib.shake_128(b"%d" % number).digest(1 << 20):
        sys.exit("MiB %d differs" % number)
print(count)
"""

# Many devices that share the same few data blocks: metadata fills, data hardly does.
_XML = """
import sys
devices, blocks, total = map(int, sys.argv[1:])
print('<superblock uuid="" time="1" transaction="0" version="2" data_block_size="128"'
      ' nr_data_blocks="%d">' % total)
for device in range(devices):
    print('<device dev_id="%d" mapped_blocks="%d" transaction="0" creation_time="0" snap_time="1">'
          % (device, blocks))
    for block in range(blocks):
        print('<single_mapping origin_block="%d" data_block="%d" time="0"/>' % (block, block))
    print('</device>')
print('</superblock>')
"""


def make_full_metadata(m: Machine, vg: str, pool: str, *, data: str, chunks: int) -> None:
    """An inactive pool of so many chunks, 33 of them in use, whose 2 MiB of metadata are 81 % full.

    As LVM's own tests do it: metadata made with thin_restore is swapped into the pool.
    """
    m.put("/tmp/xml.py", _XML)
    m.run(
        f"lvcreate -q -y --type thin-pool -L {data} --poolmetadatasize 2m -c 64k -Zn -an"
        f" --monitor n -n {pool} {vg} && lvcreate -q -y -Wn -Zn -L 2m -n tmp {vg}"
        f" && python3 /tmp/xml.py 355 33 {chunks} > /tmp/meta.xml"
        f" && thin_restore -i /tmp/meta.xml -o /dev/{vg}/tmp && lvchange -q -an {vg}/tmp"
        f" && lvconvert -q -y --thinpool {vg}/{pool} --poolmetadata {vg}/tmp"
        f" && lvremove -q -y {vg}/tmp && lvchange -q --setautoactivation n {vg}/{pool}"
    )


def start_writing(m: Machine, device: str, first: int, count: int) -> Running:
    """Write MiBs `first` … with their known content in the background, each synced."""
    return m.start(writing(m, device, first, count))


def writing(m: Machine, device: str, first: int, count: int, pause_s: float = 0) -> str:
    """The command that does so, with a pause before each; it prints the number of each."""
    m.put("/var/tmp/write.py", _WRITE)
    return f"python3 /var/tmp/write.py {device} {first} {count} {pause_s}"


def write(m: Machine, device: str, first: int, count: int) -> None:
    """Write, and see that no write failed."""
    assert written(start_writing(m, device, first, count)) == count


def written(writer: Running) -> int:
    """How many MiBs it has written when it ends, none of which failed."""
    result = writer.wait(120)
    assert result.status == 0, result.err
    return len(result.out.split())


def assert_reads_back(m: Machine, device: str, first: int, count: int) -> None:
    """What was written is there, byte for byte, read from the disk and not from a cache."""
    m.put("/tmp/check.py", _CHECK)
    m.run("echo 3 > /proc/sys/vm/drop_caches")
    result = m.run(f"python3 /tmp/check.py {device} {first} {count}", timeout=120, check=False)
    assert result.status == 0, result.err
    assert result.out.strip() == str(count)


def entries(m: Machine, action: str | None = None) -> list[dict[str, Any]]:
    """dmguard's entries in the journal of this boot, of one action if it is given.

    Its plain log lines are none: they have no fields of the contract.
    """
    words = ["-b", "SYSLOG_IDENTIFIER=dmguard"]
    if action:
        words.append(f"DMGUARD_ACTION={action}")
    return [entry for entry in m.journal(*words) if "DMGUARD_ACTION" in entry]


def done(m: Machine, action: str) -> list[dict[str, Any]]:
    """The entries of the acts of one kind that dmguard did in this boot.

    What is told to be no longer so has the result `done` as well.
    """
    told = [entry for entry in entries(m, action) if entry["DMGUARD_RESULT"] == "done"]
    return [entry for entry in told if ": no longer: " not in entry["MESSAGE"]]


def history(m: Machine, action: str | None = None) -> list[dict[str, Any]]:
    """What `dmguard history` says, from the file that it reads: cheap enough to be polled."""
    found = []
    for line in m.run("cat /var/lib/dmguard/history.jsonl", check=False).out.splitlines():
        with contextlib.suppress(ValueError):  # a power cut tore it
            found.append(json.loads(line))
    return [entry for entry in found if action in (None, entry["action"])]


def size_of(m: Machine, vg: str, pool: str) -> int:
    """The kernel's size of a pool in bytes."""
    return pool_status(m, vg, pool)["size_bytes"]


def wait_for(
    what: str, condition: Callable[[], object], *, timeout: float = 20, interval: float = 0.2
) -> Any:
    """Poll until the condition is true and return what it gave; AssertionError at the deadline.

    A machine has one processor: what is waited for gets at least half of it.
    """
    began = time.monotonic()
    deadline = began + timeout
    while not (value := condition()):
        asked = time.monotonic()
        assert asked < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(max(interval, asked - began))
        began = time.monotonic()
    return value


def hangs(m: Machine, words: str, seconds: float) -> bool:
    """Does a command not end within that time?"""
    probe = m.start(words)
    try:
        probe.wait(seconds)
    except CommandTimeout:
        return True
    return False


def wait_for_mark(m: Machine, vg: str, pool: str, threshold: int = 75) -> None:
    """Until the live table's low water mark is at dmguard's threshold."""

    def marked() -> bool:
        status = pool_status(m, vg, pool)
        wanted = status["data_total"] * (100 - threshold) // 100
        return abs(status["low_water"] - wanted) <= 1

    wait_for("dmguard's low water mark in the live table", marked)


def config(*, guard: str = "", reserve: str = "0", more: str = "") -> str:
    """A configuration for small disks: exact steps of 20 %, nothing kept back."""
    return (
        f'[guard]\n{guard}\n[policy]\nmin_step = "0"\nheadroom = "0"\nvg_reserve = "{reserve}"\n'
        f"{more}\n"
    )


def grown(size: int, extent: int, percent: int = 20) -> int:
    """A size after one step, in whole extents, as LVM rounds it."""
    extents = size // extent
    return (extents + -(-extents * percent // 100)) * extent
