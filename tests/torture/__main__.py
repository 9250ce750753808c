"""``python -m tests.torture``: cut the power in the middle of dmguard's acts, at random moments."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import time

from tests.lab.building import ROOT, BuildError, newest_package
from tests.lab.channel import LabError
from tests.lab.images import build
from tests.torture.campaign import OUT, Campaign, share_out
from tests.torture.report import publish, table
from tests.torture.rounds import ACTS


def main() -> int:
    """Cut, boot and look, as often as it is asked for; 1 if a round failed."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _parse()
    OUT.mkdir(parents=True, exist_ok=True)
    campaign = Campaign(build("bookworm", newest_package()), options.seed)
    if options.span:
        campaign.spans = dict.fromkeys(options.acts, options.span)
    print(f"torture: seed {options.seed}", flush=True)
    began = time.monotonic()
    try:
        campaign.run(share_out(options.acts, options.cuts, options.first), options.jobs)
    finally:
        shutil.rmtree(OUT / "run", ignore_errors=True)
        file = OUT / "torture.json"
        publish(campaign.cuts, options.seed, campaign.spans, file)
        print(table(sorted(campaign.cuts, key=lambda cut: (cut.act, cut.number))))
        minutes = (time.monotonic() - began) / 60
        print(f"torture: seed {options.seed}, {minutes:.1f} min; {file.relative_to(ROOT)}")
    return int(any(cut.failure for cut in campaign.cuts) or len(campaign.cuts) < options.cuts)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--cuts", type=int, default=60, help="in all, shared out to the acts (60)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1 << 32), help="of the moments"
    )
    parser.add_argument(
        "--acts", type=lambda text: text.split(","), default=list(ACTS), help=", ".join(ACTS)
    )
    parser.add_argument("--jobs", type=int, default=2, help="machines side by side (2)")
    parser.add_argument("--first", type=int, default=1, help="number of the first round (1)")
    parser.add_argument(
        "--span",
        type=lambda text: tuple(map(float, text.split(","))),
        metavar="BEGIN,END",
        help="seconds after the trigger in which the act falls, instead of measuring it",
    )
    options = parser.parse_args()
    if unknown := set(options.acts) - set(ACTS):
        parser.error(f"no such act: {', '.join(sorted(unknown))}; there are {', '.join(ACTS)}")
    if options.span and len(options.span) != 2:
        parser.error("--span takes two numbers")
    return options


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (LabError, BuildError) as error:
        print(f"torture: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
