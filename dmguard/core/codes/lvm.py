"""What keeps a pool from coming up, and LVM from its disks, told by the doctor."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

LVM = (
    Code(
        "skip-cleared",
        "007007fd49904b28bfa5ac40f79a2031",
        Severity.NOTICE,
        "A pool's activation skip flag was taken away",
        "It was set, and a program of this host keeps its data in the pool.",
        "None: this is dmguard's work.",
        "Nothing to do. To set it again: lvchange --setactivationskip y VG/POOL.",
    ),
    Code(
        "activation-skipped",
        "44fc4f3455eb49a5ac10447c64ee9e3e",
        Severity.WARNING,
        "A pool that is used has its activation skip flag set",
        "It was set by hand, or by container-storage-setup. A plain lvchange -ay then does"
        " nothing, and says that it succeeded.",
        "Without dmguard the pool is down after each boot.",
        "dmguard doctor --fix takes the flag away. By hand: lvchange --setactivationskip n"
        " VG/POOL. dmguard-activate.service brings such a pool up all the same.",
    ),
    Code(
        "volume-list-excludes",
        "e873cae4fabb46b3a70805ef7b80e220",
        Severity.WARNING,
        "lvm.conf forbids to activate a pool that is used",
        "activation/volume_list does not name the pool nor its volume group.",
        "The pool cannot be activated by anyone after the next boot.",
        "Add the volume group to activation/volume_list in lvm.conf.",
    ),
    Code(
        "autoactivation-excludes",
        "0972307bda8844be99edb9d687a3c75f",
        Severity.INFO,
        "LVM does not activate a pool that is used by itself",
        "activation/auto_activation_volume_list leaves it out, or autoactivation is off for it.",
        "None while dmguard-activate.service brings it up before its consumer.",
        "Nothing to do. Else lvchange --setautoactivation y VG/POOL, or add it to the list.",
    ),
    Code(
        "vg-foreign",
        "ed9dd7918ef04ec5928acf565fd6f583",
        Severity.WARNING,
        "A pool that is used is in a volume group of another host",
        "The group has the LVM system id of another host: its disks came from there or are shared"
        " with it, or this host's own id has changed. LVM leaves such a group out of its reports.",
        "The pool cannot be activated here, and whoever keeps data in it does not start.",
        "If the other host still uses it: leave it alone. If it is to be this host's:"
        " lvmsystemid(7), Overriding system ID. vgs --foreign -o +systemid shows the group's, and"
        " lvm systemid this host's.",
    ),
    Code(
        "thin-check-missing",
        "b9dbed8decbb484dbad545f4d5e6a3d8",
        Severity.WARNING,
        "thin_check is not there",
        "lvm.conf names a program that is not installed.",
        "LVM activates pools unchecked, and before 2.03.07 it refuses to activate them: Check of"
        " pool failed (status:2).",
        "Install it: apt install thin-provisioning-tools (device-mapper-persistent-data"
        " elsewhere).",
    ),
    Code(
        "devices-file-excludes",
        "439d13d4f2b04419a230760dfd2d28bf",
        Severity.WARNING,
        "LVM does not see a disk that has its label",
        "LVM uses a devices file, which does not list the disk, and the pool of a program or a PV"
        " of a guarded group is missing.",
        "The pool cannot come up.",
        "If the disk belongs to this host: lvmdevices --adddev /dev/DISK, or vgimportdevices VG.",
    ),
    Code(
        "devices-file-by-name",
        "13a1347e0ce8406ca68495f7be508a87",
        Severity.INFO,
        "LVM's devices file knows a disk by its name alone",
        "The disk has neither serial number nor WWN that LVM could take.",
        "After a boot with other names LVM must search for it.",
        "Give the disk a serial number, as hypervisors can, and run lvmdevices --update.",
    ),
    Code(
        "filter-by-name",
        "bc577cd12d6a4224a5827341741c83f5",
        Severity.WARNING,
        "lvm.conf lets LVM see disks by names that change",
        "devices/filter or global_filter accepts kernel names, such as /dev/sdb, and rejects the"
        " rest.",
        "After a boot with other names, or for a new disk, LVM does not see what it should.",
        "Use names below /dev/disk/by-id in the filter, or a devices file.",
    ),
    Code(
        "pv-on-loop",
        "020be4f511434047aeaff76c62cc5e82",
        Severity.WARNING,
        "A physical volume of a pool's group is a loop device",
        "The group was made on a file.",
        "After a boot the file is not set up by itself, and the group is incomplete.",
        "Move it to a disk: pvmove /dev/LOOP, vgreduce VG /dev/LOOP. For a test it may be well as"
        " it is.",
    ),
    Code(
        "disk-by-place",
        "be06bef3b4ca48b9b6b3a1547d96d72a",
        Severity.INFO,
        "A disk is ignored by its place alone",
        "It had neither serial number nor WWN when it was to be ignored.",
        "Any disk that is put there is ignored.",
        "Nothing to do. dmguard claim takes the disk all the same.",
    ),
)
