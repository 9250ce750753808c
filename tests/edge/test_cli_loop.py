"""dmguard loop, and what status and plan tell of pools that are none of LVM's."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from dmguard.app.cli import main
from dmguard.edge.config import load_settings
from dmguard.edge.dm import Control
from dmguard.edge.loopdev import Loops
from dmguard.edge.run import SEARCH_PATH, Runner
from dmguard.loop.bare import Below
from dmguard.loop.observe import Observer
from dmguard.loop.record import Paths
from tests.edge.conftest import script
from tests.edge.dmfake import Device, Kernel
from tests.edge.loopfake import LoopHost
from tests.edge.lvmfake import full_report
from tests.edge.schema import check
from tests.unit.bares import make_head

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]

MIB = 1 << 20
NAME = "docker-8:1-15970-pool"
OTHER = "devpool"


class Host:
    """Docker's pool of 200 MiB, 80 % full, on two files; LVM has nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kernel = Kernel([self.pool(NAME)])
        self.loops = LoopHost(root, 4)
        self.data, self.metadata = root / "data", root / "metadata"
        for name, file, size in (("loop0", self.data, 200), ("loop1", self.metadata, 16)):
            file.touch()
            os.truncate(file, size * MIB)
            self.loops.attach(name, file)

    def pool(self, name: str) -> Device:
        return Device(
            name,
            "",
            (253, 0),
            status="2 400/4096 2560/3200 - rw discard_passdown queue_if_no_space - 1024 ",
            table="7:1 7:0 128 32768 1 skip_block_zeroing ",
            sectors=409600,
        )

    def open(self) -> Control:
        return Control(os.open(self.root, os.O_RDONLY), self.kernel.ioctl)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    empty = json.loads(full_report())
    for report in empty["report"]:
        for name in report:
            report[name] = []
    (tmp_path / "answer").write_text(json.dumps(empty))
    script(tmp_path / "bin", "lvm", f"cat {tmp_path}/answer")
    loops = Loops(host.loops.sys, host.loops.dev, host.loops.ioctl)
    monkeypatch.setattr(
        "dmguard.app.wiring.Runner", partial(Runner, f"{tmp_path}/bin:{SEARCH_PATH}")
    )
    monkeypatch.setattr("dmguard.app.wiring.Observer", partial(Observer, open_control=host.open))
    monkeypatch.setattr("dmguard.app.wiring.Below", partial(Below, loops=loops))
    paths = Paths(run=tmp_path / "run", lib=tmp_path / "lib")
    monkeypatch.setattr("dmguard.app.wiring.Paths", lambda: paths)
    monkeypatch.setattr(
        "dmguard.edge.config.load_settings", partial(load_settings, tmp_path / "etc")
    )
    return host


