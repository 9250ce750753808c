"""What is said of pools that are none of LVM's: on loop devices, and raw ones."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

LOOPS = (
    Code(
        "loop-grown",
        "23e077df2a6349deb65cc02edce9f2be",
        Severity.NOTICE,
        "A pool on loop devices was grown",
        "It was fuller than its threshold and has a ceiling, or somebody asked for it.",
        "None: this is dmguard's work.",
        "Nothing to do. A pool on loop devices is slow; for a host that stays, set one up on a disk"
        " (dmguard setup).",
    ),
    Code(
        "loop-no-space",
        "3598dcae1b1042adbe97a121cd5d6080",
        Severity.ERROR,
        "The file system below a loop device has no room for its file",
        "The file is sparse: it takes space as the pool is written to. What it would grow by, and"
        " all that the files of pools on this file system may still take, is more than that has"
        " free.",
        "When the file system is full, writes to the pool fail, and if it is the metadata's, the"
        " pool becomes read-only.",
        "Free space on that file system, or enlarge it. Then dmguard loop status.",
    ),
    Code(
        "loop-not-grown",
        "2ca9aee0386843619628183eb1037320",
        Severity.WARNING,
        "A pool on loop devices is filling, and nothing grows it",
        "More of it is in use than its threshold allows, and no ceiling is configured for it.",
        "A full pool first makes writers wait and after 60 seconds fails their writes.",
        'dmguard loop resize SIZE, or a max_size in [pool."loop:docker"] of the configuration.',
    ),
    Code(
        "loop-shrink",
        "03279b56fc2b4ee7927f2fdc70352dd4",
        Severity.WARNING,
        "A thin pool cannot shrink",
        "The size that was asked for is smaller than the present one.",
        "The kernel would refuse the smaller table at the resume and leave the pool suspended.",
        "Ask for more than it has. To make it smaller, make a new pool.",
    ),
    Code(
        "loop-several",
        "adb9626259cb4c1bac29a14c0907875d",
        Severity.WARNING,
        "More than one pool lies on loop devices",
        "The command does not say which of them is meant.",
        "None: nothing was changed.",
        "Give one of them: dmguard loop resize SIZE --pool NAME.",
    ),
    Code(
        "loop-not-file",
        "03ed1ba7abf3490e82ba6791d4dcd5c0",
        Severity.WARNING,
        "The pool does not lie on loop devices",
        "Its data or metadata is a disk or another block device.",
        "None: nothing was changed.",
        "Grow the device that it lies on; its table is then loaded anew by whoever made it.",
    ),
    Code(
        "loop-file-unknown",
        "3454ab5d024d484c92e1cdca654424c3",
        Severity.WARNING,
        "The file behind a loop device cannot be found",
        "The path that the kernel shows does not lead to it: it was removed or replaced, it is"
        " in another mount namespace, or its name is not UTF-8.",
        "If it was removed, its data is gone for good at the next boot.",
        "losetup --list shows the path. Stop whoever uses the pool only after its data was copied.",
    ),
    Code(
        "loop-limited",
        "4261ad4b3a884659a32f98feaf0e1608",
        Severity.WARNING,
        "The loop device shows only a part of its file",
        "It was made with a size limit, behind which there may be something else.",
        "None: nothing was changed.",
        "losetup --list shows the limit. Make the loop device without one.",
    ),
    Code(
        "loop-changed",
        "9070b884138945f5884037271a23163a",
        Severity.WARNING,
        "A file, loop device or table was changed while dmguard was about to",
        "Another program, or an administrator, worked on it at the same moment.",
        "None: it was left as it is, and the pool goes on.",
        "Run the command again: it decides anew.",
    ),
    Code(
        "raw-activated",
        "d6d5a844e6164d51b88b1f64ec6144d6",
        Severity.NOTICE,
        "A raw pool was brought up",
        "It is configured as [[raw_pool]] and was down.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "raw-missing",
        "58f284078d8240a8b4cf1a7f545479bc",
        Severity.ERROR,
        "What a raw pool lies on is not there",
        "Its data or its metadata, as [[raw_pool]] names it, is no file and no block device: a file"
        " system is not mounted, a disk is late, or the path is wrong.",
        "The pool cannot be brought up, and whoever needs it does not work.",
        "Mount the file system or attach the disk. Never make the file anew: its data would be"
        " gone.",
    ),
    Code(
        "raw-no-pool",
        "7833fe7fffa244e2a584f3538072a732",
        Severity.ERROR,
        "There is no thin pool on a raw pool's metadata",
        "Its first block is blank, cannot be read, or is something else: the pool was never made,"
        " or the path is wrong.",
        "The kernel makes a new and empty pool on blank metadata, and all data would be lost.",
        "Compare the path with the one that the pool was made with. A pool that is to be new is"
        " made by hand, once: dmsetup create.",
    ),
    Code(
        "raw-block-size",
        "4c2b65c69da242c9b07f1231f0c63b35",
        Severity.ERROR,
        "A raw pool was made with another block size",
        "Its metadata has another block size than [[raw_pool]] says.",
        "None: the kernel would refuse it.",
        "Correct block_size in the configuration.",
    ),
    Code(
        "raw-too-small",
        "7eeb471dceda4d0fa5e7e311fbf602c6",
        Severity.ERROR,
        "A raw pool's data is smaller than its metadata says",
        "The file or device was cut, or is another one.",
        "The kernel refuses it: blocks that are in use would be missing.",
        "Find the right file or device. A file that a power cut left shorter may be enlarged to its"
        " former size: truncate --size.",
    ),
    Code(
        "raw-taken",
        "31e48222474a48b4845be3524604cf72",
        Severity.ERROR,
        "A pool of a raw pool's name is up on other devices",
        "Someone made it by hand, or the configuration names other files.",
        "Two pools on one metadata would destroy it. Nothing was changed.",
        "dmsetup table NAME and losetup --list show what it lies on. Correct the configuration.",
    ),
    Code(
        "raw-docker",
        "5f4aa607e457473d8ce8d44bfc57861b",
        Severity.WARNING,
        "Docker brings this pool up itself",
        "It is the one that Docker makes on loop devices at each of its starts.",
        "Brought up by another, it would be in Docker's way.",
        'Nothing to do. To have it grow by itself, give [pool."loop:docker"] a max_size.',
    ),
    Code(
        "raw-no-name",
        "62a3ecc2d74d4985bbade70872a059ba",
        Severity.WARNING,
        "What the pool lies on has no name that stays",
        "It is a disk without a link in /dev/disk/by-id, or a part of a file.",
        "After a boot the same name may be another disk's.",
        "Write the section by hand, with a path that leads to the same after every boot.",
    ),
)
