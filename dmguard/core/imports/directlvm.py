"""Docker's own way to direct-lvm: dm.directlvm_device and dm.thinp_* in daemon.json.

Docker makes the pool at its first start, and keeps what it did in setup-config.json below its data.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dmguard.core.consumers import daemon
from dmguard.core.imports.imported import ForeignError, Growth, Imported, Setup
from dmguard.core.units import Amount

if TYPE_CHECKING:
    from collections.abc import Mapping

VG, POOL = "docker", "thinpool"
_CHUNK = 512 << 10
_NAMES = ("dm.thinp_autoextend_threshold", "dm.thinp_autoextend_percent")
_DEFAULTS = {"dm.thinp_percent": 95, "dm.thinp_metapercent": 1, _NAMES[0]: 80, _NAMES[1]: 20}
_FIELDS = {
    "ThinpPercent": "dm.thinp_percent",
    "ThinpMetaPercent": "dm.thinp_metapercent",
    "AutoExtendThreshold": _NAMES[0],
    "AutoExtendPercent": _NAMES[1],
}
"""In setup-config.json 0 stands for what was not given."""


def read(text: str, made: str = "") -> Imported:
    """The text of daemon.json, and that of setup-config.json if Docker has made the pool.

    ForeignError: a text cannot be read, or Docker itself would not take a value.
    """
    document = daemon.read(text)
    if document is None:
        raise ForeignError("daemon.json: it cannot be read")
    options = {name: value for name, value in document.options.items() if name in _KNOWN}
    done = _read_made(made) if made.strip() else {}
    if not options and not done:
        return Imported(None, notes=("daemon.json: it has no dm.directlvm_device",))
    device = done.get("dm.directlvm_device") or options.get("dm.directlvm_device")
    if not device:
        raise ForeignError("dm.directlvm_device: it is not given")
    numbers = {name: _number(name, done or options, default) for name, default in _DEFAULTS.items()}
    _check_shares(numbers, done or options)
    growth = Growth.of(numbers[_NAMES[0]], numbers[_NAMES[1]], _NAMES)
    setup = Setup(
        disks=(device,),
        vg=VG,
        pool=POOL,
        data=Amount(percent=float(numbers["dm.thinp_percent"])),
        metadata=Amount(percent=float(numbers["dm.thinp_metapercent"])),
        chunk=_CHUNK,
        threshold=growth.threshold,
        percent=growth.percent,
        options=_kept(document.options),
    )
    notes = (*_notes(options, done), *growth.notes)
    return Imported(setup, growth.settings(f"{VG}/{POOL}"), notes)


_KNOWN = ("dm.directlvm_device", "dm.directlvm_device_force", *_DEFAULTS)


def _kept(options: Mapping[str, str]) -> tuple[str, ...]:
    """The options that go on: all but those of the pool that Docker makes."""
    dropped = (*_KNOWN, "dm.thinpooldev")
    return tuple(f"{name}={value}" for name, value in options.items() if name not in dropped)


def _read_made(text: str) -> dict[str, str]:
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ForeignError(f"setup-config.json: it is not JSON: {error}") from None
    device = document.get("Device") if isinstance(document, dict) else None
    if not isinstance(device, str):
        raise ForeignError("setup-config.json: it does not name the device")
    found = {name: str(document[key]) for key, name in _FIELDS.items() if document.get(key)}
    return {"dm.directlvm_device": device, **found} if device else {}


def _number(name: str, values: Mapping[str, str], default: int) -> int:
    text = values.get(name, str(default)).removesuffix("%")
    if not text.isascii() or not text.isdigit() or int(text) > 100:
        raise ForeignError(f"{name}={text}: it is not a percentage")
    return int(text)


def _check_shares(numbers: Mapping[str, int], values: Mapping[str, str]) -> None:
    names = ("dm.thinp_percent", "dm.thinp_metapercent")
    if len([name for name in names if name in values]) == 1:
        raise ForeignError(f"{' and '.join(names)}: Docker takes both or none")
    if sum(numbers[name] for name in names) > 100:
        raise ForeignError(f"{' and '.join(names)}: together they are more than 100")


def _notes(options: Mapping[str, str], done: Mapping[str, str]) -> list[str]:
    notes = []
    if done:
        notes.append(f"setup-config.json: Docker has made {VG}/{POOL}, so setup finds it there")
        given = {name: value.removesuffix("%") for name, value in options.items()}
        others = [name for name in _DEFAULTS if name in given and given[name] != done.get(name)]
        notes += [f"{name}={options[name]}: Docker made the pool without it" for name in others]
    if options.get("dm.directlvm_device_force", "").lower() in ("1", "t", "true"):
        notes.append(
            "dm.directlvm_device_force=true: if Docker loses its data folder it wipes the disk by"
            " this; dmguard takes a disk that is not blank only when it is named again with --force"
        )
    return notes
