"""What is wrong with those who use a pool, told by the doctor."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

CONSUMERS = (
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
        "docker-data-differs",
        "6698689ecd5f4569b0a6ae943c62818d",
        Severity.WARNING,
        "Docker's list of devices is not that of its pool",
        "Docker counts its changes of the pool, and the pool counts them, too. The data folder, or"
        " the pool, is an older copy, or the pool is another one.",
        "Docker does not find its base device (Base Device UUID and Filesystem verification"
        " failed), or gives new containers the numbers of volumes that it does not know of.",
        "Leave Docker stopped. Bring back the copy of its data folder, or the pool, that belongs to"
        " the other. If what is in them is not needed: dmguard setup makes a new pool, and with"
        " --move-data moves the folder aside.",
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
