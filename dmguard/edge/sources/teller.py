"""`dmguard-journal`: reads the journal in a process of its own, and tells the agent of hints.

The journal's files are mapped memory, and may lie on the very pool that has stopped. To map one
notes when it was used, for which a file system waits that cannot write; until then no thread of the
process can have memory mapped, not even by a page fault (Linux, mm/util.c: vm_mmap_pgoff takes
mmap_lock; fs/inode.c: touch_atime). Where the disk fails, whoever reads mapped memory is killed by
SIGBUS (mm/filemap.c: filemap_fault). Neither may happen to the agent.

It speaks on one end of a SOCK_SEQPACKET pair, in messages of lines, of which the first is what kind
of message it is. It ends when the other end is closed.
"""

from __future__ import annotations

import select
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dmguard.core.hints import MATCHES, hint
from dmguard.edge.systemd import JournalLostError, JournalTail

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "dmguard-journal"
COMMAND = (
    *(sys.executable, "-Ic"),
    f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {__name__} import main; main()",
    str(Path(__file__).parents[3]),
)
"""What starts it; the number of its descriptor follows."""

SAID, LOST, FAILED = "said", "lost", "failed"
"""Subjects of hints follow, each once; the files went away, and others are read; why it ended
follows.
"""
LONGEST = 64 << 10
"""Bytes of a message."""

_BATCH = 256
_REOPEN_S = 1.0


def tell(channel: socket.socket, open_tail: Callable[[], JournalTail]) -> None:
    """Until the other end is closed, or the journal cannot be opened or read."""
    first = None
    with suppress(BrokenPipeError):
        while True:
            try:
                with open_tail() as tail:
                    if first is not None:
                        _send(channel, first)
                    _follow(tail, channel)
            except JournalLostError:
                first = LOST
            except BrokenPipeError:
                raise
            except OSError as error:
                _send(channel, FAILED, " ".join(str(error).split()))
                return
            else:
                return
            # Files that come and go do so several at a time.
            if _is_closed(channel, _REOPEN_S):
                return


def _follow(tail: JournalTail, channel: socket.socket) -> None:
    """Until the other end is closed. Ends with an error of the tail's."""
    poll = select.poll()
    for descriptor in (tail.fileno(), channel.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        poll.poll()
        full = True
        while full:
            if _is_closed(channel):
                return
            # As many as were asked for: more may be there while the descriptor is silent.
            entries = tail.drain(_BATCH)
            full = len(entries) == _BATCH
            subjects = dict.fromkeys(filter(None, map(hint, entries)))
            if subjects:
                _send(channel, SAID, *subjects)


def _is_closed(channel: socket.socket, timeout_s: float = 0.0) -> bool:
    """Is the other end closed, or closed within that time? Nothing is ever said there."""
    return bool(select.select([channel], [], [], timeout_s)[0])


def _send(channel: socket.socket, *lines: str) -> None:
    channel.send("\n".join(lines).encode(errors="replace")[:LONGEST])


def main() -> None:
    """The program. Its last word is the descriptor."""
    Path("/proc/self/comm").write_text(NAME, encoding="ascii")
    tell(socket.socket(fileno=int(sys.argv[-1])), lambda: JournalTail(MATCHES))
