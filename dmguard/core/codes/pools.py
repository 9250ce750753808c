"""What is said of pools, volume groups, and dmguard itself."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

POOLS = (
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
        "out-of-metadata",
        "8274a3e220f046d2960a6c59abefce03",
        Severity.CRITICAL,
        "A thin pool is out of metadata space",
        "Every block of its metadata is in use, but for what the kernel keeps for itself. It has"
        " turned the pool read-only.",
        "Nothing new can be written, and no volume can be made. dmguard grows no pool that is"
        " read-only: whether it comes back is for a person to see.",
        "One of LVM's: dmguard recover --offline VG/POOL stops its consumers, keeps a copy of the"
        " metadata, checks it and lets it grow. Or, with all of them running: lvextend"
        " --poolmetadatasize +SIZE VG/POOL. One of Docker's on loop devices, which dmguard loop"
        " status shows with their files: truncate -s SIZE FILE of the metadata, losetup -c on its"
        " device, dmsetup suspend POOL, dmsetup resume POOL. Then dmsetup status: the kernel turns"
        " the pool writable if nothing else is wrong with it."
        " Check the file systems that were being written to.",
    ),
    Code(
        "pool-read-only",
        "5bac5c347c5647398fd0fa86cc071af4",
        Severity.CRITICAL,
        "A thin pool is read-only",
        "The kernel failed to write its metadata, or was told to, and protects what is there.",
        "Nothing in the pool can be written. Growing it now can lose data, so dmguard does not.",
        "dmguard recover --offline VG/POOL does this: stop what uses the pool, keep a copy of its"
        " metadata, deactivate it (lvchange -an), repair it if it is damaged (lvconvert --repair),"
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
        "dmguard recover --offline VG/POOL, or by hand:"
        " stop what uses the pool and deactivate it: lvchange -an VG/POOL. Debian's LVM leaves the"
        " flag set at an activation. lvchange -ay --config"
        ' \'global/thin_check_options=["-q","--clear-needs-check-flag"]\''
        " VG/POOL runs thin_check, and clears the flag if it finds no damage. If it finds some:"
        " lvconvert --repair VG/POOL. See lvmthin(7).",
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
        "thin-check-failed",
        "127721b0615549bba1821e67a5c84ba7",
        Severity.CRITICAL,
        "A thin pool's metadata did not pass its check",
        "LVM runs thin_check before it activates a pool, and that found damage.",
        "The pool stays down, with all that is in it. Nothing was changed.",
        "Look at the disks first (journalctl -k). dmguard recover --offline VG/POOL keeps a copy of"
        " the metadata and repairs it. By hand: lvconvert --repair VG/POOL writes what"
        " thin_repair can save to the spare metadata, and keeps what there is as VG/POOL_meta0. If"
        " thin_repair asks for the transaction id, the superblock is damaged: lvs -o transaction_id"
        " has LVM's. See lvmthin(7).",
    ),
    Code(
        "transaction-id-mismatch",
        "fa83ea871ec246e786c6e4f4cfb475b5",
        Severity.CRITICAL,
        "LVM and a thin pool differ in the pool's transaction id",
        "One of the two was taken back: LVM's metadata was restored from an older copy or edited,"
        " or the pool's own was.",
        "LVM does not activate such a pool. One that is up grows, and is down after the next boot.",
        "Leave the pool up until it is mended. The kernel's number is the first of dmsetup status;"
        " look for the copy in /etc/lvm/archive with the same transaction_id (vgcfgrestore --list"
        " VG), compare its volumes and its sizes with what lvs -a shows, then vgcfgrestore --force"
        " -f FILE VG. A copy in which a volume or an extent is missing loses it.",
    ),
    Code(
        "pool-table-refused",
        "213ab6a272f949ee9420777702f42532",
        Severity.CRITICAL,
        "The kernel refused a thin pool's table",
        "Its own line says why (journalctl -k). Most often the pool has grown since the copy of"
        " LVM's metadata that was restored: it is too small for what the pool knows of itself.",
        "The pool stays down, with all that is in it. Nothing was changed.",
        "Read the kernel's line. If it says that the pool is too small: vgcfgrestore --list VG, and"
        " restore the newest copy from before the mistake, or lvextend the pool to the size that it"
        " had.",
    ),
    Code(
        "thin-target-missing",
        "c5ec919654bb4d269102b5d5a80e4c02",
        Severity.CRITICAL,
        "The kernel has no thin pools",
        "Its module dm_thin_pool is not there: the package of the running kernel was removed or"
        " replaced, or the kernel was built without it.",
        "No thin pool comes up, and nobody who keeps data in one.",
        "modprobe dm_thin_pool, and read what it says. Boot the kernel whose modules are installed,"
        " or install those of the running one.",
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
        "If no LVM command is running, and nobody has suspended it on purpose: lvchange --refresh"
        " VG/POOL, and once more if it fails the first time. Not dmsetup resume: a command that"
        " died may have left a table beside the live one with extents that LVM counts as free, and"
        " that would make it live. dmguard does it by itself after a command of its own.",
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
        "vg-silent",
        "a51022c1d70741699f75bc8cba71e3a3",
        Severity.CRITICAL,
        "The disks of a volume group do not answer",
        "LVM waits for one of its disks: a path is down, a device suspended, or the disk is dead.",
        "Its pools cannot be changed. Those of other groups are guarded as before.",
        "dmsetup info shows suspended devices, multipath -ll failed paths, the kernel's log what"
        " the disk said. dmguard goes on when it answers.",
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
        "LVM's metadata says so: it was restored or edited that way. No command of LVM's turns it.",
        "Its pools cannot grow.",
        'vgcfgbackup -f FILE VG, add "WRITE" to the status of the group in FILE, vgcfgrestore'
        " --force -f FILE VG. LVM asks; the metadata is otherwise what it is already.",
    ),
    Code(
        "vg-misnamed",
        "c9aa449e84034fce9b065a658c8ae38c",
        Severity.WARNING,
        "A volume group has a volume whose name LVM does not allow",
        "LVM reads such a name and never writes one: the metadata was made or edited by something"
        " else. A disk of another's may have brought it.",
        "LVM refuses every change of the group. The volume is not looked at.",
        "Take the disk out if you do not know where it is from. Else vgcfgbackup -f FILE VG, rename"
        " the volume in FILE, and vgcfgrestore --force -f FILE VG.",
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
        "What was asked for by hand does not fit beside the reserve kept for metadata, or a new"
        " pool with its metadata would not hold one chunk.",
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
        "dmguard sees the pools' usage in the kernel. It grows those whose group it knew before and"
        " whose disks answer, and after a start those on disks that answer.",
        "Run lvm fullreport by hand and read what it says. dmguard tries again.",
    ),
    Code(
        "lvm-slow",
        "a6bbce42d28a40908bd338c5dfe114db",
        Severity.ERROR,
        "A command of LVM's does not come to its end",
        "LVM waits for a disk or for udev, or somebody has stopped it. A check of large metadata"
        " takes as long.",
        "dmguard changes one thing at a time: no pool is grown until that command ends. It is not"
        " killed, which could leave a pool suspended.",
        "The entry names the command; its process's wchan and the kernel's log say what it waits"
        " for.",
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
