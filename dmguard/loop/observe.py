"""Joins what the kernel, LVM, udev and systemd say into one State. Parses nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.ledger import Ledger
from dmguard.core.model import Pool, State
from dmguard.edge import lvm
from dmguard.edge.dm import Control, DmParseError, DmUnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from dmguard.core.bare import BarePool, RawPool
    from dmguard.core.host import Host
    from dmguard.core.model import Consumer, Devno, Disk, KernelPool, Profile, Vg
    from dmguard.edge.run import Runner
    from dmguard.loop.clients import Clients
    from dmguard.loop.survey import Survey

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Senses:
    """What is read beside LVM and the kernel's pools. What is left out is not looked at.

    `appeared`: when udev first saw a device; `dmeventd`: is its socket there; `late`: the pools
    that this boot waited for in vain; `bare`: what lies below pools that are none of LVM's, and
    `raws` those that are configured, and `heads` what is at the beginning of their metadata.
    """

    survey: Survey | None = None
    clients: Clients | None = None
    ledger: Callable[[], Ledger] = Ledger
    appeared: Callable[[Devno], int | None] = lambda _: None
    dmeventd: Callable[[], bool] = lambda: False
    late: Callable[[], frozenset[str]] = frozenset
    host: Callable[[State], Awaitable[Host]] | None = None
    bare: Callable[[tuple[BarePool, ...]], tuple[BarePool, ...]] = lambda pools: pools
    raws: Callable[[tuple[BarePool, ...]], tuple[RawPool, ...]] = lambda _: ()
    heads: Callable[[tuple[RawPool, ...]], Awaitable[tuple[RawPool, ...]]] | None = None


class Observer:
    """Reads the host. The kernel is asked each time, which costs a few ioctls a pool and no
    process; LVM only when its files or the kernel's pools changed since, or the caller must be
    sure.
    """

    def __init__(
        self,
        runner: Runner,
        open_control: Callable[[], Control] = Control.open,
        senses: Senses | None = None,
    ) -> None:
        self._runner = runner
        self._open = open_control
        self._senses = senses or Senses()
        self._control: Control | None = None
        self._seen: Hashable = None
        self._vgs: tuple[Vg, ...] = ()
        self._profiles: dict[str, Profile | None] = {}
        self._settings: Hashable = None
        self._disks: tuple[Disk, ...] = ()
        self._consumers: tuple[Consumer, ...] = ()
        self._strange = ""

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def forget(self) -> None:
        """The next look asks LVM again, whatever its files say."""
        self._seen = None

    async def look(
        self, *, fresh: bool = False, disks: bool = False, units: bool = False, host: bool = False
    ) -> State:
        """The state now. RunError, ReportError or DmParseError when it cannot be told.

        Of disks and of the consumers' units what was known last is given, unless they are asked
        for; units are read also whenever LVM is. The host's files are read only when asked for.
        """
        kernels = self._kernel_pools()
        seen: Hashable = (lvm.fingerprint(), tuple((k.lv_uuid, k.size) for k in kernels))
        asked = fresh or seen != self._seen
        if asked:
            await self._ask_lvm(seen)
            # Reading LVM takes long; what it says is joined with what the kernel says now.
            kernels = self._kernel_pools()
        state = self._join(kernels)
        if state.raws and self._senses.heads is not None:
            state = replace(state, raws=await self._senses.heads(state.raws))
        if disks and self._senses.survey is not None:
            self._disks = await self._senses.survey.read(state)
            state = replace(state, disks=self._disks)
        if (asked or units) and self._senses.clients is not None:
            self._consumers = await self._senses.clients.read(state)
            state = replace(state, consumers=self._consumers)
        if host and self._senses.host is not None:
            state = replace(state, host=await self._senses.host(state))
        return state

    async def _ask_lvm(self, seen: Hashable) -> None:
        self._seen = None  # until LVM has answered: who must be sure asks again
        try:
            self._vgs = await lvm.read_vgs(self._runner)
        except lvm.ReportBusyError as error:
            # One VG that is locked for long must not blind the guard for the others. What was
            # known of it still holds for its pools' sizes; LVM's own lock keeps it unchanged.
            self._vgs = merge(self._vgs, error.partial)
            seen = None
        await self._read_profiles()
        self._seen = seen

    async def _read_profiles(self) -> None:
        """A process for each, and so only when a file changed or another one is in use."""
        used = sorted({pool.profile for vg in self._vgs for pool in vg.pools if pool.profile})
        settings = lvm.settings_fingerprint()
        if (settings, used) != (self._settings, sorted(self._profiles)):
            self._profiles = {name: await lvm.read_profile(self._runner, name) for name in used}
            self._settings = settings

    def glance(self) -> State:
        """The kernel's pools as they are now, joined with what LVM said last. Starts no process."""
        return self._join(self._kernel_pools())

    def _join(self, kernels: tuple[KernelPool, ...]) -> State:
        bare = self._bare_pools()
        return replace(
            join(self._vgs, kernels, self._profiles),
            bare=bare,
            raws=self._senses.raws(bare),
            disks=self._disks,
            consumers=self._consumers,
            ledger=self._senses.ledger(),
            dmeventd=self._senses.dmeventd(),
            late=self._senses.late(),
        )

    def _kernel_pools(self) -> tuple[KernelPool, ...]:
        control = self._reach()
        if control is None:
            return ()
        appeared = self._senses.appeared
        return tuple(replace(pool, appeared=appeared(pool.devno)) for pool in control.read_pools())

    def _bare_pools(self) -> tuple[BarePool, ...]:
        """Those that are none of LVM's. One that is not understood blinds nobody for LVM's."""
        control = self._reach()
        if control is None:
            return ()
        try:
            pools = control.read_bare()
        except DmParseError as error:
            if str(error) != self._strange:
                log.warning("%s", error)
            self._strange = str(error)
            return ()
        appeared = self._senses.appeared
        return self._senses.bare(
            tuple(
                replace(pool, kernel=replace(pool.kernel, appeared=appeared(pool.kernel.devno)))
                for pool in pools
            )
        )

    def _reach(self) -> Control | None:
        if self._control is None:
            try:
                self._control = self._open()
            except DmUnavailableError:
                return None
        return self._control


def merge(known: tuple[Vg, ...], read: tuple[Vg, ...]) -> tuple[Vg, ...]:
    """What was read now, and what is known of the VGs that it leaves out."""
    uuids = {vg.uuid for vg in read}
    return (*read, *(vg for vg in known if vg.uuid not in uuids))


def join(
    vgs: tuple[Vg, ...], kernels: tuple[KernelPool, ...], profiles: dict[str, Profile | None]
) -> State:
    """LVM's pools with the kernel's of the same uuids; those without a match are told apart."""
    running = {(kernel.vg_uuid, kernel.lv_uuid): kernel for kernel in kernels}
    pools = tuple(
        Pool(
            lv=lv,
            vg=vg,
            kernel=running.pop((vg.uuid, lv.uuid), None),
            profile=profiles.get(lv.profile) if lv.profile else None,
        )
        for vg in vgs
        for lv in vg.pools
    )
    return State(vgs=vgs, pools=pools, unknown=tuple(running.values()))
