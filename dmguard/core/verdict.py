"""May this disk become a PV of that volume group, and if not, why not. Every doubt is a no.

A disk is judged by what the kernel and udev say of it, and by a close look at it (Probe) that is
only taken when nothing cheaper stands in the way. Each reason has a stable code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dmguard.core.halfpv import LABEL_SPACE
from dmguard.core.model import DiskKind
from dmguard.core.obstacle import vg_obstacle
from dmguard.core.settings import ClaimMode
from dmguard.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dmguard.core.model import Disk, Probe, State, Vg
    from dmguard.core.settings import ClaimRule, Settings


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that stands in the way; `detail` is the evidence, or empty."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that stands in the way of a disk. `vg` is the group it is meant for, if any is."""

    disk: Disk
    vg: str | None
    rule: ClaimRule | None
    reasons: tuple[Reason, ...]

    @property
    def claimable(self) -> bool:
        return not self.reasons


def judge(disk: Disk, state: State, settings: Settings) -> Verdict:
    """The verdict by the rules of the configuration."""
    rules = rules_for(disk, settings)
    if not rules:
        return Verdict(disk, None, None, (Reason("disk-no-rule"), *objections(disk, state)))
    rule = strictest(rules)
    reasons = objections(disk, state, rule.vg)
    # Of what is a PV of that very group already, nothing else is to be told.
    if not any(reason.code == "disk-in-vg" for reason in reasons):
        reasons = (*_by_rules(disk, rules, state), *reasons)
    if not reasons and rule.mode is ClaimMode.ASK:
        reasons = (Reason("disk-ask"),)
    return Verdict(disk, rule.vg, rule, reasons)


def judge_by_hand(disk: Disk, vg: str, state: State) -> Verdict:
    """The verdict on a disk that an administrator names: no rule and no limit is asked."""
    group = state.vg(vg)
    known = (Reason("vg-unknown", vg),) if group is None else ()
    blocked = (Reason(code) for code in (_group_obstacle(group, state),) if code)
    return Verdict(disk, vg, None, (*known, *blocked, *objections(disk, state, vg)))


def rules_for(disk: Disk, settings: Settings) -> tuple[ClaimRule, ...]:
    return tuple(rule for rule in settings.claims if rule.match.takes(disk))


def strictest(rules: tuple[ClaimRule, ...]) -> ClaimRule:
    """Of several rules that take one disk: what each allows least, together."""
    limits = [rule.limit for rule in rules if rule.limit is not None]
    asks = any(rule.mode is ClaimMode.ASK for rule in rules)
    return replace(
        rules[0],
        limit=min(limits, default=None),
        mode=ClaimMode.ASK if asks else ClaimMode.AUTO,
        settle=max(rule.settle for rule in rules),
    )


def needs_probe(disk: Disk, state: State, settings: Settings) -> bool:
    """Is a close look the only thing that is still missing?"""
    rules = rules_for(disk, settings)
    if not rules or any(_by_rules(disk, rules, state)):
        return False
    return not any(cheap_objections(disk, state, strictest(rules).vg))


def _by_rules(disk: Disk, rules: tuple[ClaimRule, ...], state: State) -> Iterator[Reason]:
    names = sorted({rule.vg for rule in rules})
    if len(names) > 1:
        yield Reason("disk-rules-differ", f"they name {', '.join(names)}")
        return
    if state.ledger.unreadable:
        yield Reason("ledger-unreadable")
    if disk.identity in state.ledger.ignored:
        yield Reason("disk-ignored")
    if disk.identity in state.ledger.taken_out:
        yield Reason("disk-taken-out")
    vg = state.vg(names[0])
    if vg is None:
        yield Reason("vg-unknown", names[0])
        return
    code = _group_obstacle(vg, state)
    if code:
        yield Reason(code, vg.name)
    limit = min((rule.limit for rule in rules if rule.limit is not None), default=None)
    if limit is not None and len(vg.pvs) >= limit:
        yield Reason("vg-limit", f"{vg.name} has {len(vg.pvs)} PVs of at most {limit}")


def _group_obstacle(vg: Vg | None, state: State) -> str | None:
    return None if vg is None else vg_obstacle(vg, state)


CONTENT = frozenset(("disk-partition-table", "disk-orphan-pv", "disk-signature", "disk-has-data"))
"""What is said against a disk for nothing but what is on it."""


