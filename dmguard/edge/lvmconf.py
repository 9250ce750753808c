"""LVM's configuration, profiles and devices file, and what its report says of thin volumes."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmguard.core.host import PROFILE_DIR, THIN_COMMAND, DeviceEntry, LvmConf, PoolVolumes
from dmguard.edge.lvm import (
    LVM,
    READ_CONFIG,
    REPORT_ALONE,
    ReportError,
    is_busy,
    number_in,
    plain_name,
    text_in,
)
from dmguard.edge.retry import retry
from dmguard.edge.run import CommandFailedError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dmguard.edge.run import Runner

ETC = Path("/etc/lvm")
_COLUMNS = "vg_name,vg_systemid,vg_uuid,lv_uuid,lv_name,pool_lv,segtype,lv_size,lv_active,discards"
_LARGEST = 1 << 20
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\\?$)')
_NUMBER = re.compile(r"-?\d{1,20}", re.ASCII)

Value = int | str | tuple[str, ...]


async def read_conf(runner: Runner, etc: Path = ETC) -> LvmConf | None:
    """LVM's settings in force, its defaults included; None if LVM does not tell them."""
    try:
        completed = await runner.read([LVM, "lvmconfig", "--typeconfig", "full"])
    except RunError:
        return None
    return make_conf(parse_config(completed.stdout), etc)


def parse_config(text: str) -> dict[str, Value]:
    """lvmconfig's tree → `section/key`: numbers, texts and lists of texts."""
    values: dict[str, Value] = {}
    section = ""
    for line in text.splitlines():
        word = line.strip()
        if word.endswith("{"):
            section = word.removesuffix("{").strip()
            continue
        key, equals, value = word.partition("=")
        if equals:
            values[f"{section}/{key}"] = _value(value)
    return values


def _value(text: str) -> Value:
    if text.startswith("["):
        return tuple(_plain(found) for found in _STRING.findall(text))
    if text.startswith('"'):
        found = _STRING.match(text)
        return _plain(found[1]) if found else ""
    return int(text) if _NUMBER.fullmatch(text) else text


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def make_conf(values: Mapping[str, Value], etc: Path) -> LvmConf:
    thin_check = _text(values, "global/thin_check_executable", "")
    use = bool(_number(values, "devices/use_devicesfile", 0))
    file = etc / "devices" / _text(values, "devices/devicesfile", "system.devices")
    return LvmConf(
        threshold=_number(values, "activation/thin_pool_autoextend_threshold", 100),
        percent=_number(values, "activation/thin_pool_autoextend_percent", 20),
        profile_dir=_text(values, "config/profile_dir", PROFILE_DIR),
        thin_check=thin_check,
        thin_check_missing=bool(thin_check) and not _is_program(thin_check),
        monitoring=bool(_number(values, "activation/monitoring", 1)),
        thin_command=_text(values, "dmeventd/thin_command", THIN_COMMAND),
        volume_list=_list(values, "activation/volume_list"),
        auto_activation_volume_list=_list(values, "activation/auto_activation_volume_list"),
        filters=(
            *(_list(values, "devices/filter") or ()),
            *(_list(values, "devices/global_filter") or ()),
        ),
        devices=_read_devices(file) if use else None,
    )


def _is_program(path: str) -> bool:
    try:
        return os.access(path, os.X_OK)
    except ValueError:  # a NUL is in no name
        return False


def _number(values: Mapping[str, Value], key: str, default: int) -> int:
    value = values.get(key, default)
    return value if isinstance(value, int) else default


def _text(values: Mapping[str, Value], key: str, default: str) -> str:
    value = values.get(key, default)
    return value if isinstance(value, str) else default


def _list(values: Mapping[str, Value], key: str) -> tuple[str, ...] | None:
    value = values.get(key)
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else None


def _read_devices(path: Path) -> tuple[DeviceEntry, ...] | None:
    # Without the file LVM looks at all devices, whatever lvm.conf says of it.
    try:
        return parse_devices(path.read_text(errors="replace"))
    except OSError:
        return None


