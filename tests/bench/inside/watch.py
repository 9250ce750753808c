"""Writes down each change of a pool until it is terminated: watch.py POOL."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, replace

from tests.bench.inside.pool import Pool

_POLL_S = 0.005


def main() -> None:
    pool = Pool(sys.argv[1])
    last = None
    while True:
        seen = pool.read()
        # What is used changes with each block: a line for each mode and size is enough.
        key = replace(seen, at=0.0, used=0, meta_used=0)
        if key != last:
            print(json.dumps(asdict(seen)), flush=True)
            last = key
        time.sleep(_POLL_S)


main()