def values(command: str, capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = check(command, capsys.readouterr().out)
    return found


def test_the_status_shows_both_files_of_a_pool(host: Host, capsys: Capture) -> None:
    assert main(["loop", "status", "--json"]) == 0
    (pool,) = values("loop", capsys)["pools"]
    assert (pool["name"], pool["docker"], pool["low_water"]) == (NAME, True, 32768)
    assert (pool["data"]["file"], pool["data"]["size"]) == (str(host.data), 200 * MIB)
    assert (pool["metadata"]["file"], pool["metadata"]["used"]) == (str(host.metadata), 400 * 4096)
    assert main(["loop", "status"]) == 0
    shown = capsys.readouterr().out
    assert str(host.data) in shown
    assert "80.00 %" in shown


def test_a_host_without_such_a_pool_has_nothing_to_show(host: Host, capsys: Capture) -> None:
    host.kernel.devices.clear()
    assert main(["loop", "status"]) == 0
    assert capsys.readouterr().out == "no thin pool on loop devices\n"
    assert main(["loop", "resize", "1GiB"]) == 3
    assert "[no-such-pool]" in capsys.readouterr().err


def test_the_status_of_the_host_has_it_too(host: Host, capsys: Capture) -> None:
    assert main(["status", "--json"]) == 0
    assert [pool["name"] for pool in values("status", capsys)["loops"]] == [NAME]
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert NAME in shown
    assert "[loop-not-grown]" in shown
    host.kernel.devices.clear()
    assert main(["status"]) == 0
    assert "no thin pools on this host" in capsys.readouterr().out


def test_a_dry_run_changes_nothing_and_says_how(host: Host, capsys: Capture) -> None:
    assert main(["loop", "resize", "+100MiB", "--metadata", "32MiB", "-n", "--json"]) == 0
    found = values("loop", capsys)
    assert [action["resource"] for action in found["planned"]] == ["metadata", "data"]
    assert found["planned"][1]["commands"][0] == f"truncate --size {300 * MIB} {host.data}"
    assert found["done"] == []
    assert host.data.stat().st_size == 200 * MIB
    assert main(["loop", "resize", "+100MiB", "-n", "--pool", "docker"]) == 0
    assert f"dmsetup load {NAME} --table" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["100MiB"], 4, "loop-shrink"),
        (["200MiB"], 0, "not-larger"),
        (["4000000TiB"], 4, "loop-no-space"),
        (["1GiB", "--pool", OTHER], 3, "no-such-pool"),
    ],
)
def test_a_refusal_has_its_code(
    host: Host, capsys: Capture, words: list[str], status: int, code: str
) -> None:
    assert main(["loop", "resize", *words, "--json"]) == status
    assert [row["code"] for row in values("loop", capsys)["refused"]] == [code]
    assert host.data.stat().st_size == 200 * MIB


def test_one_of_several_has_to_be_named(host: Host, capsys: Capture) -> None:
    host.kernel.devices.append(host.pool(OTHER))
    assert main(["loop", "resize", "1GiB"]) == 4
    assert f"{OTHER}, {NAME} [loop-several]" in capsys.readouterr().err
    assert main(["loop", "resize", "300MiB", "-n", "--pool", OTHER]) == 0
    assert f"dmsetup resume --noflush --nolockfs {OTHER}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["resize"], ["resize", "1GB"], ["resize", "max"], []])
def test_a_wrong_line_is_a_usage_error(words: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["loop", *words])
    assert caught.value.code == 2
    assert "usage: dmguard loop" in capsys.readouterr().err


def test_a_pool_that_is_not_understood_blinds_nobody(host: Host, capsys: Capture) -> None:
    host.kernel.devices[0].table = "who knows"
    assert main(["status"]) == 0
    assert "no thin pools on this host" in capsys.readouterr().out


RAW = """[[raw_pool]]
name = "devpool"
data = "{0}/raw"
metadata = "{0}/head"
"""


def test_a_raw_pool_is_activated_as_its_files_are(host: Host, capsys: Capture) -> None:
    config = host.root / "etc" / "dmguard.toml"
    config.parent.mkdir()
    config.write_text(RAW.format(host.root))
    assert main(["activate", "-n", "--json"]) == 0
    assert values("activate", capsys)["planned"] == []
    (host.root / "head").write_bytes(make_head())
    (host.root / "raw").touch()
    os.truncate(host.root / "raw", 100 * MIB)
    assert main(["activate", "-n", "--json"]) == 0
    (action,) = values("activate", capsys)["planned"]
    assert (action["act"], action["pool"], action["size"]) == ("activate-raw", OTHER, 100 * MIB)
    host.loops.attach("loop2", host.root / "raw")
    host.loops.attach("loop3", host.root / "head")
    up = host.pool(OTHER)
    up.table = "7:3 7:2 128 400 0 "
    host.kernel.devices.append(up)
    assert main(["activate", "-n", "--json"]) == 0
    assert values("activate", capsys)["planned"] == []
    assert main(["plan"]) == 0
    assert "raw-" not in capsys.readouterr().out
    up.table = "7:1 7:2 128 400 0 "
    assert main(["plan"]) == 0
    assert "[raw-taken]" in capsys.readouterr().out
