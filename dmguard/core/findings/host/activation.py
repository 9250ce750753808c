"""Will a pool that is wanted come up at the next boot?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.findings import Finding
from dmguard.core.model import split_dm_name
from dmguard.core.plan.activate import has_consumer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.host import Host
    from dmguard.core.model import Pool, State
    from dmguard.core.settings import Settings


def find(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    pools = [pool for pool in state.pools if settings.guards(pool.name)]
    if pools and host.lvm is not None and host.lvm.thin_check_missing:
        yield Finding(
            "thin-check-missing", "lvm", f"lvm.conf names {host.lvm.thin_check}: it is not there"
        )
    yield from _of_others(state, settings, host)
    for pool in pools:
        # Any other may be meant to be down: for a cluster, or to be activated by hand.
        if settings.names(pool.name) or has_consumer(pool, state):
            yield from _of_pool(pool, host)


def _of_others(state: State, settings: Settings, host: Host) -> Iterator[Finding]:
    """Pools that LVM leaves to another host, and that somebody here is to have."""
    own = {pool.lv.uuid for pool in state.pools}
    wanted = {split_dm_name(consumer.dm_name) for consumer in state.consumers}
    for uuid, (name, owner) in host.owned.items():
        if uuid not in own and (name in wanted or settings.names(name)):
            yield Finding("vg-foreign", name, f"{name}: its volume group is of the host {owner}")


def _of_pool(pool: Pool, host: Host) -> Iterator[Finding]:
    if pool.lv.skips_activation:
        yield Finding(
            "activation-skipped", pool.name, f"{pool.name}: its activation skip flag is set"
        )
    conf = host.lvm
    if conf is None:
        return
    if _lists(conf.volume_list, pool) is False:
        yield Finding(
            "volume-list-excludes",
            pool.name,
            f"{pool.name}: activation/volume_list is {_show(conf.volume_list)}",
        )
    elif _lists(conf.auto_activation_volume_list, pool) is False:
        shown = _show(conf.auto_activation_volume_list)
        yield Finding(
            "autoactivation-excludes",
            pool.name,
            f"{pool.name}: activation/auto_activation_volume_list is {shown}",
        )
    elif not pool.lv.autoactivates:
        yield Finding(
            "autoactivation-excludes",
            pool.name,
            f"{pool.name}: autoactivation is off for it or its volume group",
        )


def _lists(names: tuple[str, ...] | None, pool: Pool) -> bool | None:
    """Is the pool in one of LVM's lists? None where a tag decides."""
    if names is None or pool.name in names or pool.vg.name in names:
        return True
    return None if any(name.startswith("@") for name in names) else False


def _show(names: tuple[str, ...] | None) -> str:
    return f"[ {', '.join(names or ())} ]" if names else "empty"
