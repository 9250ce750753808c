"""What a look reads, by who woke for it: no more than what such an event may have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dmguard.core.wake import Wake


@dataclass(frozen=True, slots=True)
class Look:
    """What is read anew beside the kernel's pools: LVM, the disks, the consumers' units.

    `touched`, `quick` and `only` as for Observer.look.
    """

    fresh: bool = False
    disks: bool = False
    units: bool = False
    touched: frozenset[str] = frozenset()
    quick: bool = False
    only: frozenset[str] | None = None


GLANCE = Look()


def look_for(wakes: Iterable[Wake], *, claims: bool, wrong: bool) -> Look:
    """`claims`: may disks be claimed; `wrong`: is anything found to be."""
    subjects: dict[Trigger, set[str | None]] = {}
    for wake in wakes:
        subjects.setdefault(wake.trigger, set()).add(wake.subject)
    triggers = subjects.keys()
    # A cure for what is wrong may be one that no file shows: then LVM is asked each time.
    unsure = Trigger.TIMER in triggers and wrong
    at_ease = triggers - {Trigger.DM_EVENT, Trigger.JOURNAL}
    # Where all that happened is that devices were written to, as in every change of a VG's.
    touched = frozenset[str]()
    if at_ease - {Trigger.DBUS} == {Trigger.UDEV}:
        touched = _named(subjects[Trigger.UDEV])
    # A look without a subject is for what no event tells, as the second one after an event.
    raised = _named(subjects[Trigger.DM_EVENT]) if triggers == {Trigger.DM_EVENT} else None
    # What LVM says is only needed for what is to be done, and is read a moment later otherwise.
    events = not at_ease and all(map(_named, subjects.values()))
    return Look(
        quick=events and not wrong,
        fresh=unsure or (Trigger.UDEV in triggers and not touched),
        disks=claims and bool(at_ease - {Trigger.DBUS}),
        units=bool(at_ease),
        touched=touched,
        only=raised or None,
    )


def _named(subjects: set[str | None]) -> frozenset[str]:
    """All of them; none if there is one that says nothing."""
    names = frozenset(name for name in subjects if name)
    return names if len(names) == len(subjects) else frozenset()
