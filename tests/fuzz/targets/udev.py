"""A disk as udev and sysfs tell of it: anybody makes a USB stick that says what it likes."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pyudev

from dmguard.core.settings import Match
from dmguard.core.settings.parsers import parse_match
from dmguard.edge import udev
from dmguard.edge.udevdb import Appearances, appeared_at
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, mutated_text

if TYPE_CHECKING:
    from dmguard.core.model import Disk

_DISK = {
    "name": "sda",
    "files": {
        "dev": "8:0", "size": "2048", "ro": "0", "removable": "0", "diskseq": "9", "hidden": "0",
        "queue/rotational": "1", "queue/logical_block_size": "512", "queue/zoned": "none",
        "sda1/partition": "1", "sda1/dev": "8:1", "sda1/holders/dm-0/x": "", "slaves/y/x": "",
        "holders/md0/x": "", "device/x": "",
    },
    "properties": {
        "ID_PATH": "pci-0000:00:05.0", "DEVLINKS": "/dev/disk/by-id/wwn-1 /dev/disk/by-path/p",
        "ID_SERIAL_SHORT": "S3Z9", "ID_SERIAL": "Samsung_S3Z9", "ID_WWN": "0x5000", "ID_BUS": "ata",
        "ID_MODEL": "Samsung_SSD", "ID_VENDOR": "Samsung", "ID_FS_TYPE": "ext4", "DISKSEQ": "9",
        "DM_MULTIPATH_DEVICE_PATH": "0", "SYSTEMD_READY": "1", "ID_PART_TABLE_TYPE": "gpt",
    },
    "initialized": True, "usb": False,
}  # fmt: skip
_MAP = {**_DISK, "name": "dm-3", "files": {**_DISK["files"], "dm/uuid": "mpath-36"}}  # type: ignore[dict-item]
_CARD = {**_DISK, "name": "mmcblk0", "usb": True}
_VALUES = ("8:0:1", "8", ":", "a:b", "\udc80\udcff", "x\ny", "\x1b]0;owned\x07", "0x10", "ata ata")


class _Properties(dict[str, str]):
    """As pyudev's, which decodes strictly what it hands out."""

    def get(self, name: str, default: Any = None) -> Any:
        value = super().get(name, default)
        return os.fsencode(value).decode() if isinstance(value, str) else value


class _Device:
    device_type = "disk"

    def __init__(self, told: dict[str, Any]) -> None:
        self.properties = _Properties(told["properties"])
        self.is_initialized = told["initialized"]
        self._usb = told["usb"]

    def find_parent(self, _: str) -> object | None:
        return object() if self._usb else None


def _is_told(told: Any) -> bool:
    """Has it still the shape that sysfs and udev have?"""
    if not isinstance(told, dict) or set(told) != set(_DISK):
        return False
    name, files, properties = told["name"], told["files"], told["properties"]
    if not isinstance(name, str) or not re.fullmatch(r"[^/\0\ud800]{1,99}", name):
        return False
    if name in (".", "..") or not isinstance(files, dict) or not isinstance(properties, dict):
        return False
    values = (*files.values(), *properties.values())
    # What has no bytes cannot come out of a file.
    return all(isinstance(value, str) and "\ud800" not in value for value in values)


def check_disk(data: bytes) -> None:
    try:
        told: Any = json.loads(data)
        told["name"].encode()
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return
    if not _is_told(told):
        return
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / told["name"]
        (base / "slaves").mkdir(parents=True)
        (base / "holders").mkdir()
        for name, text in told["files"].items():
            if ".." in name or name.startswith("/") or len(name) > 200 or not name:
                continue
            path = base / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode(errors="surrogatepass"))
            except (OSError, ValueError):  # no name of a file
                continue
        with (
            patch.object(pyudev.Devices, "from_path", lambda *_: _Device(told)),
            patch.object(udev, "_BLOCK", Path(folder)),
        ):
            disks = udev.read_disks(object())
    assert len(disks) <= 1
    for disk in disks:
        _check(disk, told)


def _check(disk: Disk, told: dict[str, Any]) -> None:
    for text in (disk.path, disk.serial, disk.wwn, disk.model, disk.vendor, disk.bus, disk.content):
        assert text is None or (text and text.isprintable()), text
    assert all(link.isprintable() for link in disk.links)
    assert disk.size == int(told["files"]["size"]) * 512 >= 0
    assert disk.devno >= (0, 0)
    assert disk.sector > 0
    assert (
        disk.ready
        or not told["initialized"]
        or told["properties"].get("SYSTEMD_READY") == "0"
        or (told["properties"].get("DM_UDEV_DISABLE_OTHER_RULES_FLAG") == "1")
    )
    assert disk.identity
    for rule in (
        {"path": "pci-*"},
        {"serial": "[!a"},
        {"link": "*[]*"},
        {"model": "**" * 20 + "b"},
    ):
        match = parse_match(rule)
        assert isinstance(match, Match)
        assert match.takes(disk) in (True, False)


def check_record(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "b8:0").write_bytes(data)
        found = appeared_at((8, 0), root)
        assert found is None or 0 < found < 10**18
        assert Appearances(root).at((8, 0)) == found


TARGETS = (
    Target("udev", mutated_json([_DISK, _MAP, _CARD], _VALUES), check_disk),
    Target(
        "udev-record",
        mutated_text(
            ["S:disk/by-id/wwn-1\nI:1234567\nE:ID_BUS=ata\nG:systemd\nV:1\n"], ["I:", "0"]
        ),
        check_record,
    ),
)
