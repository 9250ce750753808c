"""What is read of raw pools, where a disk may not answer."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from dmguard.core.bare import HEAD
from dmguard.core.plan.raws import raw_obstacle
from dmguard.core.settings import RawRule, Settings
from dmguard.edge import deadline
from dmguard.edge.loopfile import read_head
from dmguard.loop import bare
from dmguard.loop.bare import Below
from tests.edge.conftest import run, until
from tests.unit.bares import make_head

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MIB = 1 << 20


def make_raw(folder: Path, name: str) -> RawRule:
    data, metadata = folder / f"{name}.data", folder / f"{name}.metadata"
    data.touch()
    os.truncate(data, 200 * MIB)
    metadata.write_bytes(make_head().ljust(HEAD, b"\0"))
    return RawRule(name=name, data=str(data), metadata=str(metadata))


def test_metadata_that_does_not_answer_is_no_pool_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = (make_raw(tmp_path, "hangs"), make_raw(tmp_path, "well"))
    alive, reads = threading.Event(), []

    def read(path: str) -> bytes:
        reads.append(path)
        if path == rules[0].metadata and not alive.is_set():
            alive.wait(20)
        return read_head(path)

    monkeypatch.setattr(bare, "read_head", read)
    monkeypatch.setattr(bare, "_HEAD_S", 0.05)
    below = Below(lambda: Settings(raws=rules))

    async def look() -> list[str | None]:
        return [raw_obstacle(raw) for raw in await below.read_heads(below.read_raws(()))]

    async def main() -> None:
        assert await look() == ["raw-no-pool", "pool-inactive"]
        assert await look() == ["raw-no-pool", "pool-inactive"]
        assert reads.count(rules[0].metadata) == 1, "it is not asked again while it does not answer"
        assert reads.count(rules[1].metadata) == 2
        # What was read holds for a glance, which asks no disk.
        assert [raw_obstacle(raw) for raw in below.read_raws(())] == [
            "raw-no-pool",
            "pool-inactive",
        ]
        assert len(reads) == 3
        alive.set()
        await until(lambda: not deadline._asked)
        assert await look() == ["pool-inactive", "pool-inactive"]

    run(main())


def test_a_file_of_the_same_name_is_another(tmp_path: Path) -> None:
    rule = make_raw(tmp_path, "pool")
    below = Below(lambda: Settings(raws=(rule,)))

    async def main() -> None:
        await below.read_heads(below.read_raws(()))

    run(main())
    (raw,) = below.read_raws(())
    assert raw_obstacle(raw) == "pool-inactive"
    (tmp_path / "other").write_bytes(bytes(HEAD))
    (tmp_path / "other").rename(rule.metadata)
    (raw,) = below.read_raws(())
    assert raw_obstacle(raw) == "raw-no-pool"
