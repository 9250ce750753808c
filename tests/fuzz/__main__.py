"""``python3 -m tests.fuzz [TARGET...] [--seconds N] [--seed N]``: each target for so long."""

from __future__ import annotations

import argparse
import logging
import random
import sys

from tests.fuzz.engine import Hunt, Target, hunt_for, keep
from tests.fuzz.targets import TARGETS


def main() -> int:
    options = _parse()
    logging.disable()  # what is logged of a bad input is no finding
    chosen = [TARGETS[name] for name in options.targets or TARGETS]
    found = 0
    for target in chosen:
        hunt = hunt_for(target, options.seed, options.seconds)
        found += len(hunt.findings)
        _tell(target, hunt)
    print(f"seed {options.seed}: {len(chosen)} targets, {found} findings")
    return 1 if found else 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (60)")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return options


def _tell(target: Target, hunt: Hunt) -> None:
    rate = hunt.executions / hunt.seconds
    print(
        f"{target.name:<14} {hunt.executions:>9} executions {hunt.seconds:>7.1f} s"
        f" {rate:>7.0f}/s {len(hunt.findings)} findings",
        flush=True,
    )
    for finding in hunt.findings.values():
        shown = repr(finding.data[:400]) + ("…" if len(finding.data) > 400 else "")
        print(f"\n{finding.place}\n{finding.text}input ({len(finding.data)} bytes): {shown}")
        print(f"kept as {keep(target, finding)}\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
