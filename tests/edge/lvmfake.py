"""Reports as `lvm fullreport --reportformat json --units b --nosuffix --binary` prints them.

Every value is a string, a VG is one object of five lists, hidden LVs are in brackets.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB, GIB = 1 << 20, 1 << 30

Row = dict[str, str]


def vg_row(name: str, **other: str) -> Row:
    row = {
        "vg_name": name,
        "vg_uuid": "AbCdEf-0123-0123-0123-0123-0123-UvWxYz",
        "vg_seqno": "42",
        "vg_size": str(20 * GIB),
        "vg_extent_size": str(4 * MIB),
        "vg_attr": "wz--n-",
        "vg_profile": "",
        "vg_lock_type": "",
        "vg_autoactivation": "1",
    }
    return row | other


def pv_row(
    name: str, uuid: str, size: int, free: int, *, allocatable: str = "1", missing: str = "0"
) -> Row:
    """A device that is away is called [unknown] and has the number 0:0 and the size 0."""
    away = name == "[unknown]"
    return {
        "pv_name": name,
        "pv_uuid": uuid,
        "pv_size": str(size),
        "pv_free": str(free),
        "pv_allocatable": allocatable,
        "pv_missing": missing,
        "pv_major": "0" if away else "8",
        "pv_minor": "0" if away else str(16 * (ord(name[-1]) - ord("a"))),
        "dev_size": "0" if away else str(size + 4 * MIB),
        "pe_start": str(1 << 20),
        "pv_tags": "",
    }


def lv_row(name: str, uuid: str, size: int, **other: str) -> Row:
    row = {
        "lv_name": name,
        "lv_uuid": uuid,
        "lv_size": str(size),
        "lv_attr": "-wi-a-----",
        "lv_metadata_size": "",
        "lv_active": "1",
        "lv_profile": "",
        "lv_skip_activation": "0",
        "lv_autoactivation": "1",
        "data_lv": "",
        "metadata_lv": "",
    }
    return row | other


def pool_rows(name: str, uuid: str, size: int, **other: str) -> tuple[Row, Row]:
    """A pool's LV and its segment."""
    lv = lv_row(name, uuid, size, lv_attr="twi-aotz--", lv_metadata_size=str(8 * MIB))
    return lv | other, seg_row(uuid, "thin-pool", chunk="65536", thins="3", transaction="0")


def seg_row(
    uuid: str, segtype: str, *, chunk: str = "0", thins: str = "", transaction: str = ""
) -> Row:
    return {
        "lv_uuid": uuid,
        "segtype": segtype,
        "chunk_size": chunk,
        "thin_count": thins,
        "transaction_id": transaction,
    }


def report(
    vg: Row, pvs: Sequence[Row] = (), lvs: Sequence[Row] = (), segs: Sequence[Row] = ()
) -> str:
    whole = {"vg": [vg], "pv": [*pvs], "lv": [*lvs], "pvseg": [], "seg": [*segs]}
    return json.dumps({"report": [whole]}, indent=4)


def full_report() -> str:
    """Two VGs: one with everything, one with names that LVM doubles hyphens of; and an orphan."""
    lv, seg = pool_rows(
        "pool", "AbCdEf-4567-4567-4567-4567-4567-UvWxYz", 2 * GIB, lv_profile="thin-grow"
    )
    hidden = [
        lv_row("[lvol0_pmspare]", "spare", 8 * MIB),
        lv_row("[pool_tdata]", "tdata", 2 * GIB),
        lv_row("[pool_tmeta]", "tmeta", 8 * MIB),
    ]
    linear = [seg_row(uuid, "linear") for uuid in ("spare", "tdata", "tmeta")]
    first = report(
        vg_row("docker"),
        [
            pv_row("/dev/sdb", "pv-1", 10 * GIB, 6 * GIB) | {"pv_tags": "dmguard,fast"},
            pv_row("/dev/sdc", "pv-2", 10 * GIB, 9 * GIB, allocatable="0"),
        ],
        [lv, *hidden],
        [seg | {"transaction_id": "1"}, *linear],
    )
    one = pool_rows("data-pool-1", "one", GIB, lv_active="0")
    two = pool_rows("vg-pool", "two", GIB)
    second = report(
        vg_row("my-vg", vg_uuid="second", vg_profile="of-the-vg"),
        [pv_row("/dev/sdd", "pv-3", 10 * GIB, 8 * GIB)],
        [one[0], two[0]],
        [one[1], two[1]],
    )
    orphan = {
        "vg": [],
        "pv": [pv_row("/dev/sdz", "pv-9", GIB, GIB)],
        "lv": [],
        "pvseg": [],
        "seg": [],
    }
    reports = [*json.loads(first)["report"], *json.loads(second)["report"], orphan]
    return json.dumps({"report": reports}, indent=4)
