"""Makes snapshots as fast as the kernel takes them: snaps.py POOL DEVICE COUNT SECONDS.

After each the device that is its origin, number 0 of the pool, is written to, so that it has to
have mappings of its own. One JSON object: how many were made, how many calls were refused, when
the metadata was grown, and how full it was at most.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time

from tests.bench.inside.pool import Pool

_BLOCK = 4096
_PAUSE_S = 0.01


def main() -> None:
    pool, device, count, seconds = Pool(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
    origin = os.open(device, os.O_WRONLY | os.O_DIRECT)
    block = mmap.mmap(-1, _BLOCK)
    os.pwrite(origin, block, 0)
    made = refused = 0
    fullest, grown = 0.0, None
    first = pool.read()
    while made < count and time.monotonic() < first.at + seconds:
        try:
            pool.message(f"create_snap {made + 1} 0")
            os.pwrite(origin, block, 0)
            made += 1
        except OSError:
            refused += 1
            time.sleep(_PAUSE_S)
        seen = pool.read()
        if seen.meta_total:
            fullest = max(fullest, seen.meta_used / seen.meta_total)
        if grown is None and seen.meta_total > first.meta_total:
            grown = round(seen.at - first.at, 4)
    print(json.dumps({"made": made, "refused": refused, "fullest": fullest, "grown": grown}))


main()
