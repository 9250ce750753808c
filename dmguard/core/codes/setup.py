"""What is said of setting up: pools that are made, files that are written."""

from __future__ import annotations

from dmguard.core.codes.code import Code, Severity

SETUP = (
    Code(
        "profile-attached",
        "4ac878720cc940aaa8287e5a1abe559f",
        Severity.NOTICE,
        "A pool was given an LVM profile of its own",
        "It had none, or one that said something else.",
        "None: this is dmguard's work.",
        "Nothing to do. To take it away: lvchange --detachprofile VG/POOL.",
    ),
    Code(
        "pool-monitored",
        "68a21d39b11b4d38ac7eaaeff982ef69",
        Severity.NOTICE,
        "A pool was handed to dmeventd",
        "It was not monitored.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "file-changed",
        "c16c249850f147afadb38ca5e32a10a5",
        Severity.WARNING,
        "A file was changed while dmguard was about to write it",
        "Someone, or a tool that manages the configuration, wrote it at the same moment.",
        "None: it was left as it is.",
        "Run the command again: it decides anew.",
    ),
    Code(
        "disk-wiped",
        "dbc2fd728b73439e9fdc106973fc7a4f",
        Severity.WARNING,
        "The signatures of a disk were wiped",
        "dmguard setup was told to give up the disk's content, by its serial number or by-id link.",
        "What was on the disk is lost.",
        "Nothing to do.",
    ),
    Code(
        "vg-created",
        "0901b9ae4cb348eaa5df207c13f239c5",
        Severity.NOTICE,
        "A volume group was created",
        "dmguard setup was told to make one of these disks.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "pool-created",
        "9adcc8da5bd7444095b6b7474ac7550b",
        Severity.NOTICE,
        "A thin pool was created",
        "dmguard setup was told to make one.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "consumer-configured",
        "685151cb034d4dd4b6178bb833c8857c",
        Severity.NOTICE,
        "A consumer was configured to keep its data in the pool",
        "dmguard setup was told to; the old configuration is kept beside the new one, as"
        " FILE.before-dmguard.",
        "None: this is dmguard's work.",
        "Nothing to do.",
    ),
    Code(
        "vg-there",
        "3e98af0f40404ac582a92c2f7f4fde62",
        Severity.WARNING,
        "There is a volume group of that name already",
        "It has none of the disks that were given.",
        "None: nothing was changed.",
        "Name it with --vg to use it, or give another name with --vg.",
    ),
    Code(
        "name-taken",
        "0a06a08363284c52bf9d2b66644f4c41",
        Severity.WARNING,
        "There is a logical volume of that name that is no thin pool",
        "Someone made it for another purpose.",
        "None: nothing was changed.",
        "Give another name with --pool.",
    ),
    Code(
        "force-matches-nothing",
        "f15c4471066a4aa68c76fa54d8ef6733",
        Severity.ERROR,
        "No disk that was given has that serial number or by-id link",
        "--force takes the serial number of a disk, or its full path below /dev/disk/by-id, so"
        " that no other disk is meant by mistake.",
        "None: nothing was changed.",
        "dmguard disks --json has the serial number and the links of each disk.",
    ),
    Code(
        "disk-may-be-another",
        "3244c9c7329b46cb9cc2dc0b176dba28",
        Severity.ERROR,
        "A disk that is not in the volume group is named by a name that can move",
        "The group was made before, without this disk. The kernel names disks in the order in which"
        " it finds them, so that after a boot such a name can be another disk's.",
        "None: nothing was changed.",
        "If this disk is to be added, name it by /dev/disk/by-id, or use dmguard claim.",
    ),
    Code(
        "consumer-unclear",
        "eea588361b3b4b5c86bbcd7aca2f1699",
        Severity.ERROR,
        "It is not clear who is to keep its data in the pool",
        "Several programs are installed that could.",
        "None: nothing was changed.",
        "Say it with --consumer docker, containerd, isulad or none.",
    ),
    Code(
        "consumer-missing",
        "127f6e79c2df4904b8f8bc8b73bb4f65",
        Severity.ERROR,
        "The consumer is not installed",
        "Its program was not found, or the client that tells which pool it uses.",
        "None: nothing was changed.",
        "Install it first, or use --consumer none.",
    ),
    Code(
        "docker-without-driver",
        "b149925bcf954554bbd366ceaaa1730b",
        Severity.ERROR,
        "This Docker has no devicemapper driver",
        "The driver was removed in Docker 25.",
        "None: nothing was changed. Docker would not start with such a configuration.",
        "Use --consumer containerd for its devmapper snapshotter, or Docker up to 24.",
    ),
    Code(
        "config-unclear",
        "343181f29c5043bfa671ba81d91cd156",
        Severity.ERROR,
        "The consumer's configuration cannot be changed for certain",
        "It cannot be read, is not valid, or says the same thing twice.",
        "None: it was left as it is.",
        "Put it right by hand, and run the command again.",
    ),
    Code(
        "consumer-configured-elsewhere",
        "660676491c5340929ae2ae92d6294994",
        Severity.ERROR,
        "The consumer is told of another pool by something else than its configuration file",
        "Its command line, a file that its unit reads, or one that containerd's imports, names a"
        " pool.",
        "None: nothing was changed. Docker does not start with an option in both places, and to"
        " iSulad the command line counts. What containerd imports comes before its own file.",
        "Take the storage options out of there first.",
    ),
    Code(
        "consumer-has-data",
        "282c8e164d504f4084312c82a783c07c",
        Severity.WARNING,
        "The consumer has images or containers that it would not see any more",
        "They are kept by another storage driver, or in another pool.",
        "None: nothing was changed.",
        "--move-data moves them aside, so that nothing is lost; they are pulled or loaded again"
        " afterwards. What containerd has in another pool stays with that pool: remove its images"
        " and then pool_name from its configuration.",
    ),
    Code(
        "consumer-silent",
        "4f59e584132f4c67829cdda6f2e4c3c4",
        Severity.WARNING,
        "The consumer does not say which pool it uses",
        "It is configured for the pool, and it is starting or stopping, or it runs and does not"
        " answer.",
        "None: nothing was changed, and it was not stopped.",
        "Wait until it answers (systemctl status, docker info, ctr plugins ls) or stop it, and run"
        " the command again.",
    ),
    Code(
        "name-invalid",
        "59fbe94ccf4f4e3e9a2e0f8eb99003b0",
        Severity.ERROR,
        "LVM does not take such a name",
        "Names are of letters, digits, +, _, . and -, and some are kept for volumes of LVM's own."
        " The device-mapper's name is made of both, with hyphens doubled, and is limited, too.",
        "None: nothing was changed.",
        "Give another name with --vg or --pool.",
    ),
    Code(
        "pool-has-consumer",
        "cf6d06672333496ba3ecf3fe96cb011a",
        Severity.WARNING,
        "Another consumer keeps its data in the pool",
        "Its configuration names the pool, or it says that it uses it.",
        "None: nothing was changed. Two programs in one pool destroy each other's volumes.",
        "Give another pool with --pool, or another group with --vg.",
    ),
    Code(
        "pool-has-volumes",
        "0775c589c59d43e281c9cb181122c546",
        Severity.WARNING,
        "The pool has volumes of LVM's",
        "They were made with lvcreate, or by a program that uses LVM, such as Proxmox VE or Incus.",
        "None: nothing was changed. A consumer makes volumes that LVM does not know of, and both"
        " would take the same numbers for them.",
        "Give another pool with --pool: one that does not exist yet is made.",
    ),
    Code(
        "pool-in-use",
        "a2cea0c37eaa45e098d470947e1fcadd",
        Severity.WARNING,
        "Something is in the pool, and it is not the consumer's",
        "Data is written in it, or volumes were made in it. It is not known by whom: a set-up that"
        " was taken back leaves such a pool, too.",
        "None: nothing was changed. The consumer would write over volumes that it does not know.",
        "Give another pool with --pool. If dmguard history shows that a set-up of this one was"
        " taken back, and nobody has used it since, nothing in it is needed: lvremove VG/POOL, then"
        " the same dmguard setup with --move-data, which moves aside what the consumer has noted.",
    ),
    Code(
        "docker-version-unknown",
        "4abb56e0312b430094a1e41e4ad2b89b",
        Severity.ERROR,
        "It is not known which version of Docker this is",
        "dockerd --version gave no answer that is understood, and Docker 25 and later has no"
        " devicemapper driver.",
        "None: nothing was changed.",
        "Run dockerd --version by hand, and the command again when it answers.",
    ),
    Code(
        "data-not-movable",
        "d7102d2ac42544228f63e63714378f33",
        Severity.WARNING,
        "The consumer's data cannot be moved aside",
        "Its folder is a symbolic link or a mount point, or a file system is mounted below it, or"
        " its containers run on while the consumer is stopped.",
        "None: nothing was changed.",
        "Stop the consumer and its containers, and run the command again. If the folder still"
        " cannot be moved, move what is in it by hand.",
    ),
    Code(
        "settings-there",
        "d549dcdd10144de8a88adef761965479",
        Severity.WARNING,
        "There are settings for this already, and they say something else",
        "They were written before, for the same pool or group.",
        "None: they were left as they are.",
        "Compare the two, and put the settings right by hand, or remove them and run the command"
        " again.",
    ),
    Code(
        "undo-failed",
        "6daa277fa1b74a5687bda587c156aa95",
        Severity.ERROR,
        "What was half done could not be taken back",
        "An act did not come to its end, and neither did a step that was to undo it; the entry"
        " says which.",
        "The host is in between: a consumer may be stopped, or run with the wrong data.",
        "Do by hand what the entry names, then run the command again.",
    ),
    Code(
        "intent-not-written",
        "39fdbc78b8a847f793d2d368416ca36b",
        Severity.ERROR,
        "What was about to be done could not be noted on the disk",
        "The file system of /var/lib/dmguard is full, read-only or too slow: the entry has the path"
        " of the file.",
        "None: nothing was changed. After a power cut in the middle nobody would have known of it.",
        "See to it that /var/lib/dmguard can be written to, and run the command again.",
    ),
    Code(
        "systemd-unreachable",
        "991f00448be04d1f80f4ad675e7ac829",
        Severity.WARNING,
        "systemd could not be asked",
        "There was no connection to the system bus.",
        "An interrupted act is still to be settled.",
        "Nothing to do: it is tried again. See systemctl status dbus.",
    ),
)
