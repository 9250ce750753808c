"""What is guarded and why it must not be changed. Asked by the planner, told by the findings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.model import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.bare import BarePool
    from dmguard.core.model import KernelPool, Pool, Resource, State, Usage, Vg
    from dmguard.core.settings import Settings


def obstacle(pool: Pool, state: State) -> str | None:
    """The code of what forbids a change of this pool, or None."""
    return vg_obstacle(pool.vg, state) or kernel_obstacle(pool.kernel)


def guarded_vgs(state: State, settings: Settings) -> Iterator[Vg]:
    """The VGs that have a guarded pool."""
    guarded = {pool.vg.uuid for pool in state.pools if settings.guards(pool.name)}
    return (vg for vg in state.vgs if vg.uuid in guarded)


def vg_obstacle(vg: Vg, state: State) -> str | None:
    """The code of what forbids any change of this VG, or None."""
    if state.namesakes(vg) > 1:
        return "vg-duplicate-name"
    # A command of LVM's would wait for them, and all that comes after it.
    if vg.silent:
        return "vg-silent"
    # With a PV away vgextend succeeds and lvextend does not, and the VG's sequence number
    # moves on: a PV that merely comes back late then needs --restoremissing.
    if vg.missing:
        return "vg-missing-pv"
    if vg.misnamed:
        return "vg-misnamed"
    if vg.exported:
        return "vg-exported"
    if not vg.writeable:
        return "vg-read-only"
    return "vg-shared" if vg.shared else None


def bare_obstacle(pool: BarePool, resource: Resource) -> str | None:
    """The code of what forbids to grow a pool that is none of LVM's, or None."""
    backing = pool.backing(resource)
    if not backing.is_loop:
        return "loop-not-file"
    if backing.file is None:
        return "loop-file-unknown"
    return kernel_obstacle(pool.kernel) or ("loop-limited" if backing.file.limit else None)


def kernel_obstacle(kernel: KernelPool | None) -> str | None:
    """The same of the pool itself, whoever made it."""
    if kernel is None:
        return "pool-inactive"
    if kernel.mode in (Mode.FAIL, Mode.ERROR):
        return "pool-failed"
    # The kernel ignores a resize while needs_check is set, and answers success (Linux,
    # drivers/md/dm-thin.c, maybe_resize_data_dev).
    if kernel.needs_check:
        return "pool-needs-check"
    if kernel.mode is Mode.RO:
        return "out-of-metadata" if is_full(kernel.metadata) else "pool-read-only"
    return "pool-suspended" if kernel.suspended else None


def is_full(used: Usage | None) -> bool:
    """Is all of it in use? The kernel counts as used the metadata that it keeps for its own last
    commits (Linux, drivers/md/dm-thin-metadata.c, metadata_reserve).
    """
    return used is not None and used.used >= used.total
