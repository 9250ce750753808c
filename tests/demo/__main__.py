"""``python -m tests.demo``: a pool fills up and the power is cut, with dmguard and without."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.demo.plays import play_dmeventd, play_dmguard, stage_dmeventd, stage_dmguard
from tests.demo.timeline import publish
from tests.lab.building import ROOT, BuildError, newest_package
from tests.lab.channel import LabError
from tests.lab.images import build
from tests.lab.machine import Machine

OUT = ROOT / "build" / "demo"
MASKED = "systemd.mask=dmguard.service systemd.mask=dmguard-activate.service"


def main() -> int:
    """Play both acts and show them; 1 if something did not happen as claimed."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    image = build("bookworm", newest_package())
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"demo: {time.monotonic() - start:5.1f} s  {text}", flush=True)

    OUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="machines-", dir=OUT) as folder,
        Machine(image, Path(folder, "dmguard")) as one,
        Machine(image, Path(folder, "dmeventd"), append=MASKED) as two,
    ):
        with ThreadPoolExecutor() as pool:
            staged = (pool.submit(stage_dmguard, one, say), pool.submit(stage_dmeventd, two, say))
        acts = [future.result() for future in staged]
        play_dmguard(one, acts[0], say)
        one.close()
        play_dmeventd(two, acts[1], say)
    publish(acts, OUT)
    say(f"timeline.txt, timeline.json and timeline.svg are in {OUT.relative_to(ROOT)}")
    broken = [claim for act in acts for claim in act.broken]
    for claim in broken:
        print(f"demo: NOT SO: {claim}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, BuildError) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
