"""LVM's reports, typed in one step. No dict and no text of LVM's leaves this module."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmguard.core.model import PoolLv, Profile, Pv, Vg, Volume
from dmguard.core.names import vg_fault
from dmguard.core.steps.config import narrowed
from dmguard.edge.retry import retry
from dmguard.edge.run import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Set

    from dmguard.edge.run import Completed, Runner

LVM = "lvm"
READ_CONFIG = "global/notify_dbus=0 global/wait_for_locks=0 log/report_command_log=0"
REPORT_ALONE = {"LVM_REPORT_FD": "1", "LVM_OUT_FD": "2"}
"""For the environment: of what LVM prints only the report goes to stdout (lvm(8)).

The rest otherwise stands in the middle of its JSON, as "Retrying metadata scan." where the metadata
of any one PV is damaged, seen with 2.03.16 and 2.03.31; neither -qq nor log/silent keeps it quiet.
"""
_THRESHOLD = "activation/thin_pool_autoextend_threshold"
_PERCENT = "activation/thin_pool_autoextend_percent"
_COLUMNS = {
    "vg": "vg_name,vg_uuid,vg_seqno,vg_size,vg_extent_size,vg_attr,vg_profile,vg_lock_type"
    ",vg_autoactivation",
    "pv": "pv_name,pv_uuid,pv_size,pv_free,pv_allocatable,pv_missing,pv_major,pv_minor,dev_size"
    ",pe_start,pv_tags",
    "lv": "lv_name,lv_uuid,lv_size,lv_metadata_size,lv_active,lv_profile"
    ",lv_skip_activation,lv_autoactivation,data_lv,metadata_lv",
    "seg": "lv_uuid,segtype,chunk_size,thin_count,transaction_id",
    "pvseg": "pv_uuid",
}
_EXIT_FAILED = 5
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")
# A report has the device that LVM chose, and of the others there is this (lvm2,
# lib/cache/lvmcache.c).
_TWIN = re.compile(r"Not using device \S+ for PV ([\w-]+)")

Row = dict[str, Any]


class ReportError(Exception):
    """LVM answered something that is not the report that was asked for."""


class ReportBusyError(CommandFailedError):
    """The report leaves VGs out whose locks are held; `partial` has the others."""

    def __init__(self, completed: Completed, partial: tuple[Vg, ...]) -> None:
        super().__init__(completed)
        self.partial = partial


async def read_vgs(
    runner: Runner,
    names: Collection[str] = (),
    devices: Collection[str] = (),
    *,
    attempts: int = 20,
    timeout_s: float = 20.0,
) -> tuple[Vg, ...]:
    """Every VG, or those of these names, with PVs and thin pools, each consistent in itself.

    With `devices` LVM looks at these alone, and not at every disk of the host: a PV that is on
    another one is missing in the answer then.

    One fullreport reads a VG under one lock. It can end with status 5 for an exported or foreign
    VG, with a complete report all the same. But a VG whose lock is held is left out of it, seen
    with 2.03.16 and 2.03.31: a pool that dmeventd grows just now would look as if it were gone.
    So that one is asked for again, and ReportBusyError has what could be read. ReportError or a
    RunError when there is no report.
    `seg_monitor` is not asked for: it can start dmeventd. Nor is `lv_attr`, for which LVM asks the
    kernel for the status of each volume.
    """
    return await retry(
        lambda: _read_once(runner, names, devices, timeout_s),
        on=(ReportBusyError,),
        attempts=attempts,
        within_s=3.0,
    )


async def _read_once(
    runner: Runner, names: Collection[str], devices: Collection[str], timeout_s: float = 20.0
) -> tuple[Vg, ...]:
    argv = narrowed((*report_command(), *sorted(names)), devices)
    completed = await runner.read(argv, check=False, variables=REPORT_ALONE, timeout_s=timeout_s)
    try:
        vgs = parse_report(completed.stdout, twins=set(_TWIN.findall(completed.stderr)))
    except ReportError:
        if completed.status != 0:
            raise CommandFailedError(completed) from None
        raise
    if is_busy(completed):
        raise ReportBusyError(completed, vgs)
    return vgs


def report_command() -> tuple[str, ...]:
    """The report of all that is read of LVM, with REPORT_ALONE."""
    argv = [LVM, "fullreport", "--all", "--reportformat", "json", "--units", "b", "--nosuffix"]
    argv += ["--binary", "--config", READ_CONFIG]
    for name, columns in _COLUMNS.items():
        argv += ["--configreport", name, "--options", columns]
    return tuple(argv)


def parse_report(text: str, *, twins: Container[str] = ()) -> tuple[Vg, ...]:
    """A fullreport's JSON → VGs; ReportError names what is missing or not a number. `twins` are the
    uuids of PVs that LVM sees more than once.
    """
    try:
        reports = json.loads(text)["report"]
        return tuple(
            _parse_vg(report, vg, twins)
            for report in reports
            # PVs without a VG come in a report of their own, with "pv" and "pvseg" alone.
            if "vg" in report or "lv" in report
            for vg in report["vg"]
            # LVM itself leaves one out whose name it does not take (lvm2, format-text.c).
            if not vg_fault(text_in(vg, "vg_name"))
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReportError(f"lvm fullreport: {type(error).__name__}: {error}") from error


def _parse_vg(report: Row, row: Row, twins: Container[str]) -> Vg:
    """What has a name that LVM would not write is left out: it is not to reach a command or path.

    LVM checks the names of volumes when it writes a group, and not when it reads one (lvm2,
    metadata.c, vg_validate).
    """
    name = text_in(row, "vg_name")
    attributes = text_in(row, "vg_attr")
    segments = {segment["lv_uuid"]: segment for segment in report["seg"] if _is_pool(segment)}
    proper = [lv for lv in report["lv"] if _is_proper(lv, segments)]
    active = {plain_name(lv["lv_name"]) for lv in proper if _is_active(lv)}
    return Vg(
        name=name,
        uuid=_uuid(text_in(row, "vg_uuid")),
        seqno=number_in(row, "vg_seqno", name),
        size=number_in(row, "vg_size", name),
        extent=number_in(row, "vg_extent_size", name),
        pvs=tuple(_parse_pv(pv, twins) for pv in report["pv"]),
        pools=tuple(
            _parse_pool(lv, segments[lv["lv_uuid"]], row, active)
            for lv in proper
            if lv["lv_uuid"] in segments
        ),
        spare=max(
            (
                number_in(lv, "lv_size", name)
                for lv in proper
                if plain_name(lv["lv_name"]).endswith("_pmspare")
            ),
            default=None,
        ),
        exported=attributes[2:3] == "x",
        writeable=attributes[:1] == "w",
        shared=attributes[5:6] in ("c", "s") or row["vg_lock_type"] not in ("", "none"),
        mirrored=any(str(seg["segtype"]).startswith(_MIRRORED) for seg in report["seg"]),
        volumes=tuple(_parse_volumes(proper, report["seg"], segments)),
        profile=text_in(row, "vg_profile") or None,
        misnamed=len(proper) < len(report["lv"]),
    )


def _is_proper(row: Row, pools: Container[str]) -> bool:
    """Has it a name of LVM's? A pool is never a part of something, as a hidden LV is."""
    name = text_in(row, "lv_name")
    return not vg_fault(name if row["lv_uuid"] in pools else plain_name(name))


