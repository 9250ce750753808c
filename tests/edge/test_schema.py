"""packaging/schema: each is a schema, and one that can say no."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dmguard.app.cli import COMMANDS
from dmguard.app.render import disk_values, outcome_values, plan_values
from dmguard.core.actions import (
    Action,
    Activate,
    ActivateRaw,
    AttachProfile,
    Claim,
    Configure,
    CreatePool,
    CreateVg,
    DiskRef,
    EditFile,
    Extend,
    GrowLoop,
    Monitor,
    Refresh,
    RepairPool,
    ResizePv,
    RestorePv,
    Result,
    StartUnit,
    WipeDisk,
)
from dmguard.core.model import Disk, DiskKind, Resource
from dmguard.core.outcome import Outcome
from dmguard.core.settings import SOURCES, ClaimMode, OnRecovered
from dmguard.core.verdict import Reason, Verdict
from tests.edge.schema import SCHEMAS, load_schema

NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))


def test_every_command_with_json_has_a_schema() -> None:
    assert set(NAMES) == set(COMMANDS) - {"run"}


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_schema_of_its_draft(name: str) -> None:
    schema = load_schema(name)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert schema["properties"]["schema"] == {"const": 1}
    assert "schema" in schema["required"]


def forbidden(values: Any) -> bool:
    """Does it forbid keys that a later version may add?"""
    if isinstance(values, dict):
        closed = "unevaluatedProperties" in values or values.get("additionalProperties") is False
        return closed or any(forbidden(value) for value in values.values())
    return isinstance(values, list) and any(forbidden(value) for value in values)


@pytest.mark.parametrize("name", NAMES)
def test_it_leaves_room_for_keys_to_come(name: str) -> None:
    assert not forbidden(load_schema(name))


ACTION = {
    "act": "refresh", "vg": "vg", "lv": "pool", "lv_uuid": "u", "pool": "vg/pool", "disk": "",
    "size": 1, "low_water": 1, "threshold": 75, "metadata_size": 1, "reason": "mark", "why": "w",
    "commands": ["lvchange"],
}  # fmt: skip
ENTRY = {
    "code": "vg-dry", "action": "extend-data", "result": "refused", "trigger": "timer",
    "vg": "vg", "pool": "vg/pool", "reason": "vg-dry", "message": "m", "id": "", "at": 1.0,
    "numbers": {"size": 1},
}  # fmt: skip
CLAIM = {
    "act": "claim-disk", "vg": "vg", "vg_uuid": "u", "pool": "", "disk": "/dev/sdb",
    "identity": "wwn:1", "devno": [8, 16], "diskseq": None, "size": 1, "reason": "asked",
    "forced": False, "why": "w", "commands": ["vgextend"],
}  # fmt: skip
CREATE = {
    "act": "create-vg", "vg": "vg", "pool": "", "disk": "", "expendable": [], "reason": "asked",
    "disks": [
        {"disk": "/dev/sdb", "identity": "wwn:1", "devno": [8, 16], "diskseq": 1, "size": 1}
    ],
    "why": "w", "commands": ["vgcreate"],
}  # fmt: skip
OUTCOME = {
    "act": "claim-disk", "pool": "", "disk": "/dev/sdb", "result": "done", "reason": "asked",
    "detail": "",
}  # fmt: skip
REFUSAL = {"subject": "/dev/sdb", "code": "disk-held", "message": "m"}
FINDING = {"code": "pool-inactive", "subject": "vg/pool", "message": "m"}
DIAGNOSIS = {
    **FINDING, "severity": "warning", "counts": True, "title": "t", "danger": "d", "cure": "c",
    "fixable": False,
}  # fmt: skip
PLANNED = {
    "act": "monitor", "pool": "vg/pool", "disk": "", "reason": "pool-not-monitored", "why": "w",
    "commands": ["lvchange"],
}  # fmt: skip
DISK = {
    "disk": "/dev/sdb", "identity": "serial:1", "kind": "disk", "size": 1, "sector_size": 512,
    "path": None, "serial": "1", "wwn": None, "model": None, "vendor": None, "bus": None,
    "rotational": None, "links": [], "vg": None, "verdict": "no rule", "claimable": False,
    "reasons": [{"code": "disk-no-rule", "detail": ""}],
}  # fmt: skip
PART = {
    "used": 1, "size": 2, "device": "/dev/loop0", "device_size": 2, "file": "/srv/data",
    "file_size": 2, "allocated": 1, "free_below": 9,
}  # fmt: skip
LOOP = {
    "name": "docker-8:1-2-pool", "docker": True, "mode": "rw", "needs_check": False,
    "suspended": False, "chunk_size": 65536, "low_water": 32768, "data": PART, "metadata": PART,
}  # fmt: skip
GROW = {
    "act": "grow-loop", "name": "p", "pool": "p", "disk": "", "reason": "asked", "why": "w",
    "commands": ["truncate"], "resource": "data", "size": 1, "target": 2, "path": "/srv/data",
    "inode": [1, 2], "file_size": 1, "file_target": 2, "node": "/dev/loop0", "sectors": 1,
    "params": "7:1 7:0 128 0", "used": None, "room": 9,
}  # fmt: skip
GROWN = {**OUTCOME, "act": "grow-loop", "pool": "p", "disk": ""}
GOOD: dict[str, dict[str, Any]] = {
    "activate": {
        "schema": 1, "planned": [], "done": [OUTCOME], "up": ["vg/pool"], "late": ["vg-pool"],
        "down": [],
    },
    "claim": {"schema": 1, "planned": [CLAIM], "done": [OUTCOME], "refused": [REFUSAL]},
    "disks": {"schema": 1, "disks": [DISK]},
    "ignore": {"schema": 1, "disk": "/dev/sdb", "identity": "serial:1"},
    "recover": {
        "schema": 1, "findings": [FINDING], "planned": [CLAIM], "done": [OUTCOME],
        "left": [FINDING], "refused": [REFUSAL],
    },
    "doctor": {
        "schema": 1, "findings": [DIAGNOSIS], "planned": [PLANNED], "done": [OUTCOME],
        "left": [DIAGNOSIS],
        "consumers": [
            {"name": "docker", "unit": "docker.service", "pool": None, "ordered": None}
        ],
    },
    "plan": {"schema": 1, "next": [ACTION], "findings": []},
    "history": {"schema": 1, "entries": [ENTRY]},
    "extend": {"schema": 1, "planned": [ACTION], "done": [], "refused": []},
    "loop": {
        "schema": 1, "pools": [LOOP], "planned": [GROW], "done": [GROWN], "refused": [REFUSAL],
    },
    "status": {
        "schema": 1, "agent": None, "vgs": [], "pools": [], "loops": [LOOP],
        "disks": [DISK], "next": [ACTION],
        "consumers": [{"name": "docker", "dm_name": "vg-pool", "pool": None}],
        "findings": [], "recent": [ENTRY],
    },
    "setup": {
        "schema": 1, "planned": [CREATE], "done": [{**OUTCOME, "act": "create-vg"}],
        "refused": [REFUSAL],
    },
    "config": {"schema": 1, "ok": False, "files": [], "error": "e"},
    "explain": {"schema": 1, "codes": []},
}  # fmt: skip


def broken(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The same without one key, at the top and in the first row of each list; and another 1."""
    found = [{**values, "schema": 2}]
    found += [{key: values[key] for key in values if key != gone} for gone in values]
    for name, rows in values.items():
        if isinstance(rows, list) and rows and isinstance(rows[0], dict):
            for gone in rows[0]:
                row = {key: value for key, value in rows[0].items() if key != gone}
                found.append({**values, name: [row]})
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_refuses_what_lacks_a_key(name: str) -> None:
    validator = Draft202012Validator(load_schema(name))
    good = GOOD[name]
    validator.validate({**good, "key_to_come": 1})
    accepted = [json.dumps(values) for values in broken(good) if validator.is_valid(values)]
    assert accepted == []


