"""Joins what the kernel, LVM, udev and systemd say into one State. Parses nothing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.ledger import Ledger
from dmguard.core.model import Pool, State
from dmguard.edge import lvm
from dmguard.edge.dm import Control, DmParseError, DmUnavailableError
from dmguard.edge.run import CommandFailedError, CommandTimeoutError, RunError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping

    from dmguard.core.bare import BarePool, RawPool
    from dmguard.core.host import Host
    from dmguard.core.model import Consumer, Devno, Disk, KernelPool, PoolLv, Profile, Vg
    from dmguard.edge.dm import DmDevice
    from dmguard.edge.run import Runner
    from dmguard.loop.clients import Clients
    from dmguard.loop.survey import Survey

log = logging.getLogger(__name__)

_ALONE_S = 5.0
"""How long one group is waited for where LVM did not answer on everything."""


@dataclass(frozen=True, slots=True)
class Senses:
    """What is read beside LVM and the kernel's pools. What is left out is not looked at.

    `appeared`: when udev first saw a device; `dmeventd`: is its socket there; `late`: the pools
    that this boot waited for in vain; `bare`: what lies below pools that are none of LVM's, and
    `raws` those that are configured, and `heads` what is at the beginning of their metadata;
    `copies_on`: do LVM's copies of its metadata lie on one of these devices, if that can be told?
    `members`: the nodes of PVs that answer, without LVM.
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
    copies_on: Callable[[Collection[Devno]], bool | None] = lambda _: None
    members: Callable[[], Awaitable[tuple[str, ...]]] | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What LVM's answer was about: its settings, and what tells that a VG is another by now.

    `backups` by the VG's name, `sizes` the kernel's of data and metadata, by the uuids of VG and
    pool: LVM does not always write a backup.
    """

    settings: Hashable
    backups: Mapping[str, Hashable]
    sizes: Mapping[tuple[str, str], tuple[int, int | None]]


class Observer:
    """Reads the host. The kernel is asked each time, which costs a few ioctls a pool and no
    process; LVM only when its files or the kernel's pools changed since, or the caller must be
    sure.

    Of LVM only the VGs are read that changed: a report of everything costs more the more groups
    and volumes there are, whatever happened to one of them. Everything is read when it is asked
    for, when LVM's settings changed or a VG came or went, when a change is none of a VG's that is
    known, and when a VG that was read alone has other PVs than before.
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
        self._devices: tuple[DmDevice, ...] = ()
        self._kernels: tuple[KernelPool, ...] = ()
        self._seen: _Seen | None = None
        self._certain = False
        self._vgs: tuple[Vg, ...] = ()
        self._profiles: dict[str, Profile | None] = {}
        self._settings: Hashable = None
        self._disks: tuple[Disk, ...] = ()
        self._consumers: tuple[Consumer, ...] = ()
        self._strange = ""
        self._alone: frozenset[str] = frozenset()
        self._locked = False
        self.unanswered = ""
        """Why the known groups were read one by one: LVM does not answer on everything."""
        self.behind = False
        """Is LVM still to be asked, because the last look was to be quick?"""

    def close(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def forget(self) -> None:
        """The next look asks LVM again, whatever its files say."""
        self._seen = None

    async def look(
        self,
        *,
        fresh: bool = False,
        disks: bool = False,
        units: bool = False,
        host: bool = False,
        touched: Collection[str] = (),
        quick: bool = False,
        only: Collection[str] | None = None,
    ) -> State:
        """The state now. RunError, ReportError or DmParseError when it cannot be told.

        Of disks and of the consumers' units what was known last is given, unless they are asked
        for; units are read also whenever LVM is. The host's files are read only when asked for.
        `touched` are devices that something happened to, by the kernel's names: where they are PVs
        and their VGs have the PVs that they had, it was those VGs' metadata, and neither disks nor
        other VGs are read. `quick`: a VG that changed is left for the next look, see `behind`.
        `only`: of the kernel's pools those are read that have raised an event since the last look,
        and these, by `vg/lv`, or the device's uuid or `major:minor`; the others are as they were.
        """
        anew = fresh or disks or units or bool(touched)
        kernels = self._kernel_pools(anew=anew, only=None if anew else only)
        now = _Seen(
            lvm.fingerprint(),
            lvm.backups(),
            {kernel.ids: (kernel.size, _metadata_of(kernel)) for kernel in kernels},
        )
        changed = None if fresh else self._changed(now, touched)
        self.behind = quick and bool(changed)
        asked = changed is None or (bool(changed) and not quick)
        whole = changed is None
        if asked:
            whole = await self._ask_lvm(now, changed, sure=fresh)
            # Reading LVM takes long; what it says is joined with what the kernel says now.
            kernels = self._kernel_pools(anew=True)
        disks = disks and (whole or not touched)
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

    def _changed(self, now: _Seen, touched: Collection[str]) -> frozenset[str] | None:
        """The names of the VGs that LVM is to be asked about; None for everything."""
        before = self._seen
        if before is None or now.settings != before.settings:
            return None
        by_uuid = {vg.uuid: vg for vg in self._vgs}
        homes = {pv.name: vg for vg in self._vgs for pv in vg.pvs if not vg.missing}
        names = {name for name, _ in before.backups.items() ^ now.backups.items()}
        owners = {uuid for (uuid, _), _ in before.sizes.items() ^ now.sizes.items()}
        found = [self._vg(name) for name in names]
        found += [by_uuid.get(uuid) for uuid in owners]
        found += [homes.get(f"/dev/{name.replace('!', '/')}") for name in touched]
        known = [vg.name for vg in found if vg is not None and self._vg(vg.name) is vg]
        return frozenset(known) if len(known) == len(found) else None

    def _vg(self, name: str) -> Vg | None:
        """The VG of this name, if it is one alone."""
        found = [vg for vg in self._vgs if vg.name == name]
        return found[0] if len(found) == 1 else None

    async def _ask_lvm(self, now: _Seen, names: frozenset[str] | None, *, sure: bool) -> bool:
        """Read these VGs, or everything; was it everything?

        Where LVM did not answer on everything that is asked for again by who must be sure.
        """
        devices = () if names is None else self._devices_of(names)
        self._seen, self._certain = None, False  # until LVM has answered on everything
        seen: _Seen | None = now
        vgs = None
        try:
            if names is not None:
                vgs = await self._read_alone(names, devices)
            whole = vgs is None
            if vgs is None and self.unanswered and not sure:
                seen, vgs = None, await self._read_each()
            elif vgs is None:
                # A lock that was waited for in vain is not waited for by each look.
                vgs = await lvm.read_vgs(self._runner, attempts=1 if self._locked else 20)
                self.unanswered, self._alone, self._locked = "", frozenset(), False
        except CommandTimeoutError as error:
            # One disk that does not answer must not blind the guard for the others.
            vgs = await (self._read_each() if self._vgs else self._read_members())
            if not vgs:
                raise
            seen, whole, self.unanswered = None, names is None, str(error)
        except lvm.ReportBusyError as error:
            # One VG that is locked for long must not blind the guard for the others. What was
            # known of it still holds for its pools' sizes; LVM's own lock keeps it unchanged.
            vgs, seen, whole = merge(self._vgs, error.partial), None, names is None
            self._locked = True
        self._vgs = vgs
        await self._read_profiles()
        self._seen, self._certain = seen, seen is not None
        return whole

    async def _read_alone(
        self, names: frozenset[str], devices: tuple[str, ...]
    ) -> tuple[Vg, ...] | None:
        """All VGs, these of them read anew, by an LVM that looks at these devices alone; None
        where that is not the whole truth.
        """
        try:
            read = await lvm.read_vgs(self._runner, names, devices)
        except lvm.ReportBusyError:
            raise
        except (lvm.ReportError, CommandFailedError):
            return None
        anew = {vg.uuid: vg for vg in read}
        old = [vg for vg in self._vgs if vg.name in names]
        if len(anew) != len(read) or {*map(_members, read)} != {*map(_members, old)}:
            return None
        return tuple(anew.get(vg.uuid, vg) for vg in self._vgs)

    async def _read_each(self) -> tuple[Vg, ...]:
        """Every VG that is known, each by an LVM that looks at its own devices alone.

        One that does not answer is silent, but for one that was merely too slow: of that, and of
        one that cannot be read alone, what was known is given.
        """
        vgs, alone = [], set()
        for vg in self._vgs:
            found: tuple[Vg, ...] = ()
            devices = _devices_of(vg)
            silent = vg.silent and not devices
            try:
                if self._vg(vg.name) is vg and devices:
                    found = await lvm.read_vgs(
                        self._runner, (vg.name,), devices, timeout_s=_ALONE_S
                    )
            except CommandTimeoutError as error:
                silent = error.stuck
                alone.add(vg.name)
            except (lvm.ReportError, CommandFailedError) as error:
                log.debug("%s: %s", vg.name, error)
            if [*map(_members, found)] == [_members(vg)]:
                alone.add(vg.name)
                vg = found[0]  # noqa: PLW2901 - what it is by now
            vgs.append(replace(vg, silent=silent))
        self._alone = frozenset(alone)
        return tuple(vgs)

    async def _read_members(self) -> tuple[Vg, ...]:
        """Where no VG is known yet, those of the PVs that answer; one with others is silent."""
        devices = () if self._senses.members is None else await self._senses.members()
        if not devices:
            return ()
        try:
            read = await lvm.read_vgs(self._runner, (), devices, timeout_s=_ALONE_S)
        except (lvm.ReportError, RunError) as error:
            log.debug("%s", error)
            return ()
        self._alone = frozenset(vg.name for vg in read if not vg.missing)
        return tuple(replace(vg, silent=vg.name not in self._alone) for vg in read)

    async def _read_profiles(self) -> None:
        """A process for each, and so only when a file changed or another one is in use."""
        used = sorted({pool.profile for vg in self._vgs for pool in vg.pools if pool.profile})
        settings = lvm.settings_fingerprint()
        if (settings, used) != (self._settings, sorted(self._profiles)):
            self._profiles = {name: await lvm.read_profile(self._runner, name) for name in used}
            self._settings = settings

    def devices_of(self, name: str) -> tuple[str, ...]:
        """Where LVM found the PVs of this VG when it was asked last; none if that is not certain,
        or if it would have more to say.
        """
        vg = self._vg(name)
        if vg is None or not (self._certain or name in self._alone):
            return ()
        return _devices_of(vg)

    def _devices_of(self, names: Collection[str]) -> tuple[str, ...]:
        """Those of all these VGs; none if that is not certain of each."""
        found = [self.devices_of(name) for name in names]
        return tuple(device for devices in found for device in devices) if all(found) else ()

    def may_wait(self) -> bool:
        """May a file of LVM's wait for a pool to grow? It lies on one; or that cannot be told, and
        one is nearly full.
        """
        lies = self._senses.copies_on({kernel.devno for kernel in self._kernels})
        return any(kernel.is_tight for kernel in self._kernels) if lies is None else lies

    def glance(self, pool: str = "") -> State:
        """The kernel's pools as they are now, or this one alone of those that are known; joined
        with what LVM said last. Starts no process.
        """
        return self._join(self._kernel_pools(only=(pool,) if pool else None))

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

    def _kernel_pools(
        self, *, anew: bool = True, only: Collection[str] | None = None
    ) -> tuple[KernelPool, ...]:
        """LVM's. What they lie on changes with LVM's metadata only, and is read when that is."""
        control = self._reach()
        if control is None:
            return ()
        self._devices = control.list_devices()
        kept = () if only is None else self._all_but(only)
        appeared = self._senses.appeared
        pools = control.read_pools(self._devices, anew=anew, kept=kept)
        same = {id(pool) for pool in kept}
        self._kernels = tuple(
            pool if id(pool) in same else replace(pool, appeared=appeared(pool.devno))
            for pool in pools
        )
        return self._kernels

    def _all_but(self, names: Collection[str]) -> tuple[KernelPool, ...]:
        """The kernel's pools as they were read last, without these and without any whose name is
        not known.
        """
        named = {(vg.uuid, lv.uuid): lv.full_name for vg in self._vgs for lv in vg.pools}
        names = frozenset(names)
        return tuple(
            pool
            for pool in self._kernels
            if (name := named.get(pool.ids)) and names.isdisjoint((name, *pool.names))
        )

    def _bare_pools(self) -> tuple[BarePool, ...]:
        """Those that are none of LVM's. One that is not understood blinds nobody for LVM's."""
        control = self._reach()
        if control is None:
            return ()
        try:
            pools = control.read_bare(self._devices)
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


def _devices_of(vg: Vg) -> tuple[str, ...]:
    """What its PVs are on; none where that is not all that LVM would look at."""
    certain = not vg.missing and not any(pv.twin for pv in vg.pvs)
    return tuple(pv.name for pv in vg.pvs) if certain else ()


def _members(vg: Vg) -> Hashable:
    """What of a VG is only told from the whole: who it is, and the devices that it lies on."""
    return vg.name, vg.uuid, tuple(sorted((pv.uuid, pv.name, pv.missing) for pv in vg.pvs))


def merge(known: tuple[Vg, ...], read: tuple[Vg, ...]) -> tuple[Vg, ...]:
    """What was read now, and what is known of the VGs that it leaves out."""
    uuids = {vg.uuid for vg in read}
    return (*read, *(vg for vg in known if vg.uuid not in uuids))


def _metadata_of(kernel: KernelPool) -> int | None:
    return None if kernel.metadata is None else kernel.metadata.total


def join(
    vgs: tuple[Vg, ...], kernels: tuple[KernelPool, ...], profiles: dict[str, Profile | None]
) -> State:
    """LVM's pools with the kernel's of the same uuids; those without a match are told apart."""
    running = {(kernel.vg_uuid, kernel.lv_uuid): kernel for kernel in kernels}
    pools = tuple(
        _join_pool(lv, vg, running.pop((vg.uuid, lv.uuid), None), profiles)
        for vg in vgs
        for lv in vg.pools
    )
    return State(vgs=vgs, pools=pools, unknown=tuple(running.values()))


def _join_pool(
    lv: PoolLv, vg: Vg, kernel: KernelPool | None, profiles: dict[str, Profile | None]
) -> Pool:
    if kernel is not None and kernel.size > lv.size:
        # LVM commits its metadata before it loads a table: since that was read the pool grew.
        lv = replace(lv, size=kernel.size)
    return Pool(lv, vg, kernel, profiles.get(lv.profile) if lv.profile else None)
