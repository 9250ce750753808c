"""A pool that is up, and that LVM will not activate again: the two differ in its transaction id.

LVM compares them when it activates a pool, if its own is above 0, and grows a pool that is up
whatever they are. One that is behind LVM's by one may have a message of LVM's still to come (lvm2,
libdm/libdm-deptree.c, _thin_pool_node_message).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings) -> Iterator[Finding]:
    for pool in state.pools:
        known, own = pool.kernel and pool.kernel.transaction_id, pool.lv.transaction_id
        if known is None or own == 0 or known in (own, own - 1) or not settings.guards(pool.name):
            continue
        yield Finding(
            "transaction-id-mismatch",
            pool.name,
            f"{pool.name}: its transaction id is {known}, and by LVM's metadata it is {own}: LVM"
            " will not activate it again",
        )
