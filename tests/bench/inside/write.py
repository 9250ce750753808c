"""Writes at a rate: write.py DEVICE FIRST_MIB COUNT_MIB MIB_PER_SECOND(0: full speed).

One JSON object: when it began and ended, the seconds of each write of 1 MiB, and the errors.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import time

_MIB = 1 << 20


def main() -> None:
    device, first, count, rate = sys.argv[1], *map(float, sys.argv[2:])
    target = os.open(device, os.O_WRONLY | os.O_DIRECT)
    piece = mmap.mmap(-1, _MIB)
    piece.write(os.urandom(_MIB))
    took, errors = [], []
    began = due = time.monotonic()
    for number in range(int(count)):
        if rate:
            time.sleep(max(0.0, due - time.monotonic()))
        at = time.monotonic()
        try:
            os.pwrite(target, piece, (int(first) + number) * _MIB)
        except OSError as error:
            errors.append(error.strerror)
        took.append(round(time.monotonic() - at, 4))
        if rate:
            # What it is behind is not caught up with: a writer that was held up goes on as before.
            due += max(1 / rate, took[-1])
    print(json.dumps({"began": began, "ended": time.monotonic(), "took": took, "errors": errors}))


main()
