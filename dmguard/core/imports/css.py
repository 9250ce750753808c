"""container-storage-setup, formerly docker-storage-setup: /etc/sysconfig/docker-storage-setup.

Defaults are those of its version 0.11 for Docker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.consumers.flags import flags_in
from dmguard.core.consumers.unitfile import split_words
from dmguard.core.imports.imported import ForeignError, Growth, Imported, Setup
from dmguard.core.imports.shell import read_assignments
from dmguard.core.names import pool_fault, vg_fault
from dmguard.core.units import Amount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_UNITS = {unit: 1 << (10 * power) for power, unit in enumerate("bkmgtpe")} | {"s": 512}
_SIZE = re.compile(r"(?!0+\D*$)(\d{1,12})(?:([bskmgtpe])(?:i?b)?)?", re.IGNORECASE | re.ASCII)
_SHARE = re.compile(r"(\d{1,3})%(FREE|VG|PVS)", re.ASCII)
_LEAST_CHUNK, _LARGEST_CHUNK = 64 << 10, 1 << 30
_MOST = 99.0
"""Percent of what is free that `dmguard setup` has a word for."""

_READ = {
    *("STORAGE_DRIVER", "DEVS", "VG", "CONTAINER_THINPOOL", "DATA_SIZE", "POOL_META_SIZE"),
    *("CHUNK_SIZE", "AUTO_EXTEND_POOL", "POOL_AUTOEXTEND_THRESHOLD", "POOL_AUTOEXTEND_PERCENT"),
    *("DEVICE_WAIT_TIMEOUT", "EXTRA_STORAGE_OPTIONS", "EXTRA_DOCKER_STORAGE_OPTIONS"),
    *("WIPE_SIGNATURES", "GROWPART"),
}
_OTHER_VOLUMES = "dmguard makes thin pools and no other volumes"
_WITHOUT = {
    "ROOT_SIZE": ("", "dmguard does not touch the root file system"),
    "MIN_DATA_SIZE": ("2G", "there is no least size of a pool: setup -n says what it would make"),
    "DOCKER_ROOT_VOLUME": ("no", _OTHER_VOLUMES),
    "DOCKER_ROOT_VOLUME_SIZE": ("40%FREE", _OTHER_VOLUMES),
    "CONTAINER_ROOT_LV_NAME": ("", _OTHER_VOLUMES),
    "CONTAINER_ROOT_LV_SIZE": ("40%FREE", _OTHER_VOLUMES),
    "CONTAINER_ROOT_LV_MOUNT_PATH": ("", _OTHER_VOLUMES),
}
"""What has no equivalent: the value that it has of itself, and why."""


@dataclass(frozen=True, slots=True)
class _Given:
    """The file's variables, with defaults for those that are read."""

    values: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        return self.values.get(name, default).strip(" \t\r\n")

    def number(self, name: str, default: int) -> int:
        text = self.text(name, str(default))
        if not re.fullmatch(r"\d{1,4}", text, re.ASCII):
            raise ForeignError(f"{name}={text}: it is not a number")
        return int(text)

    def size(self, name: str, default: str, unit: str) -> int | None:
        text = self.text(name, default)
        match = _SIZE.fullmatch(text)
        if text and not match:
            raise ForeignError(f"{name}={text}: it is not a size")
        return int(match[1]) * _UNITS[(match[2] or unit).lower()] if match else None

    def chunk(self, name: str, default: str) -> int | None:
        size = self.size(name, default, "k")
        if size is not None and (size % _LEAST_CHUNK or not 0 < size <= _LARGEST_CHUNK):
            said = f"{name}={self.text(name)}"
            raise ForeignError(f"{said}: LVM takes a multiple of 64KiB up to 1GiB, and no other")
        return size

    def name(self, name: str, fault: Callable[[str], str], default: str = "") -> str:
        text = self.text(name, default)
        if text and (told := fault(text)):
            raise ForeignError(f"{name}={text}: {told}")
        return text


def read(text: str) -> Imported:
    """The file's text.

    ForeignError: the file has a command in it, or a value that the tool itself would not take.
    """
    given = _Given(read_assignments(text))
    notes = list(_other_notes(given))
    driver = given.text("STORAGE_DRIVER", "devicemapper")
    if driver != "devicemapper":
        said = f"STORAGE_DRIVER={driver}: it is not kept in a thin pool, and nothing is to be made"
        return Imported(None, notes=(*notes, said))
    vg = given.name("VG", vg_fault) or None
    pool = given.name("CONTAINER_THINPOOL", pool_fault, "docker-pool") or "docker-pool"
    if vg is None:
        notes.append(
            "VG is not given: the pool is in the group of the root file system; name that by --vg,"
            " else setup makes a group docker"
        )
    growth = _growth(given)
    setup = Setup(
        disks=_disks(given),
        vg=vg,
        pool=pool,
        data=_data(given),
        metadata=_metadata(given),
        chunk=given.chunk("CHUNK_SIZE", "512K"),
        threshold=growth.threshold,
        percent=growth.percent,
        options=_options(given),
    )
    settings = growth.settings(f"{vg}/{pool}") if vg is not None else ""
    more = (
        *growth.notes,
        *_disk_notes(setup.disks),
        *_size_notes(given),
        *_option_notes(setup.options),
    )
    return Imported(setup, _wait(given) + settings, (*notes, *more))


