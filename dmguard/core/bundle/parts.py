"""The parts of a bundle: what is wanted, and how it is obtained. Nothing here changes a host."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.consumers import SERVICES
from dmguard.core.host import ACTIVATE, AGENT

if TYPE_CHECKING:
    from collections.abc import Iterable

_KIB, _MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Own:
    """What dmguard says itself."""

    about: str

    def __str__(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class Command:
    """A program that only reads. `each`: it is also given the paths that this pattern is for.

    `aside`: it may look at a disk that does not answer.
    """

    argv: tuple[str, ...]
    each: str = ""
    aside: bool = False

    def __str__(self) -> str:
        return " ".join((shlex.join(self.argv), *([self.each] if self.each else [])))


@dataclass(frozen=True, slots=True)
class Report:
    """LVM's report, asked for as a look at a pool does."""

    def __str__(self) -> str:
        return "lvm fullreport, asked as the agent does"


@dataclass(frozen=True, slots=True)
class Files:
    """The contents of all files that the patterns are for, one after the other."""

    patterns: tuple[str, ...]

    def __str__(self) -> str:
        return f"read: {' '.join(self.patterns)}"


@dataclass(frozen=True, slots=True)
class Listing:
    """Names, sizes and times of what is in a folder."""

    folder: str

    def __str__(self) -> str:
        return f"listed: {self.folder}"


How = Own | Command | Report | Files | Listing


@dataclass(frozen=True, slots=True)
class Part:
    """`limit`: characters; of what is longer the beginning is kept, or the end.

    `variables`: it has variables for a unit, of which the names alone are told.
    """

    name: str
    how: How
    limit: int = 2 * _MIB
    keep_end: bool = False
    variables: bool = False
    timeout_s: float = 15.0


_LINES = ("--no-pager", "--no-hostname", "--output=short-iso-precise", "--lines=8000")
_PACKAGES = (
    "dmguard", "lvm2", "dmsetup", "dmeventd", "thin-provisioning-tools", "udev", "systemd",
    "python3", "python3-dbus-next", "python3-pyudev", "python3-systemd", "python3-tenacity",
    "docker.io", "docker-ce", "containerd", "containerd.io",
)  # fmt: skip
_PROGRAMS = "dockerd,containerd,isulad,dmeventd,lvm,dmguard,dmguard-lvm,thin_check,thin_repair"
_COLUMNS = (
    "NAME,PATH,MAJ:MIN,TYPE,SIZE,RO,RM,FSTYPE,MOUNTPOINTS,STATE,ROTA,LOG-SEC,PHY-SEC,MIN-IO,"
    "DISC-GRAN,DISC-MAX,MODEL,VENDOR,TRAN,SERIAL,WWN,PKNAME"
)
_STATES = (
    "Id,LoadState,ActiveState,SubState,Result,UnitFileState,FragmentPath,DropInPaths,After,Wants,"
    "Requires,ExecStart,EnvironmentFiles,MainPID,NRestarts,ActiveEnterTimestamp,"
    "InactiveEnterTimestamp"
)
_OF_KERNEL = "device-mapper|dm-[0-9]|thin|i/o error|no space|hung task|blocked for more"
_LVM_UNITS = ("dm-event.service", "dm-event.socket", "lvm2-monitor.service")
VERSIONS = "dmguard/versions.txt"
SETTINGS = "dmguard/config.toml"
PLAN = "dmguard/recover.json"


def parts_of(consumers: Iterable[str], files: Iterable[str]) -> tuple[Part, ...]:
    """All parts, on a host whose consumers have these units and these files of configuration."""
    consumers = tuple(dict.fromkeys(consumers))
    units = ("--", AGENT, ACTIVATE, *_LVM_UNITS, *consumers)
    texts = dict.fromkeys((*(service.path for service in SERVICES.values()), *files))
    return (
        Part(VERSIONS, Own("dmguard itself")),
        Part(SETTINGS, Own("dmguard config show")),
        Part(PLAN, Own("dmguard recover --json --dry-run"), timeout_s=90.0),
        *_DMGUARD,
        _journal("dmguard", ("SYSLOG_IDENTIFIER=dmguard",), *_of_units((AGENT, ACTIVATE))),
        _journal("lvm", ("_COMM=dmeventd",), ("_COMM=lvm",), *_of_units(_LVM_UNITS)),
        _journal("kernel", ("_TRANSPORT=kernel", f"--grep={_OF_KERNEL}")),
        # Their own words alone: what containers print is written there by them as well.
        _journal("consumers", *_of_units(consumers, "_TRANSPORT=stdout")),
        *_LVM,
        *_DM,
        *_DISKS,
        *_HOST,
        Part("units/state.txt", Command(("systemctl", "show", f"--property={_STATES}", *units))),
        Part("units/text.txt", Command(("systemctl", "cat", "--no-pager", *units))),
        Part("consumers/configuration.txt", Files(tuple(texts))),
        Part("consumers/variables.txt", Files(_VARIABLES), variables=True),
    )


