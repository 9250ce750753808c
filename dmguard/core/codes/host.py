"""What is said of the host around the pools, by `dmguard doctor`."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

HOST = (
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
        "file-edited",
        "e22b1b9a07d142b39ab929ec4cbe2aac",
        Severity.NOTICE,
        "A file of configuration was edited",
        "It had a value that its program cannot work with.",
        "None: this is dmguard's work. What it had before is kept beside it.",
        "Restart the program that reads it.",
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
        Severity.INFO,
        "LVM's own step does not fit into what is free",
        "thin_pool_autoextend_percent of the pool is more than its volume group has free.",
        "dmeventd would fail and use none of it. dmguard takes what there is.",
        "Nothing to do while the agent runs. Else add a disk, or lower"
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
    Code(
        "unit-not-ordered",
        "8350ce17109f448e82140fced1d68910",
        Severity.WARNING,
        "A consumer does not start behind its pool",
        "By what systemd has loaded, a start of the unit does not start dmguard-activate.service"
        " before it: that one is not enabled, or the unit is not one of those that it is made"
        " for.",
        "At a boot the consumer may start before its pool is up, and fail, or run without it.",
        "systemctl enable dmguard-activate.service. For another unit: systemctl edit UNIT, with"
        " [Unit] Wants=dmguard-activate.service and After=dmguard-activate.service.",
    ),
    Code(
        "thin-volumes-beside",
        "bbd53fa19df54ae2b1d39857a17733d8",
        Severity.CRITICAL,
        "LVM's own thin volumes are in a consumer's pool",
        "Docker and containerd number the devices of their pool themselves, and LVM does the same"
        " without knowing of theirs.",
        "Two devices with one number: data of either is overwritten. LVM also renames the live"
        " pool, and the consumer no longer finds it.",
        "Move the volumes to a pool of their own. Make none in a consumer's pool.",
    ),
    Code(
        "snapshotter-unusable",
        "c6b7d937a4b64092b7f105f85bf12b41",
        Severity.WARNING,
        "containerd has a pool, and cannot use it",
        "Its devmapper snapshotter is among the disabled plugins, or lacks base_image_size,"
        " without which it does not load.",
        "Whoever asks for the snapshotter is told that it is not loaded; with Kubernetes the node"
        " is not ready.",
        "Take devmapper out of disabled_plugins, set base_image_size, then restart containerd.",
    ),
    Code(
        "kubelet-first",
        "bf0fb95379364f339dc0d8848803b8bb",
        Severity.WARNING,
        "kubelet evicts before the pool would grow",
        "imageGCHighThresholdPercent or the limit of imagefs.available is reached at a lower"
        " usage than the pool's threshold.",
        "Images are removed and pods evicted although there is room for the pool to grow.",
        "Set data_threshold of the pool, or of its profile, below both.",
    ),
    Code(
        "min-free-invalid",
        "d62e95f999ac4237984249a16d9d4f02",
        Severity.WARNING,
        "Docker does not start with its dm.min_free_space",
        "The value must be a percentage below 100 with its sign, as 10%. Docker's manual gives it"
        " without.",
        "Docker fails at its next start: Option dm.min_free_space requires % suffix.",
        "dmguard doctor --fix adds the sign. Then start Docker.",
    ),
    Code(
        "min-free-above",
        "5fbab90ff0124a05b08461d01087eb1a",
        Severity.WARNING,
        "Docker refuses new containers before the pool grows",
        "dm.min_free_space, 10 % unless it is set, is more than what is free at the pool's"
        " threshold.",
        "Docker says 'less than minimum required' of a pool that nothing extends yet.",
        "Lower the pool's threshold below 100 % less that, or set dm.min_free_space lower.",
    ),
    Code(
        "options-refused",
        "28fc091c61164e2091df3820bf68fe27",
        Severity.WARNING,
        "Docker does not start with its storage options",
        "The devicemapper driver refuses options that it does not know, and those that contradict"
        " each other.",
        "Docker fails at its next start.",
        "Correct them where they are set, in daemon.json or on the command line, then start"
        " Docker.",
    ),
    Code(
        "pool-named-by-path",
        "bd994fe99de44f6a95197e5850102170",
        Severity.WARNING,
        "Docker's pool is named in a way that it cannot use",
        "dm.thinpooldev must be the device-mapper's name, as /dev/mapper/docker-thinpool. Docker"
        " takes off that prefix and no other.",
        "Docker does not find its pool, and does not start.",
        "dmguard doctor --fix writes that name, if LVM has the pool. Then start Docker.",
    ),
    Code(
        "driver-gone",
        "454bda2ac84749919bad71e49a3ad84c",
        Severity.WARNING,
        "This Docker has no devicemapper driver",
        "It was removed in Docker 25, and the configuration still names it.",
        "Docker does not start, or starts without its images and containers.",
        "Stay with Docker 24 or older, or save the images and move to overlay2. The pool itself"
        " is still guarded.",
    ),
    Code(
        "driver-not-chosen",
        "0df98f9ac9984afb96905f69cf222102",
        Severity.WARNING,
        "Docker is not told to use devicemapper",
        "Since Docker 23 the driver is only used if storage-driver names it.",
        "Docker does not start: prior storage driver devicemapper is deprecated.",
        'Add "storage-driver": "devicemapper" to /etc/docker/daemon.json.',
    ),
    Code(
        "docker-force",
        "4e23f46af5574571937589fe6952d2f1",
        Severity.WARNING,
        "Docker may wipe its own disk",
        "dm.directlvm_device_force is set. It is meant for the first start alone.",
        "If Docker's data folder is not mounted or is lost, the next start takes the disk for new"
        " and wipes it, images and all.",
        "Remove dm.directlvm_device_force from the configuration.",
    ),
    Code(
        "docker-data-missing",
        "9015c226bad54337995aa3542961af2f",
        Severity.WARNING,
        "Docker's pool is in use, and Docker's data folder does not know of it",
        "The file system with Docker's data folder is not mounted, or the folder was removed. What"
        " is in the pool is still there.",
        "Docker does not start: Unable to take ownership of thin-pool that already has used data"
        " blocks.",
        "Mount it, or bring the folder back from a backup, then start Docker. Do not wipe the"
        " pool, and do not set dm.directlvm_device_force.",
    ),
    Code(
        "auto-extend-ignored",
        "5106b847f1334ce08344cb6d7ea540f2",
        Severity.WARNING,
        "AUTO_EXTEND_POOL has a value that counts as no",
        "container-storage-setup compares it with yes, in small letters, and with nothing else.",
        "It attaches no profile, so that LVM does not extend the pool.",
        "Write AUTO_EXTEND_POOL=yes. The agent extends the pool all the same.",
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
    Code(
        "loop-lvm",
        "8d7298917966485ba5b1daec9d6945e6",
        Severity.NOTICE,
        "Docker keeps its data in files on loop devices",
        "It was given no pool, and makes one itself on two sparse files (loop-lvm).",
        "It is slow, and when the file system below is full, containers see I/O errors.",
        "dmguard setup DISK --consumer docker makes a pool on a disk. dmguard loop resize grows the"
        " one that there is.",
    ),
)