def _data(given: _Given) -> Amount | None:
    if match := _SHARE.fullmatch(given.text("DATA_SIZE", "40%FREE")):
        if not 1 <= int(match[1]) <= 100:
            raise ForeignError(f"DATA_SIZE={match[0]}: it is not a share")
        return Amount(percent=min(float(match[1]), _MOST))
    size = given.size("DATA_SIZE", "", "m")
    return None if size is None else Amount(size=size)


def _size_notes(given: _Given) -> Iterator[str]:
    match = _SHARE.fullmatch(given.text("DATA_SIZE"))
    if match and match[2] != "FREE":
        yield f"DATA_SIZE={match[0]}: here the share is of what the group has free"
    if match and int(match[1]) > _MOST:
        yield f"DATA_SIZE={match[0]}: setup takes {_MOST:g} % at most, so that metadata has room"


def _option_notes(options: tuple[str, ...]) -> Iterator[str]:
    if options:
        yield (
            f"EXTRA_STORAGE_OPTIONS: {', '.join(options)}: setup keeps what storage-opts in"
            " daemon.json has; put them there"
        )


def _metadata(given: _Given) -> Amount | None:
    size = given.size("POOL_META_SIZE", "", "m")
    return None if size is None else Amount(size=size)


def _disks(given: _Given) -> tuple[str, ...]:
    names = given.text("DEVS").split()
    return tuple(name if name.startswith("/") else f"/dev/{name}" for name in names)


def _disk_notes(disks: tuple[str, ...]) -> Iterator[str]:
    for disk in disks:
        if re.fullmatch(r"/dev/[^/]+", disk):
            yield (
                f"{disk}: the name may be another disk's after a boot; better is one of its links"
                " below /dev/disk/by-id"
            )


def _options(given: _Given) -> tuple[str, ...]:
    lines = (given.text("EXTRA_STORAGE_OPTIONS"), given.text("EXTRA_DOCKER_STORAGE_OPTIONS"))
    return flags_in(word for line in lines for word in split_words(line)).options


def _growth(given: _Given) -> Growth:
    """css compares with yes alone: any other word turned growth off."""
    names = ("POOL_AUTOEXTEND_THRESHOLD", "POOL_AUTOEXTEND_PERCENT")
    extend = given.text("AUTO_EXTEND_POOL", "yes")
    growth = Growth.of(given.number(names[0], 60), given.number(names[1], 20), names)
    if extend == "yes":
        return growth
    if extend.lower() in ("true", "on", "1", "yes", "y"):
        said = (
            f"AUTO_EXTEND_POOL={extend}: only yes counted, so the pool was never extended;"
            " dmguard extends it"
        )
        return Growth(growth.threshold, growth.percent, (said, *growth.notes))
    said = (
        f"AUTO_EXTEND_POOL={extend}: dmguard grows every pool that it guards; leave this one out of"
        " guard.pools if it must keep its size"
    )
    return Growth(notes=(said,))


def _wait(given: _Given) -> str:
    """How long a boot waits, if the file says so; at most an hour."""
    if "DEVICE_WAIT_TIMEOUT" not in given.values:
        return ""
    seconds = min(given.number("DEVICE_WAIT_TIMEOUT", 60), 3600)
    return f'[activate]\ntimeout = "{seconds}s"\n' if seconds else '[activate]\ntimeout = "0"\n'


def _other_notes(given: _Given) -> Iterator[str]:
    if given.text("WIPE_SIGNATURES", "false") == "true":
        yield (
            "WIPE_SIGNATURES=true: dmguard wipes no disk because a rule says so; setup takes one"
            " that is not blank only when it is named again with --force"
        )
    if given.text("GROWPART", "false") == "true":
        yield (
            "GROWPART=true: dmguard grows no partition; a whole disk that has grown is taken into"
            " its group"
        )
    for name in given.values:
        if name in _WITHOUT:
            default, why = _WITHOUT[name]
            if given.text(name) not in ("", default):
                yield f"{name}={given.text(name)}: {why}"
        elif name not in _READ:
            yield f"{name}: it is not a setting of container-storage-setup, and not read"
