"""Metadata crosses a threshold without any event of the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_vg, pool_status
from tests.vm.kit import MIB, NO_DMEVENTD, config, history, size_of, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

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


def make_pool_with_full_metadata(m: Machine) -> None:
    """A pool of 40 chunks, 33 of them in use, whose 2 MiB of metadata are 81 % full; inactive."""
    make_vg(m, "vg", m.disks, extent="512k")
    m.run(
        "lvcreate -q -y --type thin-pool -L 2560k --poolmetadatasize 2m -c 64k -Zn -an"
        " --monitor n -n pool vg && lvcreate -q -y -Wn -Zn -L 2m -n tmp vg"
    )
    m.put("/tmp/xml.py", _XML)
    m.run(
        "python3 /tmp/xml.py 378 33 40 > /tmp/meta.xml"
        " && thin_restore -i /tmp/meta.xml -o /dev/vg/tmp"
        " && lvchange -q -an vg/tmp && lvconvert -q -y --thinpool vg/pool --poolmetadata vg/tmp"
    )


def test_metadata_at_81_percent_of_an_idle_pool_grows_first_with_its_spare(
    machines: Factory,
) -> None:
    """Within one period of the timer, and before the data, which needs growth as well."""
    settings = config(guard='sources = ["timer"]\nresync = "4s"')
    m = machines(disks=[256 * MIB], append=NO_DMEVENTD, config=settings)
    make_pool_with_full_metadata(m)

    m.run("lvchange -q -ay -K vg/pool")
    before = pool_status(m, "vg", "pool")
    used = 100 * before["meta_used"] / before["meta_total"]
    assert 79 < used < 85, used
    assert before["data_used"] * 100 > 75 * before["data_total"]
    activated = m.run("date +%s.%N").out

    acts = wait_for(
        "metadata and data grown",
        lambda: len(h := [e for e in history(m) if e["action"].startswith("extend")]) >= 2 and h,
    )

    assert [act["action"] for act in acts[:2]] == ["extend-metadata", "extend-data"]
    assert acts[0]["at"] - float(activated) < 4 + 4
    after = pool_status(m, "vg", "pool")
    assert after["meta_used"] * 100 < 70 * after["meta_total"]
    assert size_of(m, "vg", "pool") > before["size_bytes"]
    rows = m.run("lvs -a --noheadings --nosuffix --units b -o lv_name,lv_size vg").out.split()
    sizes = dict(zip(rows[::2], map(int, rows[1::2]), strict=True))
    spare = next(size for name, size in sizes.items() if "pmspare" in name)
    metadata = next(size for name, size in sizes.items() if "pool_tmeta" in name)
    print(f"metadata {used:.1f} % -> {metadata >> 10} KiB, spare {spare >> 10} KiB")
    assert metadata > 2 * MIB
    assert spare >= metadata
