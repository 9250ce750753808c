"""What the man pages say beyond the tables of the code. Paragraphs are apart by an empty line."""

DESCRIPTION = """\
dmguard keeps LVM thin pools alive. It grows their data and metadata before those who write on
them feel it, adds new disks to their volume groups where a rule says so, brings them up at boot
before Docker, containerd and iSulad, and starts those again that failed without their pool.

Events only wake it: each time it reads the state from the kernel and from LVM, plans, acts
under a lock, and reads again. The agent and the commands are the same program and share
that lock.

With no configuration every thin pool of the host is guarded within its volume group, and no disk
is ever claimed. Repairs that can lose data are explained and never done.
"""
BOOT = """\
The service dmguard-activate.service runs dmguard activate before docker.service,
containerd.service and isulad.service, whenever one of these is started. It waits for disks that are
late, for activate.timeout from its first run in a boot, and not again when a consumer is restarted.
If it fails, the consumer starts all the same; the agent activates the pool when its disks are
there, and then starts the consumer again. To make Docker wait for its pool instead, run systemctl
edit docker.service and add these lines:
"""
BOOT_DROP_IN = ("[Unit]", "Requires=dmguard-activate.service")
CLUSTERS = """\
A pool that LVM is told not to activate by itself (lvchange --setautoactivation n, vgchange
--setautoactivation n, or the activation skip flag) may belong to a cluster that runs it on one
host at a time. It is left alone unless guard.pools names it more closely than */*, it is named on
the command line, or Docker, containerd or iSulad of this host is configured for it. A pool that is
taken down while the agent runs is not brought up again by it.
"""
EXITS = (
    ("0", "Done, or nothing to do."),
    ("1", "Failed."),
    ("2", "The command line or the configuration is wrong."),
    ("3", "Nothing matched."),
    ("4", "Refused by a safety rule; for recover and doctor: something that is wrong is left."),
    ("75", "Busy: another command or the agent holds the lock."),
)
OFFLINE = """\
dmguard recover --offline also cures a pool that is read-only, must be checked, has failed, is out
of metadata, or did not pass its check when it was to be activated last. It shows the steps and
asks on the terminal; with --yes it does not ask, and without a terminal it then does nothing. The
pool's consumers are stopped, and what they left of thin devices is removed. Of the pool's
metadata, which LVM brings up read-only for that, a copy is kept in /var/lib/dmguard/metadata,
with its SHA-256 as sha256sum(1) has it. The pool is activated with thin_check and
--clear-needs-check-flag. Where that finds damage, lvconvert --repair makes new metadata of what
thin_repair can save, and what there was is VG/POOL_meta0. Metadata above its threshold grows.
Then LVM's volumes in the pool are up again if they were, and the consumers that ran are started.

Who else has anything in the pool open is named, and nothing is done. Whatever stands in the way
before the repair, all is put back as it was. A pool whose check or repair does not succeed stays
down, with its consumers stopped. An act that was interrupted is gone on with by the agent, or by
the next dmguard recover. Copies are never removed by dmguard.
"""
BUNDLE = """\
dmguard recover --bundle FILE writes what a maintainer has to see of a host to a new file of mode
0600, packed as its name says. It cures nothing, and changes nothing else. Each part is read within
its own time; of one that does not answer, or is not there, the bundle has the error, as
PART.error. So it is written as well where LVM hangs, or where the configuration is not accepted.

Hidden are, by where they stand: what follows a name like password, passphrase, secret, token, auth
or key, in whatever form, and options like --key; headers like Authorization; what stands before the
@ of a URL; PEM blocks; keys in tables of dm-crypt and dm-integrity, which are not asked for; the
variables of units, and of the files of variables, but for their names; tokens that are known by
their form, and long words in base64. In their place is <redacted-KIND>. Serial numbers and WWNs of
disks, names of hosts, network addresses and iSCSI names are replaced by names as <disk-id-1>, the
same one by the same within a bundle. Names of volume groups, volumes, units and paths, UUIDs, and
the names of images and containers are as they are. So are a host's name of one or two letters, or
that is a plain word, as docker, server or data, for the bundle would say nothing without that word;
and where nothing says what it is, a serial number of less than four characters, or of less than
eight that are all digits or all letters. A secret that nothing announces is not known for one: look
through the bundle before it is handed on.

MANIFEST in it lists each part with its size, how it was obtained, what of it was left out because
it is too long, and how much of what kind was hidden.
"""
LEDGER = """\
The disks that are ignored, those that were taken out of their group, and the members of the groups
as they were last seen. While it cannot be read, no disk is claimed.
"""
FILES = (
    ("/etc/dmguard/dmguard.toml", "The configuration; see dmguard.toml(5). It need not exist."),
    ("/etc/dmguard/conf.d/*.toml", "Read after it, in the order of their names."),
    ("/run/dmguard/state.json", "What only the agent knows, written again when it changes."),
    (
        "/run/dmguard/activate.json",
        "When the first activation of this boot began, and which pools it waited for in vain.",
    ),
    ("/var/lib/dmguard/disks.json", LEDGER),
    ("/var/lib/dmguard/history.jsonl", "What was done, refused and reported."),
    (
        "/var/lib/dmguard/metadata/*.img",
        "Copies of the metadata of pools that recover --offline took out of use.",
    ),
    (
        "/var/lib/dmguard/intent.json, /var/lib/dmguard/activate.json",
        "The act under way, of the agent and the commands, and of dmguard activate.",
    ),
    ("/var/lib/dmguard/intent-apart.json", "An act that waits for a consumer to stop or start."),
    ("/usr/lib/systemd/system/dmguard.service", "The agent."),
    (
        "/usr/lib/systemd/system/dmguard-activate.service",
        "Brings pools up before their consumers.",
    ),
    ("/usr/lib/udev/rules.d/90-dmguard.rules", "Marks the events that the agent is woken for."),
    ("/usr/share/dmguard/schema", "A JSON Schema for what each command prints with --json."),
)
JOURNAL = """\
Each act, refusal and alert is one entry with the identifier dmguard: journalctl -t dmguard shows
them, with -x also what the catalog says of each, with -o verbose their fields:
"""
FIELDS = (
    ("MESSAGE_ID", "One for each code."),
    ("PRIORITY", "As in syslog(3), by the code."),
    ("DMGUARD_ACTION", "What is done: "),
    ("DMGUARD_RESULT", "How it ended: "),
    ("DMGUARD_TRIGGER", "What dmguard was woken by: "),
    ("DMGUARD_VG", "The volume group."),
    ("DMGUARD_POOL", "The pool, as vg/lv."),
    ("DMGUARD_DISK", "The disk, by its path below /dev."),
    ("DMGUARD_REASON", "The code: see below."),
    ("DMGUARD_ID", "The same in all entries of one act."),
    (
        "DMGUARD_SIZE, DMGUARD_TARGET, ...",
        "The numbers in the message, each in a field of its own; sizes are in bytes.",
    ),
)
CODES = """\
Each act, refusal and alert carries one of these, in the journal as DMGUARD_REASON.
The command explain tells the cause, the danger and the cure.
"""
SETTINGS = """\
With no file at all every LVM thin pool is guarded within its volume group, and no disk is claimed.
An unknown key or a bad value is an error that names the file and the key: it stops a start, and
leaves a reload on the last good configuration. Sizes are an integer with B, KiB, MiB, GiB or TiB;
shares are N%; durations a number with ms, s, min or h. The command dmguard config check reads the
files and tells what is wrong with them.

A setting in a later file replaces the one before it. Only [[claim]] rules and [[raw_pool]] sections
add up: those of all files hold.
"""
SECTIONS = {
    "claim": """\
A rule for disks that become physical volumes of a volume group: see dmguard-claim(7). There may be
several. Where several take one disk, the strictest word of all counts: ask before auto, the
smallest limit, the longest settle time. If they name different volume groups, the disk is not
claimed.
""",
    "raw_pool": """\
A thin pool without LVM, as in the guides of containerd, Kata and Firecracker. dmguard activate
brings it up before its consumer: it puts the files on loop devices and makes the device with
dmsetup. It makes no file, resizes none for that, and never makes a new pool on blank metadata.
There may be several.
""",
    "consumer": """\
What is done for a program that keeps its data in a pool; NAME is docker, containerd or isulad.
Whether it does, and in which pool, is read from its own configuration: /etc/docker/daemon.json,
/etc/isulad/daemon.json, or the file of --config-file, and the options in docker.service and
isulad.service, with their drop-ins and the files of variables that they name;
/etc/containerd/config.toml and what that imports. A program is started only if its last start began
before its pool was there and failed, and restarted only if it runs without its pool. What failed
for another reason is left alone.
""",
}
HEADS = {"claim": "[[claim]]", "consumer": "[consumer.NAME]", "raw_pool": "[[raw_pool]]"}
REQUIRED = ("claim.vg", "claim.match", "raw_pool.name", "raw_pool.data", "raw_pool.metadata")
POOLS = """\
Any setting of [policy], for this pool alone. A pool without LVM on loop devices is named
loop:docker, if it is the one that Docker made, or loop:NAME by its device-mapper name. It has no
vg_reserve, and it is grown only if a max_size is given here: into its file, as far as the file
system below has room.
"""
MATCH = "What a match may ask for. All that is given must hold; what is not known does not match."
MATCH_KEYS = {
    "path": "Glob of udev's ID_PATH: the place where the disk is plugged in, as pci-*-ata-2.",
    "link": "Glob of any of the disk's links below /dev, as /dev/disk/by-id/nvme-*.",
    "serial": "Glob of the serial number.",
    "wwn": "Glob of the World Wide Name, as 0x5000c500*.",
    "model": "Glob of the model, as udev's ID_MODEL has it.",
    "vendor": "Glob of the vendor, as udev's ID_VENDOR has it.",
    "bus": "Glob of udev's ID_BUS, as ata or scsi.",
    "min_size": "The disk has at least this size.",
    "max_size": "The disk has at most this size.",
    "rotational": "true for spinning disks, false for others.",
}

