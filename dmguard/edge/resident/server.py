"""Runs LVM's commands in this very process, with its memory locked: ``server.py [LIBRARY]
DESCRIPTOR``.

A program of its own that imports nothing of dmguard's: it is to stay small. The descriptor is one
end of a SOCK_SEQPACKET pair; it speaks first, once it is ready. Then each message there is a
command line of LVM's, with one descriptor beside it that is its standard input until it has ended:
the lock, which is thereby held for as long as the command runs, whatever becomes of the agent, and
which as an empty file answers every prompt with 'no'. The answers have the parts of `_answer`.

It ends when the other end is closed, after the command that is under way.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

NAME = "dmguard-lvm"
LIBRARY = "liblvm2cmd.so.2.03"
LONGEST = 64 << 10
"""Bytes of a message. What a command says beyond half of that is left out."""

# glibc's mallopt(3): what LVM gives back after a command stays in the process. It would else be
# faulted in anew by each, 8 MiB of it, and locked memory is there to keep that from happening.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = (-1, 64 << 20), (-3, 32 << 20)

# lvm2_run's answers (lvm2, tools/lvm2cmd.h); the others are those of a process.
_SUCCEEDED, _FAILED = 1, 5
_OUT, _ERR = 1, 2


class Lvm:
    """The library that dmeventd uses, too."""

    def __init__(self, library: str) -> None:
        """OSError if it is not there or does not begin."""
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(*_TRIM_THRESHOLD)
            libc.mallopt(*_MMAP_THRESHOLD)
        self._library = ctypes.CDLL(library)
        self._library.lvm2_init.restype = ctypes.c_void_p
        self._library.lvm2_run.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._handle = self._library.lvm2_init()
        if not self._handle:
            raise OSError(f"{library}: lvm2_init failed")
        # Memory is locked for good, not for each command (as dmeventd does: lvm2,
        # daemons/dmeventd/plugins/lvm2/dmeventd_lvm.c).
        self.run(b"_memlock_inc")

    def run(self, line: bytes) -> int:
        """The exit status that the command would have as a process."""
        status = int(self._library.lvm2_run(self._handle, line))
        return 0 if status == _SUCCEEDED else status or _FAILED


class Said:
    """What LVM's C code writes to one of the standard descriptors, taken away after each command.

    A file in memory, not a pipe: one that is full would hold the command up.
    """

    def __init__(self, descriptor: int) -> None:
        self._file = os.memfd_create(f"said-{descriptor}")
        os.dup2(self._file, descriptor)

    def take(self) -> bytes:
        """All of it since the last time, or what came last of very much."""
        size = os.fstat(self._file).st_size
        said = os.pread(self._file, LONGEST // 2 - 64, max(0, size - LONGEST // 2 + 64))
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        return said


def serve(channel: socket.socket, library: str) -> None:
    """Until the other end is closed."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    lvm, out, err = Lvm(library), Said(_OUT), Said(_ERR)
    channel.send(_answer(0, b"", b""))
    while True:
        line, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 1)
        if not line or len(descriptors) != 1:
            return
        os.dup2(descriptors[0], 0)
        os.close(descriptors[0])
        status = lvm.run(line)
        os.dup2(nothing, 0)
        ctypes.CDLL(None).fflush(None)  # what C's own buffers still hold
        channel.send(_answer(status, out.take(), err.take()))


def _answer(status: int, out: bytes, err: bytes) -> bytes:
    """Status, bytes resident, and what was said on either descriptor."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - pathlib is dear
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    parts = (b"%d" % status, b"%d" % resident, out, err)
    return b"\0".join(part.replace(b"\0", b"") for part in parts)


def main() -> None:
    with open("/proc/self/comm", "w", encoding="ascii") as file:  # noqa: PTH123 - as above
        file.write(NAME)
    *library, descriptor = sys.argv[1:]
    # What Python says is not LVM's.
    sys.stderr = open(os.dup(_ERR), "w", encoding="utf-8")  # noqa: PTH123, SIM115 - as above
    try:
        serve(socket.socket(fileno=int(descriptor)), *(library or [LIBRARY]))
    except BrokenPipeError:
        os._exit(0)  # the agent is gone; what was to be done is done
    except OSError as error:
        sys.exit(f"{NAME}: {error}")
    # At once: the library complains of itself when it is unloaded.
    os._exit(0)


if __name__ == "__main__":
    main()
