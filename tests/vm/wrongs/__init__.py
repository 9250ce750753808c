"""Everything that `dmguard doctor` can find, made true on a machine one by one."""

from __future__ import annotations

from tests.vm.wrongs.around import AROUND
from tests.vm.wrongs.bares import BARES
from tests.vm.wrongs.disks import DISKS
from tests.vm.wrongs.pools import POOLS

WRONGS = (*AROUND, *POOLS, *BARES, *DISKS)

NOT_MADE = {
    "out-of-data": "who keeps agent and dmeventd from growing it makes something else wrong, too;"
    " tests/vm/test_recover cures it, with neither",
    "out-of-data-errors": "as out-of-data",
    "disk-taken-out": "the agent has to have claimed it; tests/vm/test_claims makes it",
    "devices-file-by-name": "Debian's LVM is built without devices files",
    "devices-file-excludes": "as devices-file-by-name",
    "disk-sector-size": "scsi_debug has one kind of disk at a time, and not every kernel"
    " outlives its being taken out; tests/vm/test_claims makes it",
    "disk-too-small": "as disk-sector-size, but that no other test makes it",
    "disk-zoned": "takes a kernel with zoned disks",
    "metadata-ceiling": "takes 11 GiB of metadata that are in use",
    "vg-misnamed": "LVM writes no such name; tests/edge/test_lvm has the reports",
    "vg-silent": "told by who knew the group before; tests/vm/test_hangs makes it",
    "vg-shared": "takes a cluster: only lvmlockd makes such a group",
}
"""What no machine here can be brought to, and why; each has its unit test."""
