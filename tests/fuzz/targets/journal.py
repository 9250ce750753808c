"""Journal entries: what a sender writes is not believed, whatever it is."""

from __future__ import annotations

import asyncio
import json
import re
import selectors
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from dmguard.core.hints import hint
from dmguard.edge import systemd
from dmguard.edge.sources.journal import _Calm
from dmguard.edge.sources.teller import _BATCH
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json

if TYPE_CHECKING:
    from tests.fuzz.dice import Dice

_TPOOL = "docker-thinpool-tpool"
WORDS = (
    "device-mapper: thin: 254:3: reached low water mark for data device: sending event.",
    "device-mapper: thin: 254:3: switching pool to read-only mode",
    f"WARNING: Thin pool {_TPOOL} data is now 85.00% full.",
    f"Failed command for {_TPOOL}.",
    "Insufficient free space: 80 extents needed, but only 67 available",
    (
        "devmapper: Thin Pool has 132 free data blocks which is less than minimum required 163840"
        " free data blocks. Create more free space in thin pool"
    ),
    "failed to start daemon: devicemapper: Non existing device docker-thinpool",
    "devmapper: thin pool not exists",
    r'msg="failed to query pool \"/dev/mapper/docker-thinpool\": no such device or address"',
)
_SPEAKERS = ("dmeventd", "dockerd", "isulad", "containerd")
_VALUES = (
    *WORDS, *_SPEAKERS, "kernel", "0", "1000", "journal", "stdout", "\n".join(WORDS), "0\n0",
    WORDS[0] * 60, "devicemapper: Non existing device " * 120, "Failed command for " + "a." * 2000,
    ["0", "1000"], ["dmeventd", "bash"],
)  # fmt: skip
_ENTRIES = [
    {"_TRANSPORT": transport, "_COMM": comm, "_UID": uid, "_SYSTEMD_UNIT": "docker.service",
     "SYSLOG_IDENTIFIER": comm, "MESSAGE": words, "PRIORITY": "4", "COMM": "dmeventd", "UID": "0"}
    for words in WORDS
    for transport, comm, uid in (
        ("kernel", "", ""), ("stdout", "dockerd", "0"), ("syslog", "dmeventd", "0"),
        ("journal", "containerd", "0"), ("syslog", "logger", "1000"),
        ("syslog", "dmeventd", "1000"),
    )
]  # fmt: skip
_ENTRIES += [{**entry, "CONTAINER_ID": "0123456789ab"} for entry in _ENTRIES[:12]]


def _as_sent(value: Any) -> Any:
    """As the journal's library hands it on: bytes, or a list of them."""
    if isinstance(value, list):
        return [_as_sent(one) for one in value]
    return value.encode(errors="surrogatepass") if isinstance(value, str) else value


def check_entry(data: bytes) -> None:
    try:
        sent = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(sent, dict):
        return
    entry = {name: systemd._text(_as_sent(value)) for name, value in sent.items()}
    assert all(len(value) <= 4096 for value in entry.values())
    found = hint(entry)
    trusted = entry.get("_TRANSPORT") == "kernel" or (
        entry.get("_UID") == "0" and entry.get("_COMM") in _SPEAKERS
    )
    container = any(name in entry for name in ("CONTAINER_ID", "CONTAINER_NAME"))
    if not trusted or container:
        assert found is None, "somebody was believed who is not to be"
    if found is not None:
        assert re.fullmatch(r"[\w+.:#@=-]{1,128}", found, re.ASCII), found
        assert entry["MESSAGE"]


class _Clock(asyncio.SelectorEventLoop):
    """A loop that does not wait: where it would, its clock goes on."""

    def __init__(self) -> None:
        clock = self

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> list[Any]:
                clock.now += timeout or 0.0
                return super().select(0)

        self.now = 0.0
        super().__init__(Selector())

    def time(self) -> float:
        return self.now


def check_flood(data: bytes) -> None:
    """Each byte is a subject or a pause. What is said wakes within a second, and never often."""
    loop = _Clock()
    said: list[float] = []
    wakes: list[float] = []

    async def main() -> None:
        calm = _Calm(lambda _: wakes.append(loop.now))
        for byte in data:
            if byte >= 0xF0:
                await asyncio.sleep((byte - 0xEF) / 8)
            else:
                calm.say(f"subject {byte}")
                said.append(loop.now)
        await asyncio.sleep(2)
        calm.close()

    try:
        loop.run_until_complete(main())
    finally:
        loop.close()
    # Eight subjects and the one for all others; a window's own ends fall together with new ones.
    for number, begin in enumerate(wakes):
        assert bisect_left(wakes, begin + 1) - number <= 2 * 9
    assert len(wakes) <= 9 * (loop.now + 1)
    for at in said:
        after = bisect_left(wakes, at)
        assert after < len(wakes), "nobody is woken"
        assert wakes[after] <= at + 1.001, "it is told late"


def _flood(dice: Dice) -> bytes:
    """Few subjects or many, and pauses between."""
    most = dice.one((0, 7, 15, 255))
    kinds = ((0, most), (0, most), (0xF0, 0xFF))
    return bytes(dice.number(*dice.one(kinds)) for _ in range(dice.number(0, 4 * _BATCH)))


TARGETS = (
    Target("journal", mutated_json(_ENTRIES, _VALUES), check_entry),
    Target("journal-flood", _flood, check_flood),
)
