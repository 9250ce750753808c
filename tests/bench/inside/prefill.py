"""Gives chunks to a thin device without much writing: prefill.py DEVICE FIRST COUNT CHUNK."""

from __future__ import annotations

import mmap
import os
import sys

_BLOCK = 4096


def main() -> None:
    device, first, count, chunk = sys.argv[1], *map(int, sys.argv[2:])
    target = os.open(device, os.O_WRONLY | os.O_DIRECT)
    block = mmap.mmap(-1, _BLOCK)
    for number in range(first, first + count):
        os.pwrite(target, block, number * chunk)


main()
