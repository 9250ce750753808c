"""What the resident LVM's client reads from its server."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from dmguard.edge.resident.client import Resident
from dmguard.edge.run import Completed
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_text

if TYPE_CHECKING:
    from collections.abc import Callable

_SEEDS = (
    "0\00012582912\0  Size of logical volume vg/pool changed.\n\0",
    "5\00012582912\0\0  Insufficient free space: 80 extents needed\n",
    "-1\0001\0\0",
    "0\0004096\0\0",
)


class _Works:
    """The writers' thread, without the thread."""

    writing = False

    async def work(self, _: str, function: Callable[[], Any]) -> Any:
        return function()


class _Alive:
    alive = True


def _is_number(text: bytes, most: int) -> bool:
    return text.isdigit() and len(text) <= most


def check_answer(data: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open("/dev/null", "rb") as lock:  # noqa: PTH123 - one descriptor
        theirs.settimeout(1)
        if data:
            theirs.send(data)
        else:
            theirs.close()
        resident = Resident(_Works(), (), lambda: 1)  # type: ignore[arg-type]
        resident._channel, resident._kept = ours, _Alive()  # type: ignore[assignment]
        completed = asyncio.run(resident.change(["lvextend", "vg/pool"], stdin=lock.fileno()))
        assert isinstance(completed, Completed)
        assert not resident._busy, "it is never asked again"
        # Of what is not understood it is not known what was done.
        parts = data.split(b"\0", 3)
        if (
            data.count(b"\0") == 3
            and _is_number(parts[0].removeprefix(b"-"), 9)
            and _is_number(parts[1], 18)
        ):
            assert completed.status == int(parts[0])
        else:
            assert completed.status < 0
            assert not resident.ready


TARGETS = (Target("resident", mutated_text(_SEEDS, ["\0", "\0\0\0"]), check_answer),)
