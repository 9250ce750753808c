"""Configuration of other tools that is taken over."""

from __future__ import annotations

import json
import tomllib

from dmguard.core.imports import css, directlvm
from dmguard.core.imports.imported import ForeignError, Imported
from dmguard.core.settings import parse_settings
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, mutated_text

_CSS = """\
# comment
DEVS="/dev/disk/by-id/a vdc"
VG='docker-vg'; CONTAINER_THINPOOL=pool
DATA_SIZE=90%VG
POOL_META_SIZE=2G
CHUNK_SIZE=256K
POOL_AUTOEXTEND_THRESHOLD=70
export POOL_AUTOEXTEND_PERCENT=30
EXTRA_STORAGE_OPTIONS="--storage-opt dm.basesize=20G --storage-opt dm.fs=ext4"
DEVICE_WAIT_TIMEOUT=90
"""
_OPTIONS = [
    "dm.directlvm_device=/dev/xvdf",
    "dm.thinp_percent=80",
    "dm.thinp_metapercent=5%",
    "dm.thinp_autoextend_threshold=70",
    "dm.thinp_autoextend_percent=10",
]
_BOTH = {
    "daemon": {"storage-driver": "devicemapper", "storage-opts": _OPTIONS},
    "made": {"Device": "/dev/xvdf", "ThinpPercent": 90, "ThinpMetaPercent": 2},
}


def _check(found: Imported) -> None:
    # What is written for dmguard, dmguard takes.
    parse_settings(tomllib.loads(found.settings))
    if found.setup is not None:
        assert all(disk.startswith("/") for disk in found.setup.disks)
        assert found.setup.threshold is None or 50 <= found.setup.threshold < 100


def check_css(data: bytes) -> None:
    try:
        found = css.read(data.decode(errors="surrogateescape"))
    except ForeignError:
        return
    _check(found)


def check_direct(data: bytes) -> None:
    try:
        both = json.loads(data)
        texts = [json.dumps(both[name]) for name in ("daemon", "made")]
    except (ValueError, KeyError, TypeError, RecursionError):
        texts = [data.decode(errors="surrogateescape")] * 2
    for made in (texts[1], ""):
        try:
            found = directlvm.read(texts[0], made)
        except ForeignError:
            continue
        _check(found)


TARGETS = (
    Target("import-css", mutated_text([_CSS], ["VG=", "DATA_SIZE=", "%FREE", "\\\n"]), check_css),
    Target(
        "import-direct",
        mutated_json([_BOTH], ("dm.thinp_percent=", "dm.directlvm_device=", "100%", "-5")),
        check_direct,
    ),
)
