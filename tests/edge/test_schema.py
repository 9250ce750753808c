"""packaging/schema: each is a schema, and one that can say no."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dmguard.app.cli import COMMANDS
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
    "act": "refresh", "vg": "vg", "lv": "pool", "lv_uuid": "u", "pool": "vg/pool", "size": 1,
    "low_water": 1, "threshold": 75, "reason": "mark", "why": "w", "commands": ["lvchange"],
}  # fmt: skip
ENTRY = {
    "code": "vg-dry", "action": "extend-data", "result": "refused", "trigger": "timer",
    "vg": "vg", "pool": "vg/pool", "reason": "vg-dry", "message": "m", "id": "", "at": 1.0,
    "numbers": {"size": 1},
}  # fmt: skip
GOOD: dict[str, dict[str, Any]] = {
    "plan": {"schema": 1, "next": [ACTION], "findings": []},
    "history": {"schema": 1, "entries": [ENTRY]},
    "extend": {"schema": 1, "planned": [ACTION], "done": [], "refused": []},
    "status": {
        "schema": 1, "agent": None, "vgs": [], "pools": [], "next": [ACTION], "findings": [],
        "recent": [ENTRY],
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
