"""LVM's answers: reports, configuration, profiles, the list of devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmguard.core import lvmprofile
from dmguard.core.model import Profile
from dmguard.core.names import vg_fault
from dmguard.edge import lvm, lvmconf
from dmguard.edge.run import Completed, RunError
from tests.edge.lvmfake import full_report
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, mutated_text

if TYPE_CHECKING:
    from collections.abc import Coroutine

_GOLDEN = Path(__file__).parents[2] / "edge" / "golden"
_REPORTS = [json.loads(path.read_text()) for path in sorted(_GOLDEN.glob("lvm-*.json"))]
_REPORTS.append(json.loads(full_report()))
_VALUES = (
    "thin-pool", "thin", "4096", "18446744073709551616", "[unknown]", "wz--n-", "active", "-y",
    "a b", "[x]", "07",
)  # fmt: skip

_VOLUMES = {
    "report": [
        {
            "lv": [
                {"vg_uuid": "v", "lv_uuid": "a-b", "lv_name": "pool", "pool_lv": "",
                 "segtype": "thin-pool", "lv_size": "1000", "discards": "passdown",
                 "seg_monitor": "monitored"},
                {"vg_uuid": "v", "lv_uuid": "c", "lv_name": "vol", "pool_lv": "pool",
                 "segtype": "thin", "lv_size": "4000", "discards": "", "seg_monitor": ""},
            ]
        }
    ]
}  # fmt: skip

_CONF = """\
activation {
	thin_pool_autoextend_threshold=70
	thin_pool_autoextend_percent=20
	volume_list=["vg1","vg2/lvol1","@tag\\"1"]
	monitoring=1
}
global {
	thin_check_executable="/usr/sbin/thin_check"
}
devices {
	use_devicesfile=0
	devicesfile="system.devices"
	global_filter=["a|.*|"]
}
"""
_DEVICES = """\
# LVM uses devices listed in this file.
HASH=4097012345
PRODUCT_UUID=1234
VERSION=1.1.2
IDTYPE=sys_wwid IDNAME=naa.5000c500a DEVNAME=/dev/sda2 PVID=F1Kdp0AXNUyxUSPDjXtGxydad1tGlaSZ PART=2
IDTYPE=devname IDNAME=/dev/vdb DEVNAME=/dev/vdb PVID=.
"""
_PROFILE = """\
activation {
	thin_pool_autoextend_threshold=70
	thin_pool_autoextend_percent=20
}
"""


def ended(text: str, status: int = 0, stderr: str = "") -> Completed:
    return Completed(("lvm",), status, text, stderr, 0.0)


class Answers:
    """A runner of which every command answers alike, at once."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed

    async def read(self, *_: object, **__: object) -> Completed:
        return self.completed


def at_once(main: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        main.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def _numbers(vg: Any) -> list[int | None]:
    pvs = [n for pv in vg.pvs for n in (pv.size, pv.free, pv.data_start, pv.device_size)]
    pools = [n for lv in vg.pools for n in (lv.size, lv.metadata_size, lv.chunk, lv.thin_count)]
    return [vg.size, vg.extent, vg.seqno, vg.spare, *pvs, *pools, *(v.size for v in vg.volumes)]


def _said(value: Any) -> set[str]:
    """Every plain value of a document, as text."""
    if isinstance(value, dict):
        return {text for its in value.values() for text in _said(its)}
    if isinstance(value, list):
        return {text for its in value for text in _said(its)}
    return {str(value)}


def check_report(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        vgs = lvm.parse_report(text, twins={"a"})
    except lvm.ReportError as error:
        assert str(error)
        return
    said = _said(json.loads(text))
    for vg in vgs:
        assert isinstance(vg.name, str)
        assert isinstance(vg.uuid, str)
        for number in _numbers(vg):
            assert number is None or (type(number) is int and number >= 0)
            assert number is None or str(number) in said, "LVM did not say this number"
        assert all(isinstance(pv.name, str) for pv in vg.pvs)
        names = [vg.name, *(volume.name for volume in vg.volumes)]
        names += [name for lv in vg.pools for name in (lv.name, *lv.active_components)]
        assert not any(map(vg_fault, names)), f"of {names} one may reach a command"
        for profile in (vg.profile, *(lv.profile for lv in vg.pools)):
            assert profile is None or isinstance(profile, str)
    for status in (0, 5):
        try:
            at_once(lvm._read_once(Answers(ended(text, status)), (), ()))  # type: ignore[arg-type]
        except RunError:
            raise AssertionError("a whole report was not taken") from None


def check_volumes(data: bytes) -> None:
    text = data.decode(errors="replace")
    try:
        found = lvmconf.parse_volumes(text)
    except lvm.ReportError:
        return
    volumes = found.volumes.values()
    uuids = (*found.volumes, *found.monitored, *found.owned)
    names = (name for v in volumes for name in v.active)
    assert all(isinstance(text, str) for text in (*uuids, *names))
    assert all(isinstance(text, str) for pair in found.owned.values() for text in pair)
    assert all(type(v.virtual) is int and v.virtual >= 0 for v in volumes)
    assert all(isinstance(v.discards, str) for v in volumes)


def check_conf(data: bytes) -> None:
    text = data.decode(errors="replace")
    values = lvmconf.parse_config(text)
    conf = lvmconf.make_conf(values, Path("/nonexistent"))
    assert type(conf.threshold) is int
    profile = lvm.parse_profile(text)
    assert profile is None or type(profile.threshold) is int


def check_devices(data: bytes) -> None:
    for entry in lvmconf.parse_devices(data.decode(errors="replace")):
        assert entry.kind
        assert entry.name
        assert not any(char.isspace() for char in entry.name + entry.pv_uuid)


def check_profile(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    wanted = Profile(65, 15)
    lvmprofile.extends(text)
    edited = lvmprofile.with_settings(text, wanted)
    assert lvmprofile.read_settings(edited) == {"threshold": 65, "percent": 15}
    assert lvmprofile.with_settings(edited, wanted) == edited


TARGETS = (
    Target("lvm-report", mutated_json(_REPORTS, _VALUES), check_report),
    Target("lvm-volumes", mutated_json([_VOLUMES], _VALUES), check_volumes),
    Target("lvm-conf", mutated_text([_CONF, _PROFILE], ["=²", "=--5", '="']), check_conf),
    Target("lvm-devices", mutated_text([_DEVICES], ["IDTYPE=", "IDNAME=", "PVID="]), check_devices),
    Target(
        "lvm-profile",
        mutated_text([_PROFILE, "", "thin_pool_autoextend_threshold = 1"], ["=", "activation/"]),
        check_profile,
    ),
)
