"""What the reconciler remembers from one look to the next: rates, back-off, open findings."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.actions import (
    Act,
    Action,
    ActivateRaw,
    Claim,
    Configure,
    CreatePool,
    CreateVg,
    EditFile,
    Extend,
    GrowLoop,
    Refresh,
    RepairPool,
    ResizePv,
    RestorePv,
    StartUnit,
    WipeDisk,
)
from dmguard.core.forecast import Sample, fill_rate, prune
from dmguard.core.plan import Past

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from dmguard.core.findings import Finding
    from dmguard.core.model import KernelPool, State

_FIRST_S, _LONGEST_S, _DOUBLINGS = 1.0, 300.0, 10
_REFRESH_PAUSE_S = 10.0
_BUSY_PAUSE_S = 2.0
SETTLE_S = 2.0
_FINAL = ("disk-refused-by-lvm", "activation-off")
"""Refusals that stand for as long as their inputs are the same."""
_PASSING = (
    "pool-suspended",
    "pool-inactive",
    "pool-unknown",
    "lvm-unreadable",
    "disk-held",
    "disk-in-use",
    "disk-unreadable",
    "consumer-down",
    "transaction-id-mismatch",
    "vg-unknown",
)


@dataclass(frozen=True, slots=True)
class Backoff:
    """An action that failed so often with these inputs; not again before `until`."""

    inputs: Hashable
    failures: int
    until: float


class Memory:
    """Times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[Sample, ...]] = {}
        self._kernels: dict[str, KernelPool | None] = {}
        self._backoff: dict[tuple[str, str], Backoff] = {}
        self._refreshes: dict[str, tuple[float, float]] = {}
        self._findings: dict[tuple[str, str], Finding] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._disks: dict[str, tuple[Hashable, float]] = {}
        self._now = self._asked = 0.0
        self.unsettled = False

    def sample(self, state: State, now: float) -> None:
        """Note every pool's usage, and since when each disk is as it is; what is gone is
        forgotten.
        """
        self._now = now
        before_it = self._disks
        self._disks = {}
        for disk in state.disks:
            known, since = before_it.get(disk.node, (None, now))
            same = known == disk.fingerprint
            self._disks[disk.node] = (disk.fingerprint, since if same else now)
        samples = {}
        for pool in state.pools:
            if pool.kernel is not None and pool.kernel.data is not None:
                before = self._samples.get(pool.lv.uuid, ())
                samples[pool.lv.uuid] = before
                # One that was not read again since the last look is no sample.
                if not before or pool.kernel is not self._kernels.get(pool.lv.uuid):
                    sample = Sample(now, pool.kernel.data.used)
                    samples[pool.lv.uuid] = prune((*before, sample), now)
        for bare in state.bare:
            if bare.kernel.data is not None:
                before = self._samples.get(bare.name, ())
                samples[bare.name] = prune((*before, Sample(now, bare.kernel.data.used)), now)
        self._samples = samples
        self._kernels = {pool.lv.uuid: pool.kernel for pool in state.pools}

    @property
    def past(self) -> Past:
        known = ((uuid, fill_rate(samples)) for uuid, samples in self._samples.items())
        failures = {
            uuid: held.failures
            for (act, uuid), held in self._backoff.items()
            if act == Act.EXTEND_DATA and held.failures
        }
        return Past(
            data={uuid: rate for uuid, rate in known if rate is not None},
            failures=failures,
            steady={node: self._now - since for node, (_, since) in self._disks.items()},
        )

    def due(self, actions: Iterable[Action], state: State, now: float) -> tuple[Action, ...]:
        """The actions that are not backed off. A change of their inputs ends a back-off."""
        self._asked = now
        return tuple(action for action in actions if not self._is_held(action, state, now))

    def forget_failures(self) -> None:
        """A new policy is a new input of every action: nothing is held back any more."""
        self._backoff.clear()

    def retry_in(self, now: float) -> float | None:
        """Seconds until the first back-off ends; 0 if one has ended since `due` was asked."""
        ends = (held.until for held in self._backoff.values())
        waits = (max(0.0, end - now) for end in ends if self._asked < end < math.inf)
        return min(waits, default=None)

    def note(
        self, action: Action, state: State, now: float, *, done: bool, reason: str = ""
    ) -> None:
        """Remember how an action ended. `state` is the one that it was planned from."""
        busy = reason == "vg-busy"
        key = (str(action.act), action.key)
        before = self._backoff.pop(key, None)
        if busy:
            # A lock that is held is no failure: nothing tells when it is free again.
            self._backoff[key] = Backoff(None, 0, now + _BUSY_PAUSE_S)
        elif not done:
            failures = 1
            if before is not None and before.inputs == inputs_of(action, state):
                failures = before.failures + 1
            # Within bounds: after days of failures the power is none that a float can have.
            pause = min(_FIRST_S * 2 ** min(failures - 1, _DOUBLINGS), _LONGEST_S)
            until = now + pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
            if reason in _FINAL:
                until = math.inf
            self._backoff[key] = Backoff(inputs_of(action, state), failures, until)
        elif isinstance(action, Refresh):
            # Whoever loads the table last owns the mark. Do not fight over it without a pause.
            self._backoff[key] = Backoff(None, 0, now + self._refresh_pause(action.key, now))

    def _refresh_pause(self, lv_uuid: str, now: float) -> float:
        """Longer each time while it recurs: every refresh suspends the pool for a moment."""
        last, pause = self._refreshes.get(lv_uuid, (now, _REFRESH_PAUSE_S / 2))
        pause = min(2 * pause, _LONGEST_S) if now - last < 3 * pause else _REFRESH_PAUSE_S
        self._refreshes[lv_uuid] = (now, pause)
        return pause

    def _is_held(self, action: Action, state: State, now: float) -> bool:
        key = (str(action.act), action.key)
        held = self._backoff.get(key)
        if held is None:
            return False
        if held.until <= now:
            if not held.failures:
                del self._backoff[key]
            return False
        return held.inputs is None or held.inputs == inputs_of(action, state)

    def compare(
        self, findings: Iterable[Finding], now: float
    ) -> tuple[list[Finding], list[Finding]]:
        """The findings to tell as new, and those to tell as gone, since the last time.

        What any LVM command causes for a moment is told only when it stays.
        """
        present = {finding.key: finding for finding in findings}
        self._since = {key: self._since.get(key, now) for key in present}
        settled = {
            key: finding
            for key, finding in present.items()
            if key in self._findings or now - self._since[key] >= _settle_s(finding)
        }
        new = [finding for key, finding in settled.items() if key not in self._findings]
        gone = [finding for key, finding in self._findings.items() if key not in present]
        self._findings = settled
        self.unsettled = len(settled) < len(present)
        return new, gone

    def recall(self, findings: Iterable[Finding]) -> None:
        """Findings that were told by a run before this one."""
        self._findings = {finding.key: finding for finding in findings}

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._findings.values())


