"""When the bench does not measure on the host that it runs on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.bench.kept import Kept
from tests.bench.refusals import Facts, refusals

if TYPE_CHECKING:
    from pathlib import Path

FREE = Facts("/scratch")
GIB = 1 << 30


def test_a_host_that_has_nothing_to_lose_is_measured_on() -> None:
    assert refusals(FREE, 24 * GIB) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scratch": ""}, "SCRATCH="),
        ({"root": False}, "only root"),
        ({"is_directory": False}, "/scratch is not a directory"),
        ({"entries": 1}, "/scratch is not empty"),
        ({"free": 23 * GIB}, "23.0 GiB free of 24.0 needed"),
        ({"missing": ("dmguard",)}, "not installed: dmguard"),
        ({"device_mapper": False}, "no device-mapper"),
        ({"agent": "active"}, "dmguard.service is active"),
        ({"agent": "activating"}, "dmguard.service is activating"),
        ({"groups": ("root", "bench")}, "volume group bench"),
        ({"pools": ("docker/thinpool",)}, "thin pools: docker/thinpool"),
        ({"monitored": ("vg/mirror",)}, "dmeventd monitors vg/mirror"),
        ({"settings": ("/etc/dmguard/conf.d/a.toml",)}, "more settings: /etc/dmguard/conf.d/a"),
    ],
)
def test_each_thing_that_would_be_disturbed_is_a_reason(change: dict[str, Any], said: str) -> None:
    (why,) = refusals(replace(FREE, **change), 24 * GIB)
    assert said in why


def test_an_agent_that_has_failed_is_not_running() -> None:
    assert refusals(replace(FREE, agent="failed"), 0) == []


def test_files_are_put_back_byte_for_byte(tmp_path: Path) -> None:
    same, changed, gone = (tmp_path / name for name in ("same", "changed", "gone"))
    for file in (same, changed, gone):
        file.write_bytes(b"\0as it was\n")
    changed.chmod(0o640)
    kept = Kept.now([f"{tmp_path}/*", f"{tmp_path}/folder/*"])
    before = same.stat().st_mtime_ns

    changed.unlink()
    changed.write_bytes(b"other")
    gone.unlink()
    (tmp_path / "more").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "more").touch()
    kept.restore()

    assert {file.name for file in tmp_path.iterdir()} == {"same", "changed", "gone"}
    assert {file.read_bytes() for file in tmp_path.iterdir()} == {b"\0as it was\n"}
    assert changed.stat().st_mode & 0o777 == 0o640
    assert same.stat().st_mtime_ns == before


def test_files_are_saved_by_their_whole_paths(tmp_path: Path) -> None:
    file = tmp_path / "one" / "file"
    file.parent.mkdir()
    file.write_bytes(b"\0")
    Kept.now([f"{tmp_path}/one/*"]).save(tmp_path / "kept")
    assert (tmp_path / "kept" / file.relative_to("/")).read_bytes() == b"\0"
