"""``python -m tests.bench [CASE...] [--rounds N]``: the guards, measured side by side."""

from __future__ import annotations

import argparse
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench import boot, dry, idle, metadata, race, reaction, scale
from tests.bench.report import publish
from tests.bench.stand import install
from tests.lab.building import ROOT, BuildError, newest_package
from tests.lab.channel import LabError
from tests.lab.images import build
from tests.lab.machine import Machine

if TYPE_CHECKING:
    from tests.bench.figures import Measured

OUT = ROOT / "build" / "bench"
CASES = {case.CASE: case.measure for case in (reaction, race, dry, metadata, boot, idle, scale)}


def main() -> int:
    """Measure the cases that are named, or all of them."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3, help="of each case (3)")
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    image = build("bookworm", newest_package())
    start = time.monotonic()
    measured: list[Measured] = []
    OUT.mkdir(parents=True, exist_ok=True)
    about = {"stand": "lab machine (user-mode Linux)", "host": platform.release()}
    with tempfile.TemporaryDirectory(prefix="machine-", dir=OUT) as folder:
        for name in options.cases or CASES:
            with Machine(image, Path(folder, name)) as m:
                m.boot()
                install(m)
                about |= {"kernel": m.run("uname -r").out.strip()}
                for one in CASES[name](m, options.rounds):
                    measured.append(one)
                    seconds = time.monotonic() - start
                    told = f"{one.case} {one.of} {one.what}: {one.guard} {one.values}"
                    print(f"bench: {seconds:6.1f} s  {told}", flush=True)
    publish(measured, about, OUT)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, BuildError) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