def _parse_volumes(rows: list[Row], segs: list[Row], pools: Container[str]) -> Iterator[Volume]:
    kinds = {seg["lv_uuid"]: str(seg["segtype"]) for seg in segs}
    for lv in rows:
        name = text_in(lv, "lv_name")
        # LVM writes a hidden LV's name in brackets.
        if lv["lv_uuid"] not in pools and not name.startswith("["):
            yield Volume(
                name=name,
                size=number_in(lv, "lv_size", name),
                segtype=kinds.get(lv["lv_uuid"], ""),
                profile=text_in(lv, "lv_profile") or None,
            )


_MIRRORED = ("raid", "mirror")


def _is_pool(segment: Row) -> bool:
    return bool(segment["segtype"] == "thin-pool")


def _parse_pv(row: Row, twins: Container[str]) -> Pv:
    name, uuid = text_in(row, "pv_name"), text_in(row, "pv_uuid")
    where = name or uuid
    # A PV whose device is away is called [unknown] and has the number 0:0.
    devno = (number_in(row, "pv_major", where), number_in(row, "pv_minor", where))
    there = devno > (0, 0)
    return Pv(
        name=name,
        uuid=uuid,
        size=number_in(row, "pv_size", where),
        free=number_in(row, "pv_free", where),
        allocatable=_flag(row, "pv_allocatable", where),
        missing=_flag(row, "pv_missing", where),
        devno=devno if there else None,
        device_size=number_in(row, "dev_size", where) if there else None,
        data_start=number_in(row, "pe_start", where),
        tags=tuple(tag for tag in row["pv_tags"].split(",") if tag),
        twin=uuid in twins,
    )


def _is_active(row: Row) -> bool:
    return row["lv_active"] in ("1", 1, "active")


