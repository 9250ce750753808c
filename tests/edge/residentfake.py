"""The resident LVM with another LVM in it, which does what each line says: a program of its own.

``residentfake.py SERVER DESCRIPTOR``: SERVER is the path of the real one.
"""

import importlib.util
import os
import sys
import time
from pathlib import Path

_ARENA: list[bytearray] = []


class Lvm:
    """`say OUT ERR STATUS`, `read`, `wait FILE`, `write FILE`, `grow MIB`, `die`."""

    def __init__(self, library: str) -> None:
        del library

    def run(self, line: bytes) -> int:
        verb, *words = line.decode().split()
        status: int = getattr(self, verb)(*words) or 0
        return status

    def say(self, out: str, err: str, status: str) -> int:
        os.write(1, out.encode())
        os.write(2, err.encode())
        return int(status)

    def read(self) -> int:
        """How many bytes there are to be read."""
        return len(os.read(0, 100))

    def wait(self, path: str) -> None:
        Path(f"{path}.waits").touch()
        while not Path(path).exists():
            time.sleep(0.01)

    def write(self, path: str) -> None:
        Path(path).touch()

    def grow(self, mib: str) -> None:
        _ARENA.append(bytearray(os.urandom(1024) * 1024 * int(mib)))

    def die(self) -> None:
        os._exit(3)


path = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("server", path)
assert spec is not None
assert spec.loader is not None
server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server)
server.Lvm = Lvm  # type: ignore[attr-defined]  # another one in its place
server.main()
