"""What is wrong with LVM's devices file, on a host whose LVM has one."""

from __future__ import annotations

from tests.vm.wrongs.wrong import known, told

FILE = "/etc/lvm/devices/system.devices"
LISTED = "lvmdevices -q -y --adddev"

DEVICES = (
    known("devices-file-by-name", "/dev/ubdb", f"{LISTED} /dev/ubdb", f"rm {FILE}"),
    told(
        "devices-file-excludes",
        "/dev/ubdb",
        f"pvcreate -q -y /dev/ubdc && vgchange -q -an docker && {LISTED} /dev/ubdc",
        f"{LISTED} /dev/ubdb && vgchange -q -ay docker && rm {FILE}",
    ),
)