CLAIM_RULE = (
    "[[claim]]",
    'vg = "docker"',
    'match = { path = "pci-*", min_size = "10GiB", rotational = false }',
    "limit = 8",
)
CLAIM = """\
A volume group that is dry is cured by a disk. dmguard adds one by itself only if a [[claim]] rule
of dmguard.toml(5) is for it; without any rule no disk is ever touched. A rule looks like this:
"""
CLAIMED = """\
Claimed are whole disks and multipath maps that a rule matches and that are blank: nothing but
zeros, or nothing but ones, is read at both ends (4 MiB each), at more than a thousand places
between, and in the whole of a disk of up to 64 MiB. Nobody may use the disk, hold it open or
mention it. Any doubt, and any failure to look, is a refusal. Every refusal has a code, listed
below; it is reported once, and dmguard disks shows all of them for every disk. Whether a disk was
there before dmguard, or came just now, makes no difference.

Partitions, loop devices, arrays, logical volumes, optical and removable drives and disks on USB are
never claimed. Nothing is ever wiped, and no command is run that overrules LVM.
"""
STEPS = """\
The disk stays as it is for the settle time of its rule. Every event of the disk begins it anew.

Under the lock that the agent and the commands share, an intent is written, and the disk is looked
at once more: it must be the same device, of the same size, with no event of udev's since it was
looked at, still blank at both ends, and unused.

vgextend VG DISK, which makes the physical volume itself: one command, without --yes, and with an
empty standard input. If LVM asks whether to wipe something, that is a no.

LVM's report must show the disk in the volume group. What vgextend leaves behind when it ends half
way, a label of no group on a disk that was blank, is blanked again, and the claim is made anew.

The physical volume gets the LVM tag dmguard: pvs @dmguard lists all that have it.
"""
BY_HAND = """\
dmguard claim DISK --vg VG claims one disk without any rule, whatever its limit is, and also one
that is ignored or was taken out. Every check of the disk itself holds for it, too. With -n it
shows what would be run.

In a rule with mode = "ask" nothing is claimed by itself: the disk is reported once as disk-ask, and
shown by dmguard disks, until dmguard claim or dmguard ignore is run for it.

dmguard ignore DISK leaves a disk alone, whatever rule matches it, until it is claimed by hand. A
disk is told by its WWN, else its serial number, else its place. One that has only its place is any
disk that is put there.
"""
TAKE_OUT = ("pvmove DISK", "vgreduce VG DISK", "pvremove DISK")
TAKEN_OUT = """\
It is then noted as taken out, and not claimed again by itself, also after a reboot. If it was in
the group before there was any rule, dmguard may not have known the disk: dmguard ignore DISK,
after vgreduce, makes sure. pvremove leaves LVM's old metadata on the disk, so that it is not blank:
before dmguard claim can take it back, it has to be overwritten (blkdiscard --zeroout DISK, which
destroys all that is on it).
"""
TAKE_OUT_HEAD = "To take a disk out of its volume group for good, run LVM's own commands:"
RETURNED = """\
While a physical volume is missing, nothing in its volume group is changed. When it comes back and
LVM still counts it as missing, because the group was changed meanwhile, dmguard runs vgextend
--restoremissing, once all missing ones are back and only if the group has no mirror or RAID. Live
tables that point at a device number that is gone are loaded anew.

When the disk of a physical volume grows, dmguard runs pvresize. It does so only for growth that it
saw, or that happened between two boots: one that was made smaller than its disk on purpose stays
so. Both need no rule, and concern only volume groups with a guarded pool.
"""
NOT_CHECKED = """\
A disk that is blank here may belong to another host: SCSI persistent reservations are not looked
at, and what another host has mounted or exports is not seen. Where disks are shared, match them
by wwn or serial, or use mode = "ask". A disk of random bytes alone, as a plain dm-crypt device has
them, is not blank and is refused. Of a large disk not everything is read: what lies between the
places that are read, with nothing at either end, is not seen.
"""
SETUP = """\
dmguard setup does what Docker's manual for devicemapper has an administrator do by hand, and the
same for containerd and iSulad: of one or several blank disks it makes a volume group with a thin
pool, has the pool grow by itself, and has the consumer keep its data in it. Each command that
would be run is shown by -n.
"""
SETUP_EXAMPLE = (
    "dmguard setup -n /dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
    "dmguard setup /dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
    "dmguard setup --consumer none --vg fast --pool pool /dev/nvme1n1",
)
SETUP_STEPS = """\
Each disk is proved to be the one that was judged, blank and unused, as for a claim; then vgcreate
is run for all of them, without --yes and with an empty standard input. The physical volumes get
the LVM tag dmguard. In a volume group that is there, named with --vg, each new disk is claimed.

The LVM profile VG-POOL.profile is written, and one lvcreate makes the pool with its metadata and
attaches the profile: by default 95 % of what the group has free for data, 1 % for metadata (at
least 64 bytes a chunk, at most what the kernel uses), chunks of 512 KiB, without zeroing. What is
left is for metadata to grow, and its spare. A --data-size that does not fit is refused. Where other
volumes follow a profile of that name it is left as it is, and the pool's is VG-POOL-2.profile.

If dmeventd can be reached and does not monitor the pool, it is handed over.

The consumer is stopped, its configuration file is replaced, the old one kept beside it as
FILE.before-dmguard, and it is started. While it stops and starts the lock is let go, so that pools
are grown meanwhile, and nothing else is done to any consumer. It must then say itself that it uses
the pool; otherwise all of this step is taken back, and it is started as it was.

With --claim, a rule for further disks is written to /etc/dmguard/conf.d.
"""
SETUP_AGAIN = """\
What is there already is left out: a second run with the same words changes nothing. After a power
cut the same words complete what was begun. An intent is on the disk before each command (else none
is run: intent-not-written), so that physical volumes of no group, and volumes of a pool that LVM
had not put together yet, are known for its own by name, size and kind; anything else is left alone,
and told.

Within vgcreate LVM marks the disks as used before it has written the group, and then refuses them
to everybody. That half is known by its label and by the header of its metadata area, which says
that no group was ever written there; where nothing else is on the disks, which were blank before,
it is blanked, and vgcreate is run anew. While one of the disks is away the others are left.
"""
SETUP_CONSUMERS = """\
Without --consumer it is whoever is installed, if that is clear: Docker up to 24, which brings a
containerd of its own, else containerd, else iSulad. Docker 25 and later has no devicemapper driver,
and one whose version is not known is refused. With containerd ctr must be installed as well: it
tells whether the pool is used.

A consumer is put on no pool that is another's: one that another consumer is configured for or says
that it uses, one with volumes of LVM's, or one in which anything was written or made. A set-up of
its own that was interrupted is known by the consumer's configuration, which names the pool.

Images and containers that would not be seen any more are a refusal. With --move-data their folder
is renamed, to FOLDER.before-VG-POOL; it is never deleted. It is not renamed if it is a symbolic
link or a mount point, if a file system is mounted below it, or if its containers run on while the
consumer is stopped: Docker's with live-restore, iSulad's always. Storage options on a command line,
in a drop-in or in a file of variables are a refusal, too: with the same option in its configuration
Docker does not start, and iSulad goes by the command line. So is a file that containerd's
configuration imports and that names another pool.
"""
SETUP_UNDO = """\
Nothing takes a set-up back by one command, because that would destroy what was written since. Stop
the consumer, put FILE.before-dmguard and FOLDER.before-VG-POOL back in their places, start it, and
remove the volume group with vgremove and pvremove when nothing in it is needed.
"""
SETUP_IMPORT = """\
--import reads /etc/sysconfig/docker-storage-setup, or the dm.directlvm options of daemon.json and
of Docker's command line, or a file that is given. It shows the command line of dmguard setup that
says the same, writes settings that have an equivalent to /etc/dmguard/conf.d, and says what has
none. It touches no disk: the names of disks in such a file may be those of others by now. With it
no word is taken that says how to set up.
"""
