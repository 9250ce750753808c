"""The one table of stable codes: what each means, what it threatens, and what cures it.

`dmguard explain`, the journal catalog and the man page are made from it. A code is never renamed
and never given another meaning, because scripts and alerts match on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """syslog(3) priorities, as far as dmguard uses them."""

    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6


@dataclass(frozen=True, slots=True)
class Code:
    """One row: `message_id` is the journal's MESSAGE_ID."""

    code: str
    message_id: str
    severity: Severity
    title: str
    cause: str
    danger: str
    cure: str

    @property
    def clause(self) -> str:
        """The title within a sentence."""
        return self.title[:1].lower() + self.title[1:]


_ROWS = (
    Code(
        "data-extended",
        "9088b96b3fe1400d93d45ebf6f7c8cb1",
        Severity.NOTICE,
        "A thin pool's data was extended",
        "The pool was fuller than its data threshold, and its volume group had room.",
        "None: this is dmguard's work.",
        "Nothing to do. If it happens often, raise policy.step or policy.headroom.",
    ),
    Code(
        "metadata-extended",
        "c2681b334d814ab69cefb4600788beb7",
        Severity.NOTICE,
        "A thin pool's metadata was extended",
        "The pool's metadata was fuller than its threshold, and its volume group had room.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "refreshed",
        "f29a0759ec63485e8c7fce117b0402df",
        Severity.INFO,
        "A thin pool's live table was loaded anew",
        "The live table's low water mark, or its size, was not what it has to be. Any LVM command"
        " on the pool sets the mark to what lvm.conf or the pool's profile says.",
        "None: the kernel reports the next crossing at the threshold again.",
        "Nothing to do.",
    ),
    Code(
        "above-threshold",
        "466ccaaba6fa43b6b786a29a7a9bc235",
        Severity.INFO,
        "A pool is fuller than its threshold",
        "More of the pool is used than policy.data_threshold or policy.metadata_threshold allows.",
        "A full pool first makes writers wait and after 60 seconds fails their writes.",
        "dmguard grows the pool. See dmguard plan for what it will do.",
    ),
    Code(
        "out-of-data",
        "9878f832de4d40549f564f608fee9c5d",
        Severity.CRITICAL,
        "A thin pool is out of data space: its writers wait",
        "Every chunk of the pool is in use. The kernel holds writes back for no_space_timeout"
        " (60 seconds unless changed), then fails them.",
        "Containers and machines in the pool hang, and then see I/O errors.",
        "dmguard grows the pool at once where the volume group has room. Otherwise add a disk to"
        " the volume group (vgextend), or free space (fstrim, remove snapshots or containers).",
    ),
    Code(
        "out-of-data-errors",
        "9e7f37fed9b34813a7e2d2b02f0c563c",
        Severity.CRITICAL,
        "A thin pool is out of data space: its writes fail",
        "The pool stayed full for longer than no_space_timeout, or is set to fail writes at once.",
        "Writers get ENOSPC; file systems in the pool may have shut down.",
        "Give the volume group a disk; dmguard then grows the pool. Afterwards check the file"
        " systems that were being written to.",
    ),
    Code(
        "vg-dry",
        "439b7854079a41289cc9a522c1e16dad",
        Severity.CRITICAL,
        "A volume group has no room left for a pool that must grow",
        "The pool is above its threshold, and the volume group has no free extent beyond the"
        " reserve that is kept for metadata (policy.vg_reserve).",
        "The pool fills and its writers hang.",
        "Add a disk: vgextend VG /dev/DISK. dmguard uses the new space at its next look. Or free"
        " space in the pool: fstrim the file systems in it, remove unused images and snapshots.",
    ),
    Code(
        "pool-ceiling",
        "320b789530d74adba4356c795c2760ac",
        Severity.CRITICAL,
        "A pool that must grow has reached its max_size",
        "The configuration limits this pool, and the limit is reached.",
        "The pool fills and its writers hang.",
        "Raise max_size for the pool and reload dmguard, or free space in the pool.",
    ),
    Code(
        "metadata-ceiling",
        "105541fdd95d4842b5cc0510a73b7c32",
        Severity.CRITICAL,
        "A pool's metadata is at the kernel's limit",
        "The kernel uses at most 15.875 GiB of metadata, whatever the size of the volume.",
        "When the metadata is full the pool turns read-only.",
        "Remove snapshots and unused volumes; move data to a pool with larger chunks.",
    ),
    Code(
        "pool-read-only",
        "5bac5c347c5647398fd0fa86cc071af4",
        Severity.CRITICAL,
        "A thin pool is read-only",
        "The kernel ran out of metadata space, or failed to write it, and protects what is there.",
        "Nothing in the pool can be written. Growing it now can lose data, so dmguard does not.",
        "Stop what uses the pool, deactivate it (lvchange -an), repair it (lvconvert --repair),"
        " extend its metadata, activate it, and check the file systems in it: lvmthin(7).",
    ),
    Code(
        "pool-needs-check",
        "346079769eba4816831702f6f0831a29",
        Severity.CRITICAL,
        "A thin pool's metadata must be checked",
        "A metadata operation failed and the kernel set needs_check. It ignores every resize until"
        " the pool has been checked, even though lvextend reports success.",
        "Nothing in the pool can be written; the last second of acknowledged writes may be lost.",
        "Stop what uses the pool, deactivate it (lvchange -an) and activate it again, which runs"
        " thin_check; if that refuses, lvconvert --repair. See lvmthin(7).",
    ),
    Code(
        "pool-failed",
        "17906cf207374434afbb532bed313a81",
        Severity.CRITICAL,
        "A thin pool has failed",
        "The kernel could not even write to the pool's metadata device.",
        "All I/O to the pool fails.",
        "Look at the disks first (journalctl -k). Then as for pool-needs-check.",
    ),
    Code(
        "pool-inactive",
        "6e35ab2c5cd84d42b8cbf919e7565a16",
        Severity.WARNING,
        "A guarded thin pool is not active",
        "LVM knows the pool and the kernel does not run it: it was never activated, or something"
        " prevents it.",
        "Whatever keeps its data in the pool cannot start.",
        "lvchange -ay VG/POOL, and read what it says.",
    ),
    Code(
        "pool-suspended",
        "2e9f4278fa884355a9127f96facbdd2a",
        Severity.CRITICAL,
        "A thin pool is suspended",
        "A command that changes the pool is at work, or died in the middle.",
        "All I/O to the pool waits.",
        "If no LVM command is running: dmsetup resume NAME.",
    ),
    Code(
        "pool-unknown",
        "65e35c37628d47f8b4b017bbea109f8b",
        Severity.WARNING,
        "The kernel runs a thin pool that LVM does not list",
        "Its volume group is hidden by a filter or the devices file, or its PVs are gone.",
        "dmguard cannot grow it.",
        "Compare dmsetup info -c with lvs -a; look at lvmdevices and lvm.conf filters.",
    ),
    Code(
        "vg-missing-pv",
        "215e451d094f40abb9dfdaece793283a",
        Severity.CRITICAL,
        "A volume group has a missing physical volume",
        "A disk of the volume group is gone, or has not come back yet.",
        "LVM refuses changes. dmguard changes nothing either: a change now would turn a disk that"
        " merely comes back late into one that must be restored by hand.",
        "Bring the disk back. If it is lost for good, restore from a backup: vgreduce"
        " --removemissing gives up what was on it.",
    ),
    Code(
        "vg-exported",
        "b39c5151efd041969d6ee8f29386a67d",
        Severity.WARNING,
        "A volume group is exported",
        "vgexport was run, to move its disks to another host.",
        "Its pools cannot be changed.",
        "vgimport VG, if it belongs to this host.",
    ),
    Code(
        "vg-read-only",
        "c5823d5f890246b2b9914d1be70141b9",
        Severity.WARNING,
        "A volume group is read-only",
        "vgchange -p r was run, or LVM has only read access to it.",
        "Its pools cannot grow.",
        "vgchange -p rw VG.",
    ),
    Code(
        "vg-shared",
        "db74ac970be14ea6b0cc6a953762cdc1",
        Severity.WARNING,
        "A volume group is shared between hosts",
        "Its lock type is sanlock, dlm or clvm.",
        "dmguard does not take part in their locking and leaves the pool alone.",
        "Guard it with the cluster's own means.",
    ),
    Code(
        "vg-duplicate-name",
        "ee466705ccb641d3a4608151fcb159d5",
        Severity.CRITICAL,
        "Two volume groups have one name",
        "A disk of another host, or a copy of a disk, brought a second group of the same name.",
        "A command by name could reach the wrong one, so dmguard gives none.",
        "Rename one by its uuid: vgrename UUID NEWNAME.",
    ),
    Code(
        "act-failed",
        "465b1e535fe243e3956d3621d168ee9f",
        Severity.ERROR,
        "What dmguard tried did not succeed",
        "The LVM command failed, or it succeeded and the kernel's state did not follow.",
        "The pool stays as it is and may fill.",
        "Read the entry's text: it has the command's own words. dmguard tries again as soon as"
        " anything about the pool or its volume group changes, and otherwise with growing pauses.",
    ),
    Code(
        "vg-busy",
        "749309a4a384413e8f01150db3ab92d9",
        Severity.WARNING,
        "Another command holds the volume group's lock",
        "An LVM command is at work, waits for an answer, or hangs on a dead disk.",
        "dmguard cannot change the pool until the lock is free; it tries again every two seconds.",
        "If it stays so, look for the command: fuser -v /run/lock/lvm/V_VG.",
    ),
    Code(
        "act-interrupted",
        "a5478cb87f554148bd29f5ef787cebaa",
        Severity.WARNING,
        "An act was interrupted before it took effect",
        "dmguard or the machine stopped in the middle of an act. What it wanted is not there.",
        "None: the state was read again and the need is decided anew.",
        "Nothing to do.",
    ),
    Code(
        "resumed",
        "6269adc691194ee6b8c1be57b55cba11",
        Severity.NOTICE,
        "An interrupted act had taken effect",
        "dmguard or the machine stopped in the middle of an act. What it wanted is there.",
        "None.",
        "Nothing to do.",
    ),
    Code(
        "grown-elsewhere",
        "0785b88e40164a6cb763062dcbf4f871",
        Severity.INFO,
        "Someone else grew the pool first",
        "dmeventd or an administrator extended the pool while dmguard was about to.",
        "None: targets are absolute, so the pool is not grown twice.",
        "Nothing to do.",
    ),
    Code(
        "asked",
        "5b1b9828b6c14a2aa9bb8fe981bc83c4",
        Severity.INFO,
        "Asked for by hand",
        "An administrator ran dmguard extend.",
        "None.",
        "Nothing to do.",
    ),
    Code(
        "low-water",
        "0f9c838f81c74f9baa9da18c2f467b8f",
        Severity.INFO,
        "The live table's low water mark is not at the threshold",
        "Whoever loads a pool's table sets its mark; a plain LVM command sets it to what lvm.conf"
        " or the pool's profile says, which is often 0.",
        "The kernel would not report the crossing; only the timer would see it.",
        "dmguard loads the table with its own mark.",
    ),
    Code(
        "kernel-behind",
        "ee45177c78ba4537b71243e6e609c60e",
        Severity.WARNING,
        "The kernel runs a smaller pool than LVM's metadata describes",
        "An LVM command was killed between committing its metadata and loading the table.",
        "Space that LVM counts as given to the pool is not usable.",
        "dmguard loads the table anew (lvchange --refresh).",
    ),
    Code(
        "not-larger",
        "ec1373f6d20a4a37a7ce1ec2a599abf7",
        Severity.INFO,
        "The pool is already that large",
        "The size that was asked for is not above the present one. A thin pool cannot shrink.",
        "None.",
        "Ask for a larger size, or for +SIZE.",
    ),
    Code(
        "vg-too-small",
        "8485ec03c76647fba5350b86ed94a84a",
        Severity.WARNING,
        "The volume group has less room than was asked for",
        "What was asked for by hand does not fit beside the reserve kept for metadata.",
        "None: nothing was changed.",
        "Ask for less, or for max; or add a disk: vgextend VG /dev/DISK.",
    ),
    Code(
        "no-such-pool",
        "78283ea6df00479cabdebb4ec386a36b",
        Severity.WARNING,
        "No guarded pool has that name",
        "The name is not VG/LV of a thin pool that guard.pools matches.",
        "None.",
        "See dmguard status for the names.",
    ),
    Code(
        "finding-cleared",
        "33777ce4054d4e14b371fae8477b704f",
        Severity.NOTICE,
        "What was wrong is no longer so",
        "The state that an earlier entry reported has ended.",
        "None.",
        "Nothing to do.",
    ),
    Code(
        "lvm-unreadable",
        "55d9fd8f93e94d529d4a9959ed503a23",
        Severity.ERROR,
        "LVM's report could not be read",
        "The lvm command failed, hung, or answered something that is not a report.",
        "dmguard sees the pools' usage in the kernel but cannot act.",
        "Run lvm fullreport by hand and read what it says. dmguard tries again.",
    ),
    Code(
        "source-down",
        "7fbf1bf5ea2947c886558c7e566a71f3",
        Severity.WARNING,
        "A source of events stopped and is being restarted",
        "The entry says which one and why.",
        "Events may be met later; the other sources and the timer go on.",
        "Nothing to do unless it stays so: see dmguard status.",
    ),
    Code(
        "config-rejected",
        "750c236f307040938c0f9aaa82eb1e26",
        Severity.ERROR,
        "A configuration was not accepted",
        "A file has an unknown key or a bad value; the entry names it.",
        "At a reload the last good configuration stays in force; a start fails.",
        "dmguard config check, then systemctl reload dmguard.",
    ),
    Code(
        "config-loaded",
        "fd1b67b1acea4ee684c076feeff7b8ea",
        Severity.NOTICE,
        "A configuration was loaded",
        "dmguard started, or was told to reload.",
        "None.",
        "Nothing to do.",
    ),
)

CODES: dict[str, Code] = {row.code: row for row in _ROWS}
