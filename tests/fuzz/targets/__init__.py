"""What is fuzzed, by name: one file for each place that input comes from."""

from __future__ import annotations

from tests.fuzz.targets import (
    blocks,
    books,
    bus,
    consumers,
    dm,
    doctor,
    files,
    hosts,
    imports,
    journal,
    lvm,
    places,
    resident,
    settings,
    udev,
)

_MODULES = (
    *(
        settings,
        journal,
        lvm,
        dm,
        udev,
        blocks,
        hosts,
        bus,
        consumers,
        imports,
        files,
        places,
        doctor,
        books,
        resident,
    ),
)

TARGETS = {target.name: target for module in _MODULES for target in module.TARGETS}