REF = DiskRef("/dev/sdb", "wwn:1", (8, 16), 9, 1 << 30)
SET_UP: tuple[Action, ...] = (
    WipeDisk("vg", REF),
    CreateVg("vg", (REF,)),
    CreatePool(
        "vg", "p", 1, 1, 65536, zero=False, profile="vg-p", path="/p", text="t", was="",
        monitor=True, before=("lvol0",),
    ),
    AttachProfile("vg", "p", "u", "vg-p", "/p", "t", ""),
    Monitor("vg", "p", "u"),
    Configure("docker", ("docker.service",), "vg", "vg/p", "vg-p", "/d", "t", None),
    EditFile("/etc/dmguard/conf.d/x.toml", "t", "", "", "asked", "dmguard.service"),
)  # fmt: skip
"""One of each kind that only a set-up has."""


ACTIONS: tuple[Action, ...] = (
    Extend("vg", "pool", "u", Resource.DATA, 1, 2, None, 3, 75, "above-threshold"),
    Extend("vg", "pool", "u", Resource.METADATA, 1, 2, 1, 3, 75, "asked"),
    Refresh("vg", "pool", "u", 1, 0, 75, "low-water", 1),
    Claim("vg", "u", "/dev/sdb", "wwn:1", (8, 16), 9, 1 << 30, "disk-matches"),
    ResizePv("vg", "u", "/dev/sdb", "p", 1, 2),
    RestorePv("vg", "u", "/dev/sdb", "p", 1),
    Activate("vg", "pool", "u", 1, ("pool_tdata",), skip=True, monitor=False),
    GrowLoop(
        "p", Resource.DATA, 1, 2, "/srv/data", (1, 2), 1, 2, "/dev/loop0", 1, "7:1 7:0 128 0", None,
        9, "asked",
    ),
    ActivateRaw(
        "p", "/srv/metadata", "/srv/data", metadata_is_file=True, data_is_file=True, size=1 << 20,
        chunk=1 << 16, low_water=4, options=("skip_block_zeroing",),
    ),
    StartUnit("docker", "docker.service", restart=False, vg="vg", pool="vg/pool", entered=0),
)  # fmt: skip
"""One of each kind."""


