"""``python -m tests.lab``: build images, or try commands on a machine."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.building import ROOT
from tests.lab.channel import LabError
from tests.lab.images import build
from tests.lab.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab.images import Image

GIB = 1 << 30


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
        print(image.path)
        return 0
    shell(image, args.disks)
    return 0


def shell(image: Image, disks: int) -> None:
    """Boot a machine and run each line of the input on it; `!cut`, `!boot`, `!disk`, `!off`."""
    folder = ROOT / "build" / "lab" / "run" / f"shell-{time.time_ns():x}"
    with Machine(image, folder) as m:
        for _ in range(disks):
            m.add_disk(GIB)
        m.boot()
        print(f"{m.state}; disks: {' '.join(d.device for d in m.disks)}", file=sys.stderr)
        extra: dict[str, Callable[[], object]] = {
            "!cut": m.power_cut,
            "!boot": m.boot,
            "!disk": lambda: m.add_disk(GIB),
        }
        while True:
            print("lab# ", end="", file=sys.stderr, flush=True)
            line = sys.stdin.readline()
            if not line or line.strip() == "!off":
                return
            try:
                if line.strip() in extra:
                    extra[line.strip()]()
                else:
                    result = m.run(line, timeout=600, check=False)
                    print(result.out + result.err, end="", flush=True)
                    if result.status != 0:
                        print(f"lab: exit status {result.status}", file=sys.stderr)
            except LabError as error:
                print(f"lab: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