def _settle_s(finding: Finding) -> float:
    return SETTLE_S if finding.code in _PASSING else 0.0


def inputs_of(action: Action, state: State) -> Hashable:
    """All that a failed action could be cured by: as long as this is the same, so is the result."""
    match action:
        case Claim():
            disks = (disk.fingerprint for disk in state.disks if disk.identity == action.identity)
            return (*_vg_inputs(action.vg_uuid, state), *disks)
        case ResizePv() | RestorePv():
            return (*_vg_inputs(action.vg_uuid, state), action.disk)
        case EditFile():
            return action.was
        case StartUnit():
            units = (c.unit for c in state.consumers if c.unit and c.unit.name == action.unit)
            return tuple((unit.entered, unit.tried) for unit in units)
        case GrowLoop() | ActivateRaw():
            return _bare_inputs(action, state)
        case WipeDisk() | CreateVg() | CreatePool() | Configure() | RepairPool():
            return None  # only asked for by hand, and not tried again
    pool = next((pool for pool in state.pools if pool.lv.uuid == action.lv_uuid), None)
    if pool is None:
        return None
    kernel = pool.kernel
    return (
        pool.vg.seqno,
        pool.vg.free,
        pool.lv.size,
        pool.lv.active_components,
        kernel and (kernel.size, kernel.mode, kernel.needs_check, kernel.suspended),
        action.threshold if isinstance(action, Extend | Refresh) else None,
    )


def _bare_inputs(action: GrowLoop | ActivateRaw, state: State) -> Hashable:
    if isinstance(action, ActivateRaw):
        raws = (raw for raw in state.raws if raw.rule.name == action.name)
        return tuple((raw.rule, raw.data, raw.metadata, raw.head) for raw in raws)
    pool = action.in_state(state)
    file = pool.backing(action.resource).file if pool else None
    if pool is None or file is None:
        return None
    kernel = pool.kernel
    # Not the room itself, which is another at each look: is there enough?
    fits = file.room >= action.file_target - file.size
    return (kernel.size, kernel.mode, kernel.needs_check, kernel.suspended, file.inode, fits)


def _vg_inputs(uuid: str, state: State) -> tuple[Hashable, ...]:
    vg = next((vg for vg in state.vgs if vg.uuid == uuid), None)
    return () if vg is None else (vg.seqno, *((pv.uuid, pv.devno) for pv in vg.pvs))