REPAIR = RepairPool(
    "vg", "pool", "u", 1, 2, 3, ("docker.socket",), ("docker.service",), ("a",), ("pool_tmeta",),
    up=True, skip=False, monitor=True, threshold=75, copy="/c", reason="pool-read-only",
)  # fmt: skip


def as_json(values: Any) -> Any:
    return json.loads(json.dumps(values))


PROMISES = [
    *(
        (name, action)
        for name in ("activate", "claim", "extend", "plan", "recover", "status")
        for action in ACTIONS
    ),
    *(("setup", action) for action in (*SET_UP, ACTIONS[3], ACTIONS[6])),
    ("recover", REPAIR),
]


@pytest.mark.parametrize(("name", "action"), PROMISES)
def test_what_is_planned_keeps_the_promise(name: str, action: Action) -> None:
    validator = Draft202012Validator(load_schema(name))
    key = "next" if name in ("plan", "status") else "planned"
    (shown,) = as_json(plan_values([action]))
    validator.validate({**GOOD[name], key: [shown]})
    for gone in shown:
        row = {other: value for other, value in shown.items() if other != gone}
        assert not validator.is_valid({**GOOD[name], key: [row]}), gone


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: str(action.act))
@pytest.mark.parametrize("name", ["activate", "claim", "recover"])
def test_what_was_done_keeps_the_promise(name: str, action: Action) -> None:
    outcome = Outcome(Result.REFUSED, "disk-changed", "words")
    (shown,) = as_json(outcome_values([(action, outcome)]))
    validator = Draft202012Validator(load_schema(name))
    validator.validate({**GOOD[name], "done": [shown]})
    assert not validator.is_valid({**GOOD[name], "done": [{**shown, "act": "wipe-disk"}]})


@pytest.mark.parametrize("kind", DiskKind)
def test_a_disk_of_any_kind_keeps_the_promise(kind: DiskKind) -> None:
    disk = Disk("sdb", (8, 16), 1 << 30, kind=kind)
    verdict = Verdict(disk, "vg", None, (Reason("disk-kind", str(kind)), Reason("disk-held")))
    (shown, other) = as_json([disk_values(verdict), disk_values(Verdict(disk, "vg", None, ()))])
    validator = Draft202012Validator(load_schema("disks"))
    validator.validate({"schema": 1, "disks": [shown, other]})
    assert (shown["verdict"], other["verdict"]) == ("refused", "for")
    assert not validator.is_valid({"schema": 1, "disks": [{**shown, "verdict": "wiped"}]})


def test_the_choices_of_the_configuration_are_all_there() -> None:
    parts = load_schema("config")["$defs"]
    sources = parts["settings"]["properties"]["guard"]["properties"]["sources"]
    assert sources["items"]["enum"] == list(SOURCES)
    assert parts["claim"]["properties"]["mode"]["enum"] == list(ClaimMode)
    assert parts["consumer"]["properties"]["on_recovered"]["enum"] == list(OnRecovered)
    published = load_schema("status")["$defs"]["agent"]["properties"]["sources"]
    assert list(published["properties"]) == list(SOURCES)
