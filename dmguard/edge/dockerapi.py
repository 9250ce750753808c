"""Docker's own word on itself, over its socket: no client has to be there, or to be started."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SOCKET = "run/docker.sock"
_PATIENCE_S = 20.0
_LARGEST = 4 << 20
# Of HTTP/1.0 the end of the answer is the end of the connection, and the answer is in one piece.
_REQUEST = b"GET /info HTTP/1.0\r\nHost: docker\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Engine:
    """What a running Docker says: its version, and the device-mapper name of its pool."""

    version: str | None = None
    pool: str | None = None


async def ask_docker(socket: Path, patience_s: float = _PATIENCE_S) -> Engine:
    """What Docker says; nothing if it does not answer. To ask starts it, if systemd listens."""
    try:
        async with asyncio.timeout(patience_s):
            answer = await _get(socket)
    except (OSError, TimeoutError):
        return Engine()
    return parse_answer(answer)


async def _get(socket: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(socket)
    try:
        writer.write(_REQUEST)
        await writer.drain()
        pieces, size = [], 0
        while size < _LARGEST and (piece := await reader.read(1 << 16)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)
    finally:
        writer.close()


def parse_answer(answer: bytes) -> Engine:
    """An answer of HTTP to /info; nothing is known from any other."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"200"]:
        return Engine()
    try:
        said: dict[str, Any] = json.loads(body)
        version = said.get("ServerVersion")
        pairs = said.get("DriverStatus") or []
        pool = next((value for key, value in pairs if key == "Pool Name"), None)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Engine()
    if not isinstance(pool, str | None) or pool == "":
        return Engine()
    return Engine(version if isinstance(version, str) and version else None, pool)
