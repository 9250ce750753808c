"""What a look reads, by who woke for it: no more than what such an event may have changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmguard.core.model import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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

_NUMBER = re.compile(r"\d+:\d+", re.ASCII)
"""A device's, as the kernel's own lines in the journal name it."""


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
    raised = frozenset[str]() if at_ease else _raised(subjects)
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


def _raised(subjects: Mapping[Trigger, set[str | None]]) -> frozenset[str]:
    """The pools that events are about; none if one is about something else as well.

    In the journal the kernel tells of each of its events again. What others say there may be about
    a pool that has raised none.
    """
    names = _named(set().union(*subjects.values()))
    told = subjects.get(Trigger.JOURNAL, set())
    return names if all(_NUMBER.fullmatch(name or "") for name in told) else frozenset()


def _named(subjects: set[str | None]) -> frozenset[str]:
    """All of them; none if there is one that says nothing."""
    names = frozenset(name for name in subjects if name)
    return names if len(names) == len(subjects) else frozenset()
