"""Values that come back from a file have the types that they were written with, or are none."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def check_types(value: DataclassInstance) -> None:
    """TypeError for a field of another type than it is declared with, as far as that is plain."""
    for field in fields(value):
        given = getattr(value, field.name)
        if not _fits(given, str(field.type)):
            raise TypeError(f"{field.name}: {given!r} is not {field.type}")


def _fits(given: object, kind: str) -> bool:
    if kind.endswith(" | None"):
        return given is None or _fits(given, kind.removesuffix(" | None"))
    if kind == "tuple[str, ...]":
        return isinstance(given, tuple) and all(isinstance(one, str) for one in given)
    if kind == "dict[str, int]":
        return isinstance(given, dict) and all(type(number) is int for number in given.values())
    if kind == "float":
        return type(given) in (int, float) and math.isfinite(given)  # type: ignore[arg-type] # it is one of the two
    plain = {"str": str, "int": int, "bool": bool}.get(kind)
    return plain is None or type(given) is plain


def texts_in(values: object) -> frozenset[str]:
    """TypeError unless it is a list of texts."""
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise TypeError(f"{values!r} is not a list of texts")
    return frozenset(values)
