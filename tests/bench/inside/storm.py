"""Thin devices come and go, as a container engine's: storm.py POOL FIRST PER_MINUTE ALIVE SECONDS.

Each is made by a message to the pool, brought up, and taken down and deleted once ALIVE younger
ones are there, by the kernel's own calls: a dmsetup each would cost more than what is measured.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections import deque

from dmguard.edge.dm.wire import HEADER, TARGET, request_number
from tests.bench.inside.pool import Pool

_CREATE, _REMOVE, _SUSPEND, _LOAD = 3, 4, 6, 9
_BUFFER = 4096
_SECTORS = 8192


class Devices:
    """Thin devices of one pool, by their numbers in it."""

    def __init__(self, pool: str) -> None:
        self._pool = Pool(pool)
        self._path = f"/dev/mapper/{pool}"
        self._control = os.open("/dev/mapper/control", os.O_RDWR)

    def make(self, number: int) -> None:
        self._pool.message(f"create_thin {number}")
        self._ask(_CREATE, number)
        params = f"{self._path} {number}".encode()
        table = TARGET.pack(0, _SECTORS, 0, TARGET.size + len(params) + 1, b"thin") + params
        self._ask(_LOAD, number, table)
        self._ask(_SUSPEND, number)  # without its flag this is to resume

    def remove(self, number: int) -> bool:
        """Take it down; False while udev looks at it."""
        try:
            self._ask(_REMOVE, number)
        except OSError:
            return False
        self._pool.message(f"delete {number}")
        return True

    def _ask(self, command: int, number: int, table: bytes = b"") -> None:
        name = f"storm-{number}".encode()
        head = (4, 0, 0, _BUFFER, HEADER.size, int(bool(table)), 0, 0, 0, 0, 0, name, b"")
        buffer = bytearray((HEADER.pack(*head) + table).ljust(_BUFFER, b"\0"))
        fcntl.ioctl(self._control, request_number(command), buffer, True)  # noqa: FBT003 - fcntl's own signature


def main() -> None:
    name, *numbers = sys.argv[1:]
    first, rate, alive, seconds = map(int, numbers)
    devices = Devices(name)
    there: deque[int] = deque()
    began = due = time.monotonic()
    number = first
    while time.monotonic() < began + seconds:
        # The kernel refuses a message while the pool is suspended, as it is when it is grown.
        with contextlib.suppress(OSError):
            devices.make(number)
            there.append(number)
        number += 1
        if len(there) > alive and not devices.remove(there[0]):
            there.rotate(-1)
        elif len(there) > alive:
            there.popleft()
        due += 60 / rate
        time.sleep(max(0.0, due - time.monotonic()))
    until = time.monotonic() + 30
    while there and time.monotonic() < until:
        if devices.remove(there[0]):
            there.popleft()
        else:
            there.rotate(-1)
            time.sleep(0.05)
    print(number - first)


main()
