"""Why a disk that a rule is for is not claimed: what the doctor tells beside all else."""

from __future__ import annotations

from tests.lab.scsi import DRIVER
from tests.vm.wrongs.around import LEDGER
from tests.vm.wrongs.pools import DISK, WIPE
from tests.vm.wrongs.wrong import OWN, Wrong, own

RULE = '[[claim]]\nvg = "vg"\nmatch = { vendor = "Linux" }\nsettle = "0"'
LEG = "/etc/udev/rules.d/70-leg.rules"
MEMBER = f"vgreduce -q vg {DISK}; {WIPE}"
FORGET = f"systemctl stop dmguard; rm -f {LEDGER}; systemctl start dmguard"

# One partition of 14 MiB that begins after 1 MiB.
PARTITIONED = (
    rf"printf '\0\0\0\0\203\0\0\0\0\010\0\0\0\160\0\0' | dd of={DISK} bs=1 seek=446 status=none"
    rf" && printf '\125\252' | dd of={DISK} bs=1 seek=510 status=none"
    f" && blockdev --rereadpt {DISK} && udevadm settle"
)


def of_disk(code: str, make: str, cure: str = WIPE, *, rule: str = RULE, node: str = DISK) -> Wrong:
    """A disk that is told; the agent is not told of the rule, and claims nothing."""
    return Wrong(code, node, f"{make} && {own(rule)}", cure, f"rm {OWN}", counts=False)


def there(node: str) -> str:
    """Wait until udev knows it: its node is there before that."""
    return f"udevadm wait --timeout=20 --settle {node}"


def added(options: str) -> str:
    """One more, of another kind."""
    return f"{options} && echo 1 >{DRIVER}/add_host && {there('/dev/sdb')}"


REMOVED = f"echo -1 >{DRIVER}/add_host; udevadm settle"

CONTENT = (
    of_disk("disk-signature", f"mkswap -q {DISK}"),
    of_disk("disk-orphan-pv", f"pvcreate -q -y {DISK}"),
    of_disk("disk-has-data", f"echo nothing that is known >{DISK}"),
    of_disk("disk-partition-table", PARTITIONED, f"{WIPE}; blockdev --rereadpt {DISK}"),
    of_disk(
        "disk-part-in-vg",
        f"{PARTITIONED} && vgextend -q -y vg {DISK}1",
        f"vgreduce -q vg {DISK}1; {WIPE}; blockdev --rereadpt {DISK}",
    ),
    of_disk(
        "disk-in-other-vg",
        f"vgcreate -q -y -s 1m other {DISK}",
        f"vgremove -q other; {WIPE}",
    ),
)

STATE = (
    of_disk(
        "disk-held",
        f"dmsetup create over --table '0 8192 linear {DISK} 0'",
        "dmsetup remove --retry over",
    ),
    of_disk(
        "disk-in-use",
        f"mkfs.ext4 -q {DISK} && mount -o ro,noload {DISK} /mnt"
        f" && dd if=/dev/zero of={DISK} bs=2k count=1 status=none"
        f" && udevadm trigger --settle {DISK}",
        f"umount /mnt; {WIPE}",
    ),
    of_disk("disk-read-only", f"blockdev --setro {DISK}", f"blockdev --setrw {DISK}"),
    of_disk(
        "disk-unreadable",
        "echo offline >/sys/block/sda/device/state",
        "echo running >/sys/block/sda/device/state",
    ),
    of_disk(
        "disk-multipath-leg",
        f"""echo 'KERNEL=="sda", ENV{{DM_MULTIPATH_DEVICE_PATH}}="1"' >{LEG}"""
        f" && udevadm control --reload && udevadm trigger --settle {DISK}",
        f"rm {LEG}; udevadm control --reload; udevadm trigger --settle {DISK}",
    ),
    of_disk(
        "disk-named-elsewhere",
        f"cp /etc/fstab /tmp/fstab && echo '{DISK} /srv ext4 noauto 0 0' >>/etc/fstab",
        "cp /tmp/fstab /etc/fstab",
    ),
    of_disk(
        "disk-kind",
        "truncate -s 16M /var/tmp/disk && losetup -f /var/tmp/disk",
        "losetup -D",
        rule=RULE.replace('vendor = "Linux"', 'min_size = "16MiB", max_size = "16MiB"'),
        node="/dev/loop0",
    ),
    of_disk(
        "disk-removable",
        added(f"echo 1 >{DRIVER}/removable"),
        f"echo 0 >{DRIVER}/removable; {REMOVED}",
        node="/dev/sdb",
    ),
)

RULES = (
    of_disk(
        "disk-rules-differ",
        "true",
        own(RULE),
        rule=f"{RULE}\n" + RULE.replace('vg = "vg"', 'vg = "docker"'),
    ),
    of_disk("vg-unknown", "true", own(RULE), rule=RULE.replace('vg = "vg"', 'vg = "other"')),
    of_disk(
        "vg-limit", "true", f"sed -i 's/limit = 1/limit = 2/' {OWN}", rule=f"{RULE}\nlimit = 1"
    ),
    of_disk(
        "ledger-unreadable",
        f"cp -a {LEDGER} /tmp/ledger; echo x >{LEDGER}",
        f"rm {LEDGER}; mv /tmp/ledger {LEDGER}",
    ).between("systemctl stop dmguard", "systemctl start dmguard"),
    of_disk("disk-ask", "true", f"dmguard claim {DISK} --vg vg", rule=f'{RULE}\nmode = "ask"'),
    # The disk is in the group by now, and the new one has its serial number.
    of_disk(
        "disk-not-unique",
        added(f"echo 0 >{DRIVER}/vpd_use_hostno"),
        f"echo 1 >{DRIVER}/vpd_use_hostno; {REMOVED}",
        node="/dev/sdb",
    ).between("true", f"{MEMBER}; {FORGET}"),
)

DISKS = (*CONTENT, *STATE, *RULES)
