"""One act again and again on one machine, each time with the power cut at a random moment."""

from __future__ import annotations

import random
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tests.torture import watch, witness
from tests.torture.acts import Claim, Data, Metadata, Resize, Setup
from tests.torture.boot import Boot
from tests.torture.offline import Offline
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.torture.acts import Act
    from tests.torture.witness import Scene

ACTS: dict[str, type[Act]] = {
    kind.name: kind for kind in (Data, Metadata, Claim, Resize, Boot, Setup, Offline)
}
BEFORE, WITHIN, AFTER = "before", "within", "after"
# Of the act's length: so far before its begin and beyond its end.
_AROUND = 0.2


@dataclass(frozen=True)
class Cut:
    """One round: when the power went, where in the act, and how it was told in the end.

    `left` is what showed the place: the files of intents, and "lvm" if that had changed.
    """

    act: str
    number: int
    moment_s: float
    position: str = ""
    left: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    acknowledged: int = 0
    seconds: float = 0
    failure: str = ""

    def as_values(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        begin = f"{self.act} {self.number}: cut after {self.moment_s:.3f} s"
        if self.failure:
            return f"{begin}: FAILED: {self.failure.splitlines()[-1]}"
        place = f"{self.position} ({', '.join(self.left)})" if self.left else self.position
        how = f"told: {', '.join(self.told)}; {self.acknowledged} MiB acknowledged"
        return f"{begin}, {place}; {how}"


def share_of_act(seed: int, act: str, number: int) -> float:
    """When the power goes in a round: 0 is where the act begins, and 1 where it ends."""
    return random.Random(f"{seed}/{act}/{number}").uniform(-_AROUND, 1 + _AROUND)


def position_of(act: Act, before: Scene, left: Scene, *, had_begun: bool) -> str:
    """Where in the act the power went, by what it left. What was told by then must be there.

    Of an act that had begun nothing may have reached the disk.
    """
    told = [kind for kind in act.kinds if left.has_told(before, kind, act.subject)]
    for kind in told:
        assert act.is_there(before, left, kind), f"{kind} is told and not there: {left}"
    if len(told) == len(act.kinds) and not left.intents:
        return AFTER
    traces = told or left.intents or left.lvm != before.lvm
    return WITHIN if had_begun or traces else BEFORE


class Rounds:
    """A machine on which one act is prepared."""

    def __init__(self, m: Machine, kind: type[Act]) -> None:
        self.m = m
        witness.install(m)
        watch.install(m)
        self.act: Act = kind(m)  # type: ignore[call-arg] # each is made of its machine

    def measure(self) -> tuple[float, float]:
        """A round without a cut: all that is held of the others, and when the act falls."""
        act = self.act
        act.prepare(0)
        before = witness.look(self.m)
        its = watch.Watch(self.m)
        act.trigger()
        its.wait_until_begun()
        begin = its.passed_s
        act.wait()
        wait_for("told", lambda: self._is_told_since(before), timeout=60)
        span = begin, begin + its.length()
        self._check(before, before)
        return span

    def cut(self, seed: int, number: int, span: tuple[float, float]) -> Cut:
        """A round with one. AssertionError or LabError if anything is not as it must be."""
        act, began = self.act, time.monotonic()
        act.prepare(number)
        before = witness.look(self.m)
        (begin, end), share = span, share_of_act(seed, act.name, number)
        its = watch.Watch(self.m)
        act.trigger()
        if share > 0:
            its.wait_until_begun()
        # The moment is what is drawn here; nothing is waited for.
        time.sleep(max(share * (end - begin) + (begin if share < 0 else 0), 0))
        if act.writer.running:
            act.writer.assert_well()
        act.cut()
        after_s, had_begun = its.passed_s, its.has_begun()
        act.writer.count()
        self.m.boot()
        left = witness.look_back(self.m)
        position = position_of(act, before, left, had_begun=had_begun)
        acknowledged = act.writer.acknowledged
        act.revive()
        told = self._check(before, left)
        return Cut(
            act=act.name,
            number=number,
            moment_s=after_s,
            position=position,
            left=(*sorted(left.intents), *["lvm"] * (left.lvm != before.lvm)),
            told=told,
            acknowledged=acknowledged,
            seconds=time.monotonic() - began,
        )

    def _is_told_since(self, before: Scene) -> bool:
        act, now = self.act, witness.read(self.m)
        told = all(now.has_told(before, kind, act.subject) for kind in act.kinds)
        return told and not now.intents

    def _check(self, before: Scene, left: Scene) -> tuple[str, ...]:
        """All that must hold at the end of a round; how the act was told in it."""
        act = self.act
        act.assert_converged()
        act.writer.stop()
        act.assert_sound()
        witness.assert_nothing_left(self.m)
        now = witness.read(self.m)
        told = []
        for kind in act.kinds:
            entries = now.told(kind, act.subject)
            count = act.count(before, left, kind)
            assert len(entries) == count, f"{kind} told {len(entries)} times, not {count}"
            if len(entries) > len(before.told(kind, act.subject)):
                act.assert_true(entries[-1])
                told.append(str(entries[-1]["reason"]))
            else:
                told.append("untold")
        return tuple(told)
