"""What keeps a pool from growing, or from giving back: what is around it, told by the doctor."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

GROWTH = (
    Code(
        "profile-missing",
        "ebf213d050f24c2abfb70030c4d6f503",
        Severity.WARNING,
        "The pool has no LVM profile that lets it grow",
        "Docker's manual attaches one, and dmeventd acts by it.",
        "Without dmguard nothing would extend the pool.",
        "dmguard attaches one. By hand: lvchange --metadataprofile NAME VG/POOL.",
    ),
    Code(
        "pool-not-monitored",
        "daf91e470ffd48db92e92c9715b47a5b",
        Severity.WARNING,
        "dmeventd does not watch the pool",
        "It was activated while dmeventd could not be reached, or monitoring is off.",
        "Without dmguard nothing would extend the pool.",
        "dmguard hands it over. By hand: lvchange --monitor y VG/POOL.",
    ),
    Code(
        "profile-lost",
        "098dfac406b043d2aaec9364136e71ec",
        Severity.WARNING,
        "A pool follows an LVM profile whose file is gone",
        "The profile's name is in LVM's metadata, and /etc/lvm/profile does not have it.",
        "LVM takes its defaults, by which no pool grows.",
        "dmguard doctor --fix writes it anew. By hand: put the file back, or lvchange"
        " --detachprofile VG/POOL.",
    ),
    Code(
        "autoextend-half-set",
        "b411d0f7cb304916893c3b2c555d3cdc",
        Severity.WARNING,
        "A pool has an autoextend threshold, and a step of nothing",
        "thin_pool_autoextend_percent is 0 in its profile or in lvm.conf. 0 does not mean 'as"
        " much as is needed': LVM refuses to extend by 0 %.",
        "dmeventd fails at each crossing, and the pool fills.",
        "dmguard doctor --fix sets a percentage in the pool's own profile. By hand: set"
        " thin_pool_autoextend_percent=20 there.",
    ),
    Code(
        "autoextend-off",
        "a851b04d589f4fe39223444394d2757d",
        Severity.WARNING,
        "Nothing would extend the pool",
        "dmguard's agent does not run, and LVM itself does not extend the pool: its threshold is"
        " 100, which means off, or dmeventd does not watch it.",
        "The pool fills, its writers wait, and after 60 seconds their writes fail.",
        "Start the agent: systemctl enable --now dmguard. dmguard doctor --fix also lets LVM"
        " extend the pool, unless it has a max_size.",
    ),
    Code(
        "ceiling-not-kept",
        "4727f4d2a4f34557911957754b390929",
        Severity.WARNING,
        "dmeventd extends a pool beyond its max_size",
        "max_size is dmguard's. LVM has no such limit, and its own autoextend is on for the pool.",
        "The pool grows further than it may.",
        "Leave growing to one of the two: lvchange --monitor n VG/POOL, or a profile with"
        " thin_pool_autoextend_threshold=100.",
    ),
    Code(
        "other-extender",
        "8e426f8f21374691bb5f3d148bd4be53",
        Severity.INFO,
        "dmeventd runs a command of its own for pools that fill",
        "dmeventd/thin_command in lvm.conf is not LVM's own.",
        "Whatever it does, it does beside dmguard. dmguard's targets are absolute, so that"
        " nothing is done twice; what it makes of max_size is its own affair.",
        "Nothing to do if it is meant so.",
    ),
    Code(
        "mark-not-live",
        "450c2428f2c6459881a4695af96f6e51",
        Severity.WARNING,
        "A pool's live table does not have its threshold",
        "The profile was attached, or lvm.conf changed, after the table was loaded. LVM loads the"
        " low water mark with the table alone.",
        "The kernel does not tell when the threshold is crossed.",
        "dmguard doctor --fix loads the table anew, and so does the agent, when it runs. By hand:"
        " lvchange --refresh VG/POOL.",
    ),
    Code(
        "vg-short",
        "9e6c0918c0ec43afa8f8da1b9fdea830",
        Severity.WARNING,
        "A volume group has no room for a pool's next step",
        "The pool is near its threshold, and one step does not fit beside the reserve.",
        "dmguard takes what there is, and then the group is dry. dmeventd takes nothing at all if"
        " its whole step does not fit.",
        "Add a disk: vgextend VG /dev/DISK, or a [[claim]] rule for one that comes.",
    ),
    Code(
        "vg-room-low",
        "d65a526e84ee40c9b886b0c81178e609",
        Severity.INFO,
        "A volume group will not hold the step that a pool will want",
        "One step does not fit beside the reserve: as where a pool was given the whole group.",
        "None yet: the pool is well below its threshold.",
        "Nothing to do, or have a disk at hand: vgextend VG /dev/DISK, or a [[claim]] rule.",
    ),
    Code(
        "step-unfit",
        "58e1c8aab2c84871a0fca3be95087529",
        Severity.WARNING,
        "LVM's own step does not fit into what is free",
        "dmguard's agent does not run, and thin_pool_autoextend_percent of the pool is more than"
        " its volume group has free.",
        "dmeventd fails, and uses none of what is free. The agent takes what there is.",
        "Start the agent: systemctl enable --now dmguard. Or add a disk, or lower"
        " thin_pool_autoextend_percent.",
    ),
    Code(
        "metadata-small",
        "006f37c3a8af43bda52981b9991bea41",
        Severity.WARNING,
        "A pool has less metadata than its chunks can need",
        "The metadata was made too small, or the data has grown far since. LVM reckons with 64"
        " bytes a chunk.",
        "When metadata runs out the pool turns read-only, however much data is free.",
        "dmguard doctor --fix extends it, and so does the agent above policy.metadata_threshold."
        " By hand: lvextend --poolmetadatasize SIZE VG/POOL.",
    ),
    Code(
        "spare-short",
        "ff0f9743f70d443485329ade9db3c6c7",
        Severity.WARNING,
        "A volume group has no spare that a pool's metadata fits into",
        "The pool was made without one, or the group had no room when the metadata grew.",
        "A damaged pool cannot be repaired before there is room for it.",
        "dmguard doctor --fix has LVM make it, by one extent more of metadata, if the group has"
        " room. Else add a disk.",
    ),
    Code(
        "overprovisioned",
        "bb984dba08f44114878588932da6dd13",
        Severity.INFO,
        "A pool has promised more than it has",
        "The sizes of its volumes are more than its own. That is what thin provisioning is for.",
        "None while the pool can grow. LVM warns of it at each volume that is made, where its own"
        " autoextend is off, or where even the whole group would not hold all.",
        "Nothing to do. dmguard status says how fast the pool fills.",
    ),
    Code(
        "discards-ignored",
        "73aaeb79ff92412ba90bc33d74927425",
        Severity.WARNING,
        "A pool ignores discards",
        "It was made with --discards ignore.",
        "What is deleted in its volumes stays allocated: fstrim frees nothing.",
        "Deactivate the pool, lvchange --discards passdown VG/POOL, and activate it.",
    ),
    Code(
        "discards-kept",
        "4b112af71ac54d009454855dcfb63189",
        Severity.INFO,
        "A pool does not pass discards down",
        "It was made with --discards nopassdown. fstrim frees chunks of the pool all the same.",
        "None for the pool. The storage below is not told what is free.",
        "Nothing to do, or lvchange --discards passdown VG/POOL.",
    ),
)