def _journal(name: str, *terms: tuple[str, ...]) -> Part:
    """The last lines of all that one of the terms is for, each with several matches."""
    words = [word for term in terms for word in ("+", *term)]
    argv = ("journalctl", *_LINES, *words[1:])
    return Part(f"journal/{name}.txt", Command(argv), keep_end=True, timeout_s=40.0)


def _of_units(names: Iterable[str], *narrowed: str) -> tuple[tuple[str, ...], ...]:
    """What units wrote, and what systemd wrote of them."""
    return tuple(
        term for name in names for term in ((f"_SYSTEMD_UNIT={name}", *narrowed), (f"UNIT={name}",))
    )


_DMGUARD = (
    Part("dmguard/files.txt", Files(("/etc/dmguard/dmguard.toml", "/etc/dmguard/conf.d/*.toml"))),
    Part("dmguard/state.txt", Files(("/run/dmguard/*.json",))),
    Part("dmguard/history.txt", Files(("/var/lib/dmguard/history.jsonl*",)), keep_end=True),
    # The ledger of disks and the intents.
    Part("dmguard/lib.txt", Files(("/var/lib/dmguard/*.json",))),
    Part("dmguard/folder.txt", Listing("/var/lib/dmguard")),
)
_LVM = (
    Part("lvm/fullreport.json", Report(), limit=8 * _MIB, timeout_s=20.0),
    Part("lvm/version.txt", Command(("lvm", "version"))),
    Part("lvm/config-differences.txt", Command(("lvm", "lvmconfig", "--typeconfig", "diff"))),
    Part("lvm/profiles.txt", Files(("/etc/lvm/profile/*.profile",))),
    Part("lvm/devices.txt", Files(("/etc/lvm/devices/*.devices",))),
    Part("lvm/backup.txt", Files(("/etc/lvm/backup/*",)), limit=8 * _MIB),
    Part("lvm/archive.txt", Listing("/etc/lvm/archive")),
)
_DM = (
    # Keys of dm-crypt are nought in it unless they are asked for.
    Part("dm/table.txt", Command(("dmsetup", "table"))),
    # Else a full pool would be asked to commit first, and might not answer.
    Part("dm/status.txt", Command(("dmsetup", "status", "--noflush"))),
    Part("dm/info.txt", Command(("dmsetup", "info", "--columns"))),
    Part("dm/tree.txt", Command(("dmsetup", "ls", "--tree"))),
    Part("dm/version.txt", Command(("dmsetup", "version"))),
)
_DISKS = (
    Part("disks/udev.txt", Command(("udevadm", "info", "--query=all"), each="/sys/class/block/*")),
    # With a cache of nowhere, because it would write into its own.
    Part("disks/blkid.txt", Command(("blkid", "-c", "/dev/null"), aside=True)),
    Part(
        "disks/lsblk.json",
        Command(("lsblk", "--json", "--bytes", "--output", _COLUMNS), aside=True),
    ),
    Part("disks/kernel.txt", Files(("/proc/partitions", "/proc/mdstat", "/proc/swaps"))),
)
_HOST = (
    Part("host/mounts.txt", Files(("/proc/mounts",))),
    Part("host/kernel.txt", Files(("/proc/version", "/proc/cmdline", "/etc/os-release"))),
    Part("host/memory.txt", Files(("/proc/meminfo", "/proc/loadavg", "/proc/pressure/*"))),
    Part("host/systemd.txt", Command(("systemctl", "--version"))),
    Part("host/thin-check.txt", Command(("thin_check", "--version"))),
    Part("host/packages.txt", Command(("dpkg-query", "--show", *_PACKAGES))),
    Part("host/boots.txt", Command(("journalctl", "--no-pager", "--list-boots"))),
    Part(
        "host/processes.txt",
        Command(("ps", "-ww", "-C", _PROGRAMS, "-o", "pid,ppid,stat,wchan:32,etime,args")),
        limit=256 * _KIB,
    ),
)
_VARIABLES = (
    "/etc/default/docker",
    "/etc/default/containerd",
    "/etc/sysconfig/docker*",
    "/etc/sysconfig/containerd",
    "/etc/sysconfig/iSulad",
    "/etc/sysconfig/isulad*",
)