def parse_devices(text: str) -> tuple[DeviceEntry, ...]:
    """The lines `IDTYPE=… IDNAME=… PVID=…`, in the order of the file."""
    entries = []
    for line in text.splitlines():
        pairs = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if pairs.get("IDTYPE") and pairs.get("IDNAME"):
            uuid = pairs.get("PVID", ".")
            entries.append(
                DeviceEntry(pairs["IDTYPE"], pairs["IDNAME"], "" if uuid == "." else uuid)
            )
    return tuple(entries)


def read_profiles(folder: Path) -> dict[str, str]:
    """The texts of all profiles, by their names. What cannot be read is not there."""
    texts = {}
    for path in sorted(folder.glob("*.profile")):
        with contextlib.suppress(OSError), path.open(errors="surrogateescape") as file:
            texts[path.stem] = file.read(_LARGEST)
    return texts


@dataclass(frozen=True, slots=True)
class Volumes:
    """By LV uuid: each pool's volumes, which pools dmeventd watches, and the name and the owner's
    system id of those whose group has one.
    """

    volumes: Mapping[str, PoolVolumes] = field(default_factory=dict)
    monitored: Mapping[str, bool] = field(default_factory=dict)
    owned: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class VolumesBusyError(Exception):
    """The report leaves volumes out whose VG's lock is held."""


async def read_volumes(runner: Runner, *, dmeventd: bool) -> Volumes:
    """What lvs says of pools and their volumes; nothing of what cannot be told.

    What dmeventd watches is asked for only where it can be reached: the question itself would start
    one.
    """
    options = f"{_COLUMNS},seg_monitor" if dmeventd else _COLUMNS
    argv = [
        LVM,
        "lvs",
        "--all",
        "--foreign",
        "--reportformat",
        "json",
        "--units",
        "b",
        "--nosuffix",
    ]
    argv += ["--config", READ_CONFIG, "--options", options]

    async def ask() -> str:
        completed = await runner.read(argv, check=False, variables=REPORT_ALONE)
        if is_busy(completed):
            raise VolumesBusyError
        if not completed.stdout and completed.status != 0:
            raise CommandFailedError(completed)
        return completed.stdout

    try:
        text = await retry(ask, on=(VolumesBusyError,), attempts=20, within_s=3.0)
        return parse_volumes(text)
    except (RunError, ReportError, VolumesBusyError):
        return Volumes()


def parse_volumes(text: str) -> Volumes:
    """lvs' JSON; ReportError for anything else."""
    try:
        rows: list[dict[str, Any]] = [
            row for report in json.loads(text)["report"] for row in report["lv"]
        ]
        pools = [row for row in rows if row["segtype"] == "thin-pool"]
        volumes = {_uuid(pool): _volumes_of(pool, rows) for pool in pools}
        said = {"monitored": True, "not monitored": False}
        monitored = {
            _uuid(pool): said[pool["seg_monitor"]]
            for pool in pools
            if pool.get("seg_monitor") in said
        }
        marked = {
            _uuid(pool): (
                f"{text_in(pool, 'vg_name')}/{plain_name(text_in(pool, 'lv_name'))}",
                owner,
            )
            for pool in pools
            if (owner := text_in(pool, "vg_systemid"))
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReportError(f"lvm lvs: {type(error).__name__}: {error}") from error
    return Volumes(volumes, monitored, marked)


def _volumes_of(pool: dict[str, Any], rows: list[dict[str, Any]]) -> PoolVolumes:
    own = [
        row
        for row in rows
        if row["segtype"] == "thin"
        and row["vg_uuid"] == pool["vg_uuid"]
        and plain_name(row["pool_lv"]) == plain_name(pool["lv_name"])
    ]
    return PoolVolumes(
        virtual=sum(number_in(row, "lv_size", "lvm lvs") for row in own),
        discards=text_in(pool, "discards"),
        active=tuple(text_in(row, "lv_name") for row in own if row["lv_active"] == "active"),
    )


def _uuid(row: dict[str, Any]) -> str:
    return text_in(row, "lv_uuid").replace("-", "")
