"""Loads a pool's own table anew and takes it into use: floor.py POOL COUNT.

One line for each time: the seconds of load, suspend and resume, which every growth has to pass.
"""

from __future__ import annotations

import sys
import time

from tests.bench.inside.pool import Pool


def main() -> None:
    pool = Pool(sys.argv[1])
    for _ in range(int(sys.argv[2])):
        kind, length, table = pool.table()
        began = time.monotonic()
        pool.load(kind, length, table)
        pool.suspend()
        pool.resume()
        print(round(time.monotonic() - began, 5), flush=True)
        # udev looks at it after each resume, and is not to look during the next.
        time.sleep(1)


main()