def _parse_pool(row: Row, segment: Row, vg: Row, active: Set[str]) -> PoolLv:
    name = plain_name(row["lv_name"])
    where = f"{vg['vg_name']}/{name}"
    return PoolLv(
        vg=vg["vg_name"],
        name=name,
        uuid=_uuid(row["lv_uuid"]),
        size=number_in(row, "lv_size", where),
        metadata_size=number_in(row, "lv_metadata_size", where),
        chunk=number_in(segment, "chunk_size", where),
        active=_is_active(row),
        profile=text_in(row, "lv_profile") or text_in(vg, "vg_profile") or None,
        thin_count=number_in(segment, "thin_count", where),
        transaction_id=number_in(segment, "transaction_id", where),
        skips_activation=_flag(row, "lv_skip_activation", where),
        autoactivates=_flag(row, "lv_autoactivation", where)
        and _flag(vg, "vg_autoactivation", where),
        active_components=tuple(
            part
            for part in (plain_name(row["metadata_lv"]), plain_name(row["data_lv"]))
            if part in active and not _is_active(row)
        ),
    )


def plain_name(name: str) -> str:
    """LVM writes a hidden LV's name in brackets."""
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _uuid(text: str) -> str:
    """LVM's uuid as the kernel's dm uuid has it: without hyphens."""
    return text.replace("-", "")


def number_in(row: Row, column: str, where: str) -> int:
    """Exactly as it stands there; ReportError for anything else, as for a part of a number."""
    value = row.get(column)
    if type(value) is int and value >= 0:
        return value
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise ReportError(f"{where}: {column}: not a number: {value!r}")
    return int(value)


def text_in(row: Row, column: str) -> str:
    """ReportError if it is not there, or no text."""
    value = row.get(column)
    if not isinstance(value, str):
        raise ReportError(f"{column}: not a text: {value!r}")
    return value


def _flag(row: Row, column: str, where: str) -> bool:
    value = row.get(column)
    if value not in ("0", "1", 0, 1):
        raise ReportError(f"{where}: {column}: neither 0 nor 1: {value!r}")
    return bool(int(value))


async def read_profile(runner: Runner, name: str) -> Profile | None:
    """The autoextend settings of a metadata profile; None if it is not there or names neither.

    RunError if that cannot be told.
    """
    argv = [LVM, "lvmconfig", "--metadataprofile", name, "--mergedconfig", _THRESHOLD, _PERCENT]
    # Status 5 when one of the two is not set, with the other printed.
    completed = await runner.read(argv, check=False)
    if completed.status not in (0, _EXIT_FAILED):
        raise CommandFailedError(completed)
    return parse_profile(completed.stdout)


def parse_profile(text: str) -> Profile | None:
    """lvmconfig's answer; of two settings the one that it does not name has LVM's default."""
    values = {"thin_pool_autoextend_threshold": 100, "thin_pool_autoextend_percent": 20}
    pairs = (line.strip().partition("=") for line in text.splitlines())
    found = {
        key: int(value) for key, _, value in pairs if key in values and _NUMBER.fullmatch(value)
    }
    return Profile(*{**values, **found}.values()) if found else None


Signature = tuple[int, int, int]
Fingerprint = tuple[tuple[str, Signature], ...]

_SETTINGS = ("lvm.conf", "lvmlocal.conf", "profile/*")
_DEVICES = ("devices/*",)
_BACKUPS = "backup/*"


def settings_fingerprint(root: Path = Path("/etc/lvm")) -> Fingerprint:
    """Changes whenever LVM's configuration or a profile does."""
    return tuple(sorted(_signatures(root, _SETTINGS)))


def fingerprint(root: Path = Path("/etc/lvm")) -> Fingerprint:
    """Changes whenever LVM's configuration, a profile or its list of devices does, at no cost."""
    return tuple(sorted(_signatures(root, (*_SETTINGS, *_DEVICES))))


def backups(root: Path = Path("/etc/lvm")) -> Mapping[str, Signature]:
    """By the name of a VG what is another whenever its metadata is, at no cost.

    Every command that commits a VG's metadata rewrites backup/VG (lvm.conf, backup/backup).
    """
    return {Path(path).name: signature for path, signature in _signatures(root, (_BACKUPS,))}


def _signatures(root: Path, patterns: tuple[str, ...]) -> Iterable[tuple[str, Signature]]:
    for pattern in patterns:
        for path in _matching(f"{root}/{pattern}"):
            # With each look, and so not with pathlib, which costs several times as much.
            try:
                stat = os.stat(path)  # noqa: PTH116 - see above
            except FileNotFoundError:
                continue
            yield path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def _matching(pattern: str) -> Iterable[str]:
    """The file of this name, or what is in a folder."""
    if not pattern.endswith("/*"):
        return (pattern,)
    folder = pattern[:-1]
    try:
        return [folder + name for name in os.listdir(folder)]  # noqa: PTH208 - see above
    except FileNotFoundError:
        return ()


def is_busy(completed: Completed) -> bool:
    """Did the command give up because someone else holds the VG's lock?"""
    words = ("Can't get lock", "Resource temporarily unavailable")
    return completed.status == _EXIT_FAILED and any(word in completed.stderr for word in words)
