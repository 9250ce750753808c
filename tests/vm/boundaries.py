"""Where each boundary of dmguard's acts is seen from the outside: a system call on a path."""

from __future__ import annotations

from dataclasses import dataclass

from tests.vm.kit import LIB


@dataclass(frozen=True)
class Stop:
    """Behind the `nth` call of `call` on `path`, in which PID is that of the process itself."""

    call: str
    path: str
    nth: int


@dataclass(frozen=True)
class Moment:
    """One of a command that does several acts, with its name."""

    name: str
    stop: Stop


def boundary(
    phase: str, action: int, step: int = 0, before: int = 0, slot: str = "intent"
) -> Moment:
    """A boundary of the executor's: `before` steps were done by the actions before this one.

    Each action renames its intent into place, `slot`, once before its steps and once after each.
    """
    draft = f"{LIB}/.{slot}.json.PID"
    nth = before + action - 1 + 1 + step
    name = f"action {action}: {phase}" + (f" {step}" if step else "")
    if phase == "step":
        # It is done, and the intent that says so is not there yet.
        return Moment(name, Stop("openat", draft, nth))
    if phase == "recorded":
        return Moment(name, Stop("fdatasync", f"{LIB}/history.jsonl", action))
    if phase == "cleared":
        return Moment(name, Stop("unlink", f"{LIB}/{slot}.json", action))
    return Moment(name, Stop("rename", draft, nth))


def stops(steps: int, slot: str = "intent") -> dict[str, Stop]:
    """Where each boundary of one act in so many steps is seen."""
    numbered = [(phase, step) for step in range(1, steps + 1) for phase in ("step", "ran")]
    phases = [("intended", 0), *numbered, ("recorded", 0), ("cleared", 0)]
    return {
        f"{phase}-{step}" if step else phase: boundary(phase, 1, step, slot=slot).stop
        for phase, step in phases
    }
