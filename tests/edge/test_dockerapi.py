"""Docker's own word, over a real socket with somebody else behind it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from dmguard.edge.dockerapi import Engine, ask_docker, parse_answer
from tests.edge.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

INFO = {
    "ServerVersion": "20.10.24+dfsg1",
    "DriverStatus": [["Pool Name", "docker-thinpool"], ["Pool Blocksize", "524.3kB"]],
}
OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"


def answer(**info: object) -> bytes:
    return OK + json.dumps(info).encode()


async def ask(socket: Path, said: bytes | None, patience_s: float = 10.0) -> tuple[Engine, bytes]:
    """What is understood of an answer in two pieces, None for none at all; and the question."""
    asked: list[bytes] = []
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if said is None:
            await done.wait()
        else:
            writer.write(said[:40])
            await writer.drain()
            writer.write(said[40:])
        writer.close()

    async with await asyncio.start_unix_server(serve, socket):
        engine = await ask_docker(socket, patience_s)
        done.set()
    return engine, asked[0]


def test_docker_is_asked_over_its_socket(tmp_path: Path) -> None:
    engine, asked = run(ask(tmp_path / "s", answer(**INFO)))
    assert engine == Engine("20.10.24+dfsg1", "docker-thinpool")
    assert asked.startswith(b"GET /info HTTP/1.0\r\n")


def test_one_that_does_not_answer_says_nothing(tmp_path: Path) -> None:
    assert run(ask_docker(tmp_path / "none")) == Engine()
    engine, _ = run(ask(tmp_path / "s", None, patience_s=0.1))
    assert engine == Engine()


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        (answer(ServerVersion="24.0.9", DriverStatus=None), Engine("24.0.9")),
        (answer(DriverStatus=[["Backing Filesystem", "extfs"]]), Engine()),
        (answer(ServerVersion="", DriverStatus=[["Pool Name", "p"]]), Engine(None, "p")),
        (answer(ServerVersion="1", DriverStatus=[1]), Engine()),
        (OK + b"null", Engine()),
        (OK + b"{", Engine()),
        (answer(**INFO).replace(b"200 OK", b"500 Internal Server Error"), Engine()),
        (b"", Engine()),
    ],
)
def test_what_is_not_understood_tells_nothing(said: bytes, engine: Engine) -> None:
    assert parse_answer(said) == engine
