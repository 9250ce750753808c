"""What is done with disks."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

DISKS = (
    Code(
        "disk-claimed",
        "1e57f45c9f8044ceb2815b12eda178ab",
        Severity.NOTICE,
        "A disk was added to a volume group",
        "A blank disk matched a [[claim]] rule, or was claimed by hand, and became a physical"
        " volume.",
        "None: this is dmguard's work.",
        "Nothing to do. To take it out again: vgreduce, then pvremove; it is not claimed again"
        " by itself.",
    ),
    Code(
        "pv-resized",
        "72517957841f42f08dbf4614609f15f9",
        Severity.NOTICE,
        "A physical volume was resized to its disk",
        "The disk had grown, as a volume of a cloud or a storage array does.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "pv-restored",
        "c2eadae1342a4192b603f670ef883162",
        Severity.NOTICE,
        "A physical volume that returned was taken back",
        "Its disk was away while the volume group was changed, and came back. LVM counts it as"
        " missing until vgextend --restoremissing.",
        "What was written to it just before it went may be lost.",
        "Check the file systems and pools that lie on it.",
    ),
    Code(
        "disk-matches",
        "63a1ffe97aaf4cc0b6b68a61746dbae3",
        Severity.INFO,
        "A blank disk matches a claim rule",
        "The configuration says that such a disk is for this volume group.",
        "None.",
        "Nothing to do.",
    ),
    Code(
        "disk-grown",
        "232b3dedd6c543e98665c9f83f6e1eef",
        Severity.INFO,
        "The disk of a physical volume has grown",
        "LVM uses the size that the disk had when it became a physical volume.",
        "The new space is not used.",
        "dmguard runs pvresize. By hand: pvresize /dev/DISK.",
    ),
    Code(
        "pv-returned",
        "79d126ad358f420e91adcf16345b45e5",
        Severity.INFO,
        "A missing physical volume is back",
        "Its device is there, and LVM still counts it as missing, because the volume group was"
        " changed meanwhile.",
        "LVM refuses every change of the volume group.",
        "dmguard runs vgextend --restoremissing once all its disks are back.",
    ),
    Code(
        "stale-table",
        "b722aeb097584f789ef52c9c68725d20",
        Severity.WARNING,
        "The live table points at devices that are gone",
        "A disk went and came back with another number; the kernel still sends I/O to the old one.",
        "All I/O to that part of the pool fails.",
        "dmguard loads the tables anew (lvchange --refresh). The pool may have to be checked"
        " afterwards.",
    ),
    Code(
        "disk-changed",
        "8d76b3c5bb8840ee81aae4539669b4f6",
        Severity.WARNING,
        "A disk is no longer what it was judged to be",
        "Between the verdict and the act the disk was swapped, resized, written to, or taken"
        " into use.",
        "None: nothing was changed.",
        "Nothing to do: it is judged anew.",
    ),
    Code(
        "disk-refused-by-lvm",
        "3d8ead7561164d05bc7f70699b092f28",
        Severity.WARNING,
        "LVM refused the disk",
        "LVM's own look at the disk found something, or a filter excludes it. Its words are in"
        " the entry.",
        "None: nothing was changed.",
        "Read LVM's words.",
    ),
    Code(
        "done-elsewhere",
        "459d5bab44e24649abe6170593042abf",
        Severity.INFO,
        "Someone else did it first",
        "LVM's own activation, or an administrator, was faster.",
        "None: acts name an absolute end, so nothing is done twice.",
        "Nothing to do.",
    ),
)
