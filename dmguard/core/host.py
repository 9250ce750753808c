"""What a command that looks at the whole host sees beside its pools and disks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.core.consumers.flags import Flags

PROFILE_DIR = "/etc/lvm/profile"
THIN_COMMAND = "lvm lvextend --use-policies"
"""What dmeventd runs for a pool that fills, unless lvm.conf says something else."""

AGENT = "dmguard.service"
ACTIVATE = "dmguard-activate.service"
KUBELET_UNIT = "kubelet.service"


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One line of LVM's devices file: by what the device is known, and the PV on it."""

    kind: str
    name: str
    pv_uuid: str = ""


@dataclass(frozen=True, slots=True)
class LvmConf:
    """LVM's configuration in force, without any pool's profile.

    A list that is None is not set, and leaves nothing out. `thin_check` is the path of the
    program, empty if it is switched off. `devices` has what the devices file lists, None if none
    is in use.
    """

    threshold: int = 100
    percent: int = 20
    profile_dir: str = PROFILE_DIR
    thin_check: str = "/usr/sbin/thin_check"
    thin_check_missing: bool = False
    monitoring: bool = True
    thin_command: str = THIN_COMMAND
    volume_list: tuple[str, ...] | None = None
    auto_activation_volume_list: tuple[str, ...] | None = None
    filters: tuple[str, ...] = ()
    devices: tuple[DeviceEntry, ...] | None = None


@dataclass(frozen=True, slots=True)
class FileText:
    """A file of configuration as it is."""

    text: str
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """A unit as systemd has it loaded: `load` as LoadState, `active` as ActiveState."""

    name: str
    load: str = "loaded"
    active: str = "active"
    after: frozenset[str] = frozenset()
    wants: frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()
    exec_start: str = ""
    main_pid: int = 0

    @property
    def is_active(self) -> bool:
        return self.active == "active"

    @property
    def is_up_or_coming(self) -> bool:
        """Does it run, or is it to run in a moment?"""
        return self.active in ("active", "reloading", "activating")

    @property
    def is_there(self) -> bool:
        return self.load not in ("not-found", "masked", "error", "bad-setting")

    @property
    def pulls_in(self) -> frozenset[str]:
        """The units that a start of it starts as well."""
        return self.wants | self.requires


def socket_of(unit: str) -> str:
    """The socket unit of a service's name."""
    return f"{unit.removesuffix('.service')}.socket"


@dataclass(frozen=True, slots=True)
class DockerData:
    """Docker's data: is its folder there, which drivers have images, are there containers?

    `devices`: is the devicemapper driver's own list of its devices there? `transaction` is the last
    change of the pool that it has noted, None if that is not known. `siblings` are the paths
    beside the folder whose names begin with its own. `is_link`: is the folder a symbolic link?
    `mounts` are the mount points at the folder, as `.`, and below it, by their paths from there;
    None if they are not known. iSulad's data is described in the same words.
    """

    root: str
    there: bool
    drivers: frozenset[str] = frozenset()
    containers: bool = False
    devices: bool = False
    transaction: int | None = None
    siblings: frozenset[str] = frozenset()
    is_link: bool = False
    mounts: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class PoolVolumes:
    """What LVM's report says of a pool's volumes: bytes promised to them, the discards, and the
    names of those that are up.
    """

    virtual: int = 0
    discards: str = ""
    active: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The host's files and settings. Unknown is None, and what is not there is absent.

    `monitored` by LV uuid, asked for only where dmeventd can be reached; `volumes` by the pool's
    uuid; `profiles` the texts of LVM's profiles by their names; `files` by their absolute paths;
    `unreadable` the paths of those that are there and cannot be read, as links that lead nowhere;
    `flags` the storage options of the daemons' command lines, by their names; `serving`, for each
    consumer that runs, the device-mapper name of the pool that it says it uses, empty if it says it
    uses none, and None if it does not say, as while it starts or stops. `imports`: the
    files that containerd's configuration imports and that name a pool, with that pool. `owned`, by
    LV uuid, the pools in groups with a system id: their names, and whose they are.
    """

    lvm: LvmConf | None = None
    monitored: Mapping[str, bool] = field(default_factory=dict)
    volumes: Mapping[str, PoolVolumes] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, FileText] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    docker_version: str | None = None
    docker: DockerData | None = None
    isulad: DockerData | None = None
    units: Mapping[str, UnitFacts] = field(default_factory=dict)
    flags: Mapping[str, Flags] = field(default_factory=dict)
    dmeventd: bool = False
    serving: Mapping[str, str | None] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)
    owned: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def agent_runs(self) -> bool | None:
        """Is dmguard's agent on guard?"""
        unit = self.units.get(AGENT)
        return None if unit is None else unit.is_up_or_coming

    def is_active(self, unit: str) -> bool:
        known = self.units.get(unit)
        return known is not None and known.is_active

    def is_up_or_coming(self, unit: str) -> bool:
        known = self.units.get(unit)
        return known is not None and known.is_up_or_coming

    def serves(self, consumer: str) -> str | None:
        """The pool that it uses; empty if that is none, as of one that does not run; None if it
        does not say.
        """
        return self.serving.get(consumer, "")

    def has(self, command: str, unit: str) -> bool:
        """Is a service here: the program, or a unit of another one?"""
        known = self.units.get(unit)
        return command in self.programs or (known is not None and known.is_there)

    def text(self, path: str) -> str | None:
        file = self.files.get(path)
        return None if file is None else file.text