def objections(
    disk: Disk, state: State, vg: str | None = None, *, content: bool = False
) -> tuple[Reason, ...]:
    """What stands in the way of this disk in itself, whoever asks for it.

    `content`: what is on it is told, but does not keep from looking for more.
    """
    cheap = tuple(cheap_objections(disk, state, vg))
    if any(not content or reason.code not in CONTENT for reason in cheap):
        return cheap
    if disk.probe is None or disk.probe.under_way:
        return (*cheap, Reason("disk-not-probed"))
    told = {reason.code for reason in cheap}
    probed = probed_objections(disk.probe)
    return (*cheap, *(reason for reason in probed if reason.code not in told))


def cheap_objections(disk: Disk, state: State, vg: str | None = None) -> Iterator[Reason]:
    """What the kernel and udev say against it."""
    home = _home(disk, state, vg)
    if home is not None:
        yield home
        return
    checks = (
        ("disk-not-ready", not disk.ready, ""),
        ("disk-kind", disk.kind not in (DiskKind.DISK, DiskKind.MULTIPATH), str(disk.kind)),
        ("disk-multipath-leg", disk.multipath_leg, ""),
        ("disk-removable", disk.removable, ""),
        ("disk-read-only", disk.read_only, ""),
        ("disk-zoned", disk.zoned, ""),
        ("disk-partition-table", bool(disk.partitions), ", ".join(disk.partitions)),
        ("disk-held", bool(disk.holders), ", ".join(disk.holders)),
        ("disk-held", bool(disk.slaves) and disk.kind is not DiskKind.MULTIPATH, "made of others"),
    )
    for code, found, detail in checks:
        if found:
            yield Reason(code, detail)
    twin = next((other for other in state.alike(disk) if _is_twin(disk, other)), None)
    if twin is not None:
        yield Reason("disk-not-unique", f"{twin.node} has the same")
    if disk.content in _TABLES and not disk.partitions:
        yield Reason("disk-partition-table", disk.content)
    elif disk.content not in (None, "LVM2_member", *_TABLES):
        yield Reason("disk-signature", disk.content or "")
    yield from _against_group(disk, state, vg)


_TABLES = ("gpt", "dos", "sun", "mac", "bsd", "sgi", "atari", "dasd")


def _against_group(disk: Disk, state: State, vg: str | None) -> Iterator[Reason]:
    group = state.vg(vg) if vg else None
    if disk.size < LABEL_SPACE + (group.extent if group else 1):
        yield Reason("disk-too-small", format_size(disk.size))
    if group is None:
        return
    homes = (state.disk_at(pv.devno) for pv in group.pvs if pv.devno is not None)
    sectors = {home.sector for home in homes if home is not None}
    if sectors and disk.sector not in sectors:
        theirs = ", ".join(str(sector) for sector in sorted(sectors))
        yield Reason("disk-sector-size", f"{disk.sector}, those of {group.name} have {theirs}")


def _home(disk: Disk, state: State, vg: str | None) -> Reason | None:
    """The group that the disk is in, or a partition of it: nothing holds one that is not active."""
    whole = state.home(disk.devno)
    parts = map(state.home, disk.partition_devnos)
    group = whole or next((group for group in parts if group is not None), None)
    if group is None:
        return None
    if group.name != vg:
        return Reason("disk-in-other-vg", group.name)
    return Reason("disk-in-vg" if whole else "disk-part-in-vg", group.name)


def _is_twin(disk: Disk, other: Disk) -> bool:
    """Another device with the same WWN, or with the same serial and no other WWN.

    Namespaces of one NVMe controller share its serial and differ in their WWN. A multipath map
    has its legs' numbers; another disk that has them may be a leg that is not known as one yet.
    """
    if other.devno == disk.devno or other.name in disk.slaves:
        return False
    if disk.wwn and other.wwn:
        return disk.wwn == other.wwn
    return disk.serial is not None and disk.serial == other.serial


def probed_objections(probe: Probe) -> Iterator[Reason]:
    """What a close look says against it."""
    if probe.error is not None:
        yield Reason("disk-unreadable", probe.error)
        return
    others = tuple(name for name in probe.signatures if "LVM2_member" not in name)
    checks = (
        ("disk-partition-table", bool(probe.tables), ", ".join(probe.tables)),
        ("disk-orphan-pv", probe.pv_label, ""),
        ("disk-signature", bool(others), ", ".join(others)),
        ("disk-in-use", bool(probe.users), ", ".join(probe.users)),
        ("disk-named-elsewhere", bool(probe.mentions), ", ".join(probe.mentions)),
    )
    found = [Reason(code, detail) for code, there, detail in checks if there]
    yield from found
    if probe.data_at is not None and not any(reason.code in _CONTENT for reason in found):
        yield Reason("disk-has-data", f"at offset {probe.data_at}")


_CONTENT = ("disk-partition-table", "disk-orphan-pv", "disk-signature")
