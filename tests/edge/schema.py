"""The promises of --json: packaging/schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

TREE = Path(__file__).resolve().parents[2]
SCHEMAS = TREE / "packaging" / "schema"


def load_schema(name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text())
    return values


def check(name: str, text: str) -> dict[str, Any]:
    """What a command printed: one JSON object that keeps the promise of its schema."""
    values: dict[str, Any] = json.loads(text)
    Draft202012Validator(load_schema(name)).validate(values)
    return values
