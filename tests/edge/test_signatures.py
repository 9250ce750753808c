"""edge/signatures: what wipefs, blkid and we know is named; two that contradict are an error."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Probe
from dmguard.edge.run import SEARCH_PATH
from tests.edge.conftest import script
from tests.edge.diskcontents import (
    bcache,
    dos,
    ext4,
    gpt,
    gpt_4k_backup,
    gpt_backup,
    luks,
    lvm,
    md_0_90,
    md_1_0,
    md_1_2,
    swap,
)
from tests.edge.diskfake import EVERYWHERE, Host, filled, looked_at, make_host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.edge.diskcontents import Content


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(
    ("content", "signature", "data_at"),
    [
        (ext4, "ext4 at 0x438", 1025),
        (swap, "swap at 0xff6", 1024),
        (luks, "crypto_LUKS at 0x0", 0),
        (bcache, "bcache at 0x1018", 4104),
        (md_0_90, "linux_raid_member at 0x17f0000", 0x17F0000),
        (md_1_0, "linux_raid_member at 0x17fe000", 0x17FE000),
        (md_1_2, "linux_raid_member at 0x1000", 4096),
    ],
)
def test_what_blkid_knows_is_named(
    tmp_path: Path, content: Content, signature: str, data_at: int, place: str
) -> None:
    seen = looked_at(filled(tmp_path, content), place)
    assert seen == Probe(signatures=(signature,), data_at=data_at)


@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_physical_volume(tmp_path: Path, place: str) -> None:
    seen = looked_at(filled(tmp_path, lvm), place)
    assert seen == Probe(signatures=("LVM2_member at 0x218",), pv_label=True, data_at=512)


@pytest.mark.parametrize("place", EVERYWHERE)
@pytest.mark.parametrize(
    ("content", "tables"),
    [
        (dos, {"dos at 0x1fe": "dos"}),
        (
            gpt,
            {
                "gpt at 0x200": "gpt",
                "PMBR at 0x1fe": "PMBR",
                "gpt (backup) at 0x17ffe00": "gpt (backup)",
            },
        ),
        (gpt_backup, {"gpt (backup) at 0x17ffe00": "gpt (backup)"}),
        (gpt_4k_backup, {"gpt (backup) at 0x17ff000": "gpt (backup)"}),
    ],
)
def test_partition_tables(
    tmp_path: Path, content: Content, tables: dict[str, str], place: str
) -> None:
    seen = looked_at(filled(tmp_path, content), place)
    assert (seen.error, seen.signatures, seen.tables) == (
        None,
        tuple(tables),
        tuple(tables.values()),
    )
    assert seen.data_at is not None


def test_two_signatures_that_contradict_each_other(tmp_path: Path) -> None:
    def both(disk: bytearray) -> None:
        ext4(disk)
        swap(disk)

    seen = filled(tmp_path, both).look()
    assert seen == Probe(error=seen.error)
    assert str(seen.error).endswith("blkid cannot decide between several signatures")


def test_one_below_another_is_named_too(tmp_path: Path) -> None:
    def both(disk: bytearray) -> None:
        ext4(disk)
        md_1_2(disk)

    names = {"linux_raid_member at 0x1000", "ext4 at 0x438"}
    assert set(filled(tmp_path, both).look().signatures) == names


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("blkid", "exit 4", "blkid: blkid ended with status 4"),
        ("blkid", "echo broken >&2; exit 2", "blkid: broken"),
        ("blkid", "echo DEVNAME=disk", "blkid found something that it does not name"),
        ("blkid", "kill -9 $$", "blkid: blkid ended with status -9"),
        ("wipefs", "exit 1", "wipefs ended with status 1"),
        ("wipefs", "echo '{'", "wipefs gave an answer that is none"),
        ("wipefs", "echo '{}'", "wipefs gave an answer that is none"),
        (
            "wipefs",
            'echo \'{"signatures": [{"type": "x"}]}\'',
            "wipefs gave an answer that is none",
        ),
    ],
)
def test_a_tool_that_does_not_end_well(
    host: Host, tmp_path: Path, name: str, text: str, complaint: str
) -> None:
    script(tmp_path / "bin", name, text)
    seen = host.look(path=f"{tmp_path / 'bin'}:{SEARCH_PATH}")
    assert seen == Probe(error=seen.error)
    assert complaint in str(seen.error)


@pytest.mark.parametrize("missing", ["blkid", "wipefs"])
def test_a_tool_that_is_not_there(host: Host, tmp_path: Path, missing: str) -> None:
    (tmp_path / "bin").mkdir()
    for name in {"blkid", "wipefs"} - {missing}:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name, path=SEARCH_PATH)))
    assert f"{missing}: not found in" in str(host.look(path=str(tmp_path / "bin")).error)


def test_blkid_alone_may_know_it(host: Host, tmp_path: Path) -> None:
    text = "printf 'DEVNAME=x\\nTYPE=zfs_member\\nPTTYPE=atari\\nLABEL=TYPE=no\\n'"
    script(tmp_path / "bin", "blkid", text)
    seen = host.look(path=f"{tmp_path / 'bin'}:{SEARCH_PATH}")
    assert seen == Probe(signatures=("zfs_member", "atari"), tables=("atari",))
