"""A target, one run of it within a bound of time, and the hunt for inputs that it does not bear."""

from __future__ import annotations

import hashlib
import random
import signal
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.dice import Dice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from tests.fuzz.dice import Make

CORPUS = Path(__file__).parent / "corpus"
BUILD = Path(__file__).parents[2] / "build" / "fuzz"

LONGEST_S = 2.0
"""No input of the sizes that are made here takes a hundredth of that if its time is linear."""
_WAITS = 15
"""For one that waits, or has little of the processor, so many times as long."""
_SHRINK_S = 10.0


class OvertimeError(Exception):
    """The target did not come to an end."""


@dataclass(frozen=True)
class Target:
    """`check` is given what comes from outside, and fails for what must not come of it."""

    name: str
    make: Make
    check: Callable[[bytes], None]

    @property
    def corpus(self) -> tuple[Path, ...]:
        """Inputs that once were not borne."""
        return tuple(sorted((CORPUS / self.name).glob("*")))

    def run(self, data: bytes) -> None:
        """Once, and not for long. In the main thread alone, where signals are."""
        with within(LONGEST_S):
            self.check(data)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """So many seconds of the processor's, which others may have meanwhile."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise OvertimeError(f"no end within {seconds:g} s")

    before = [(number, signal.signal(number, end)) for number in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, _WAITS * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


@dataclass
class Finding:
    """An error, and the smallest input that was found for it."""

    place: str
    text: str
    data: bytes


@dataclass
class Hunt:
    """What came of running a target for some time."""

    executions: int = 0
    seconds: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)


def place_of(error: BaseException) -> str:
    """What tells one error from another: its kind, and where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/dmguard/" in frame.filename] or frames
    last = own[-1] if own else None
    where = f"{Path(last.filename).name}:{last.lineno} in {last.name}" if last else "nowhere"
    return f"{type(error).__name__} at {where}"


def error_of(target: Target, data: bytes) -> Exception | None:
    try:
        target.run(data)
    except Exception as error:  # noqa: BLE001 - any error at all is what is looked for
        return error
    return None


def hunt_for(target: Target, seed: int, seconds: float, most: int | None = None) -> Hunt:
    """Run a target for so long or so often, the kept corpus first. An error is looked for once."""
    hunt = Hunt()
    dice = Dice(random.Random(f"{target.name} {seed}"))
    for path in target.corpus:
        _try(target, hunt, path.read_bytes())
    most = most and most + hunt.executions
    began = time.monotonic()
    while time.monotonic() < began + seconds and (most is None or hunt.executions < most):
        _try(target, hunt, target.make(dice))
    hunt.seconds = time.monotonic() - began
    return hunt


def _try(target: Target, hunt: Hunt, data: bytes) -> None:
    hunt.executions += 1
    error = error_of(target, data)
    if error is None or (place := place_of(error)) in hunt.findings:
        return
    text = "".join(traceback.format_exception(error))
    hunt.findings[place] = Finding(place, text, shrunk(target, data, place))


def shrunk(target: Target, data: bytes, place: str) -> bytes:
    """A smaller input with the same error: parts are taken out for as long as that goes."""
    end = time.monotonic() + _SHRINK_S
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.monotonic() < end:
            less = data[:at] + data[at + size :]
            error = error_of(target, less)
            if error is not None and place_of(error) == place:
                data = less
            else:
                at += size
        size //= 2
    return data


def keep(target: Target, finding: Finding) -> Path:
    """The input as a file, for a look at it and for the corpus."""
    path = BUILD / target.name / hashlib.sha256(finding.data).hexdigest()[:12]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(finding.data)
    return path
