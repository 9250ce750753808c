"""Which PVs answer, by udev's records: without LVM, which waits for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from dmguard.edge.members import answering_members
from dmguard.edge.roots import Roots
from tests.edge.conftest import run

if TYPE_CHECKING:
    from pathlib import Path

MEMBER = "S:disk/by-id/x\nE:ID_FS_TYPE=LVM2_member\nE:ID_FS_VERSION=LVM2 001\n"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


class Host:
    """Devices of a host as files, and what udev has noted of them."""

    def __init__(self, root: Path) -> None:
        self.roots = Roots(sys=root / "sys", dev=root / "dev")
        self.records = root / "data"
        self.records.mkdir()

    def add(self, number: int, name: str, record: str = MEMBER) -> Path:
        folder = self.roots.sys / f"dev/block/8:{number}"
        folder.mkdir(parents=True)
        (folder / "uevent").write_text(f"MAJOR=8\nMINOR={number}\nDEVNAME={name}\nDEVTYPE=disk\n")
        (self.records / f"b8:{number}").write_text(record)
        node = self.roots.dev / name
        node.parent.mkdir(parents=True, exist_ok=True)
        return node

    async def answering(self) -> list[str]:
        found = await answering_members(self.roots, self.records, patience_s=0.2)
        return [os.path.relpath(node, self.roots.dev) for node in found]


def test_members_that_can_be_read_are_told(host: Host) -> None:
    host.add(0, "sda").write_bytes(bytes(512))
    host.add(1, "cciss/c0d0").write_bytes(bytes(8192))
    host.add(2, "sdc", "E:ID_FS_TYPE=ext4\n").write_bytes(b"")
    host.add(3, "sdd", "E:ID_FS_LABEL=E:ID_FS_TYPE=LVM2_member\n").write_bytes(b"")
    (host.records / "c4:64").write_text(MEMBER)
    (host.records / "b8:99").write_text(MEMBER)  # it is gone
    assert run(host.answering()) == ["cciss/c0d0", "sda"]


def test_one_that_is_away_is_left_out(host: Host) -> None:
    host.add(0, "sda").write_bytes(bytes(512))
    host.add(1, "sdb")
    assert run(host.answering()) == ["sda"]


def test_without_udev_there_is_none(tmp_path: Path) -> None:
    assert run(answering_members(records=tmp_path / "none")) == ()
