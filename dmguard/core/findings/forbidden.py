"""A guarded pool that must not be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.codes import CODES
from dmguard.core.findings import Finding
from dmguard.core.obstacle import obstacle
from dmguard.core.plan.activate import is_wanted
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for pool in state.pools:
        code = obstacle(pool, state) if settings.guards(pool.name) else None
        if code == "pool-inactive" and not is_wanted(pool, state, settings):
            code = "activation-off"
        if code is not None and code != "vg-misnamed":
            yield Finding(code, pool.name, f"{pool.name}: {_sentence(code, pool)}")
    # What is guarded in it may be what has the name, and is not listed.
    for vg in state.vgs:
        if vg.misnamed:
            yield Finding("vg-misnamed", vg.name, f"{vg.name}: {CODES['vg-misnamed'].clause}")


def _sentence(code: str, pool: Pool) -> str:
    title = CODES[code].clause
    kernel = pool.kernel
    if code == "vg-missing-pv":
        names = ", ".join(pv.uuid for pv in pool.vg.missing)
        return f"{title}: {names}; nothing in {pool.vg.name} is changed"
    if code == "out-of-metadata" and kernel is not None and kernel.metadata is not None:
        size = format_size(kernel.metadata.total)
        return (
            f"{title}: all {size} are in use; {pool.vg.name} has {format_size(pool.vg.free)} free"
        )
    if kernel is not None and code.startswith("pool-"):
        check = ", needs_check" if kernel.needs_check else ""
        return f"{title}: the kernel says {kernel.mode}{check}"
    return title
