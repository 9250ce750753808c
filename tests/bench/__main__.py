"""``python -m tests.bench [CASE...] [--rounds N]``: the guards, measured side by side."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.bench import boot, dry, idle, metadata, race, reaction, scale, starts
from tests.bench.about import tell
from tests.bench.host import ROOM, HostStands
from tests.bench.lab import Lab
from tests.bench.plan import Plan
from tests.bench.refusals import look, refusals
from tests.bench.report import publish, rewrite_page
from tests.bench.stand import install
from tests.lab.building import ROOT, BuildError
from tests.lab.channel import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from tests.bench.figures import Measured
    from tests.lab.stand import Stand

OUT = ROOT / "build" / "bench"
PAGE = ROOT / "docs" / "bench.md"
_CUT = " was cut short"
# What a case asks of its stand beyond a Stand is its own: a machine has power to be cut.
CASES: dict[str, Callable[[Any, Plan], Iterator[Measured]]] = {
    case.CASE: case.measure for case in (reaction, race, dry, metadata, boot, idle, scale)
}


class Stands(Protocol):
    """Where it is measured; `left_out` are the cases that cannot be, with the reason."""

    kind: str
    left_out: Mapping[str, str]

    def open(self, case: str) -> AbstractContextManager[Stand]:
        """A place for one case."""


def main() -> int:
    """Measure the cases that are named, or all of them."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    options = _parse()
    names = options.cases or list(CASES)
    plan = Plan(options.rounds, frozenset(options.guards), options.thorough)
    OUT.mkdir(parents=True, exist_ok=True)
    if options.host:
        need = max((ROOM.get(name, 0) for name in names), default=0)
        if found := refusals(look(options.scratch), need):
            print(*(f"bench: refused: {why}" for why in found), sep="\n", file=sys.stderr)
            return 2
        measured, about = run(HostStands(Path(options.scratch).resolve()), names, plan)
    else:
        with tempfile.TemporaryDirectory(prefix="machine-", dir=OUT) as folder:
            measured, about = run(Lab(Path(folder)), names, plan)
    publish(measured, about, OUT)
    if options.docs:
        rewrite_page(PAGE, measured, about)
    return int(any(key.endswith(_CUT) for key in about))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3, help="of each case (3)")
    parser.add_argument(
        "--guards", type=lambda text: text.split(","), default=[], help="these alone: a,b"
    )
    parser.add_argument("--thorough", action="store_true", help="every guard in every race")
    parser.add_argument("--docs", action="store_true", help=f"rewrite {PAGE.relative_to(ROOT)}")
    parser.add_argument("--host", action="store_true", help="on this host, not in the lab")
    parser.add_argument("--scratch", default="", help="an empty directory, for --host")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return options


def run(stands: Stands, names: list[str], plan: Plan) -> tuple[list[Measured], dict[str, str]]:
    """Each case on a stand of its own; on the first of them also what a process start costs."""
    start = time.monotonic()
    measured: list[Measured] = []
    about: dict[str, str] = {}
    for name in names:
        if name in stands.left_out:
            print(f"bench: {name} is left out: {stands.left_out[name]}", flush=True)
            about[f"{name} left out"] = stands.left_out[name]
            continue
        try:
            with stands.open(name) as m:
                if "kernel" not in about:
                    about |= tell(m, stands.kind, plan)
                    measured += starts.measure(m)
                    about["start of a process"] = f"{starts.factor(measured):.1f} times this host's"
                install(m)
                for one in CASES[name](m, plan):
                    measured.append(one)
                    seconds = time.monotonic() - start
                    told = f"{one.case} {one.of} {one.what}: {one.guard} {one.values}"
                    print(f"bench: {seconds:6.1f} s  {told}", flush=True)
        except (LabError, AssertionError) as error:
            # An hour's figures of the others are not to be lost for it.
            print(f"bench: {name} was cut short: {error}", file=sys.stderr, flush=True)
            about[name + _CUT] = str(error).partition("\n")[0][:200]
    about["took"] = f"{(time.monotonic() - start) / 60:.0f} min"
    return measured, about


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, BuildError, ValueError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
