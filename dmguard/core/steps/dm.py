"""Steps on loop devices, on tables of the device-mapper's, and on what is in its devices."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from dmguard.core.steps.traits import Traits
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from dmguard.core.bare import Inode, Table
    from dmguard.core.model import Resource


@dataclass(frozen=True, slots=True)
class SetFileSize(Traits):
    """Make a file larger, from `was` to `size` bytes. One that has that size already is fine, any
    other size or inode is refused, and so is what its file system has no room for.
    """

    path: str
    inode: Inode
    was: int
    size: int

    def __str__(self) -> str:
        return shlex.join(("truncate", "--size", str(self.size), self.path))


@dataclass(frozen=True, slots=True)
class CutFile(Traits):
    """Take SetFileSize back, from `was` to `size`, if nothing was written there and the kernel
    shows no more than `kept` bytes of the pool's resource.
    """

    path: str
    inode: Inode
    was: int
    size: int
    pool: str
    resource: Resource
    kept: int

    def __str__(self) -> str:
        return shlex.join(("truncate", "--size", str(self.size), self.path))


@dataclass(frozen=True, slots=True)
class SetCapacity(Traits):
    """Let a loop device show all of its file, which must be the one of this inode."""

    node: str
    inode: Inode

    def __str__(self) -> str:
        return shlex.join(("losetup", "--set-capacity", self.node))


@dataclass(frozen=True, slots=True)
class LoadTable(Traits):
    """Load a table beside the live one, which must be `was` or already so long."""

    pool: str
    was: Table
    table: Table

    def __str__(self) -> str:
        return shlex.join(("dmsetup", "load", self.pool, "--table", str(self.table)))


@dataclass(frozen=True, slots=True)
class ResumePool(Traits):
    """Swap the loaded table in, in one call of the kernel's. Where that fails, and leaves the pool
    suspended, it goes on as RestoreTable has it.
    """

    pool: str
    was: Table
    table: Table

    def __str__(self) -> str:
        return shlex.join(("dmsetup", "resume", "--noflush", "--nolockfs", self.pool))


@dataclass(frozen=True, slots=True)
class DropTable(Traits):
    """Drop what is loaded beside the live table, if it is `table`; another one is refused."""

    pool: str
    table: Table

    def __str__(self) -> str:
        return shlex.join(("dmsetup", "clear", self.pool))


@dataclass(frozen=True, slots=True)
class RestoreTable(Traits):
    """Whatever failed: the pool goes on. What is loaded and not swapped in is dropped; a pool that
    was left suspended is resumed with `was`, or with `table` where the kernel takes only that.
    """

    pool: str
    was: Table
    table: Table

    def __str__(self) -> str:
        return f"{shlex.join(('dmsetup', 'clear', self.pool))}; " + shlex.join(
            ("dmsetup", "resume", "--noflush", "--nolockfs", self.pool)
        )


@dataclass(frozen=True, slots=True)
class AttachFile(Traits):
    """Put a file on a loop device, unless it is on one."""

    path: str

    def __str__(self) -> str:
        return shlex.join(("losetup", "--find", "--nooverlap", self.path))


@dataclass(frozen=True, slots=True)
class DetachFile(Traits):
    """Take AttachFile back, if nothing holds the loop device."""

    path: str

    def __str__(self) -> str:
        return f"losetup --detach {_node(self.path, is_file=True)}"


@dataclass(frozen=True, slots=True)
class CreateRaw(Traits):
    """Make the device of a pool on metadata and data that are there: each a device, or a file that
    is on a loop device. Metadata on which there is no pool is refused: the kernel would make one.
    """

    pool: str
    sectors: int
    metadata: str
    data: str
    metadata_is_file: bool
    data_is_file: bool
    rest: str

    def __str__(self) -> str:
        metadata = _node(self.metadata, is_file=self.metadata_is_file)
        data = _node(self.data, is_file=self.data_is_file)
        table = f"0 {self.sectors} thin-pool {metadata} {data} {self.rest}"
        return f'{shlex.join(("dmsetup", "create", self.pool))} --table "{table}"'


@dataclass(frozen=True, slots=True)
class ProveRoom(Traits):
    """Look beforehand that a file of so many bytes fits; its folder is made."""

    path: str
    size: int

    is_proof: ClassVar[bool] = True

    def __str__(self) -> str:
        return f"# check: there is room for {format_size(self.size)} as {self.path}"


@dataclass(frozen=True, slots=True)
class DropThins(Traits):
    """Remove the thin devices that consumers made in a pool and left behind, as containerd does.
    One that is in use is refused, and nothing of LVM's is touched.
    """

    pool: str

    def __str__(self) -> str:
        return f"# remove what consumers left of thin devices in {self.pool}: dmsetup remove NAME"


@dataclass(frozen=True, slots=True)
class CopyMetadata(Traits):
    """Copy a device to a file that was not there, with its SHA-256 beside it as sha256sum has it.
    A copy that is there is whole, and the one of before: it stays.
    """

    node: str
    path: str

    @property
    def lets_go(self) -> bool:
        return True

    def __str__(self) -> str:
        copy = shlex.join(("cp", "--sparse=always", self.node, self.path))
        return f"{copy} && {shlex.join(('sha256sum', self.path))} >{shlex.quote(self.path)}.sha256"


def _node(path: str, *, is_file: bool) -> str:
    associated = shlex.join(("losetup", "--noheadings", "--output", "NAME", "--associated", path))
    return f"$({associated})" if is_file else path


DmStep = (
    SetFileSize
    | CutFile
    | SetCapacity
    | LoadTable
    | ResumePool
    | DropTable
    | RestoreTable
    | AttachFile
    | DetachFile
    | CreateRaw
    | ProveRoom
    | DropThins
    | CopyMetadata
)
