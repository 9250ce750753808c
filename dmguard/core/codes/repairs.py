"""What is said of pools that are repaired with their consumers stopped."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

REPAIRS = (
    Code(
        "pool-repaired",
        "2a41618cda3c4e7bb3f6ea097caac1bf",
        Severity.WARNING,
        "A thin pool was taken out of use, checked, and brought up again",
        "dmguard recover --offline was asked for it. Where thin_check found damage, thin_repair"
        " wrote what it could save to new metadata, and what there was is VG/POOL_meta0.",
        "A repair can lose what the damage held: the pool is consistent again, and what is in it"
        " need not be.",
        "Check the file systems in it. The metadata from before is in /var/lib/dmguard/metadata;"
        " remove it, and VG/POOL_meta0, once nothing is missed.",
    ),
    Code(
        "pool-not-repaired",
        "b84af66fc7cb4aef84d174725017fcce",
        Severity.CRITICAL,
        "A thin pool could not be repaired",
        "thin_check found damage, and lvconvert --repair did not succeed: its own words say why."
        " Most often the group has no room for new metadata, or the superblock is damaged.",
        "The pool stays down, and its consumers stopped: to bring it up unchecked could lose what"
        " is there. Its metadata is as it was, and a copy is in /var/lib/dmguard/metadata.",
        "Give the group room if it has none, and run dmguard recover --offline once more. If"
        " thin_repair asks for the transaction id: lvs -o transaction_id has LVM's; repair the copy"
        " with thin_repair --transaction-id, and see lvmthin(7), Metadata check and repair.",
    ),
    Code(
        "pool-open",
        "5584c9d5d26c4128a2c592bbe8721ff4",
        Severity.ERROR,
        "A thin pool is in use by others than its consumers",
        "A volume in it is mounted or open: by containers that go on without their daemon, by a"
        " machine, or by hand.",
        "It cannot be taken down, and so it was not repaired. All is as it was.",
        "Stop the containers or machines in it, unmount what is mounted (findmnt, lsof), and run"
        " dmguard recover --offline once more.",
    ),
    Code(
        "metadata-not-copied",
        "b93fae19d0fc4bf2b58ee039dba21528",
        Severity.ERROR,
        "A thin pool's metadata could not be copied",
        "The file system of /var/lib/dmguard has no room for it, or is read-only, or the metadata"
        " cannot be read.",
        "Without a copy nothing is repaired. All is as it was.",
        "Make room in /var/lib/dmguard, or mount something there. If the metadata cannot be read,"
        " look at the disk first (journalctl -k).",
    ),
)
