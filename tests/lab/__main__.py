"""``python -m tests.lab``: build images, or try commands on a machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.lab.images import build


def main() -> int:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("build", "shell"):
        sub = verbs.add_parser(verb)
        sub.add_argument("--flavour", default="bookworm", choices=("bookworm", "trixie"))
        sub.add_argument("--deb", type=Path)
    verbs.choices["shell"].add_argument("--disks", type=int, default=0, metavar="N")
    args = parser.parse_args()
    image = build(args.flavour, args.deb)
    if args.verb == "build":
        print(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
