"""A whole host around a pool: what is found on it, and what cures that."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from dmguard.core.codes import CODES
from dmguard.core.consumers.flags import Flags
from dmguard.core.goals import Examine
from dmguard.core.host import FileText, Host
from dmguard.core.plan import Past, make_plan
from dmguard.core.steps import every_step
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json
from tests.unit.around import DAEMON_JSON, GROWS, HOST, POOL, around, told
from tests.unit.builders import make_settings

if TYPE_CHECKING:
    from typing import Any

_OPTIONS = [
    "dm.thinpooldev=/dev/mapper/vg-pool", "dm.min_free_space=10%", "dm.thinp_percent=80",
    "dm.thinp_metapercent=5", "dm.use_deferred_removal=true", "overlay2.size=1G",
]  # fmt: skip
_TOLD: dict[str, Any] = {
    "daemon": json.dumps({"storage-driver": "devicemapper", "storage-opts": _OPTIONS}),
    "containerd": 'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name="x"',
    "kubelet": "evictionHard:\n  imagefs.available: 15%\n",
    "css": "VG=docker\nDEVS=/dev/vdb\n",
    "profile": GROWS,
    "version": "20.10.24+dfsg1",
    "flags": ["--storage-opt", "dm.fs=xfs"],
}
_OLD = {
    **_TOLD,
    "daemon": '{"storage-opts": ["dm.min_free_space=3", "dm.fs=xfs"]}',
    "version": "24",
}
_VALUES = (
    "dm.min_free_space=\u00b2", "dm.thinpooldev=/dev/mapper/vg-pool", "\u00b2.0", "25.0.1", "{}",
    '{"storage-opts": ["dm.min_free_space=\u00b2", "dm.thinpooldev=/dev/mapper/vg-pool"]}',
    '{"storage-opts": ["dm.thinp_percent=\u00b2", "dm.thinp_metapercent=9"]}', "evictionHard: {}",
)  # fmt: skip


def _text(told: dict[str, Any], name: str) -> str:
    return value if isinstance(value := told.get(name), str) else ""


def _host(told: dict[str, Any]) -> Host:
    paths = (
        (DAEMON_JSON, "daemon"), ("/etc/containerd/config.toml", "containerd"),
        ("/var/lib/kubelet/config.yaml", "kubelet"),
        ("/etc/sysconfig/docker-storage-setup", "css"),
    )  # fmt: skip
    flags = told.get("flags")
    words = [word for word in flags if isinstance(word, str)] if isinstance(flags, list) else []
    return replace(
        HOST,
        files={path: FileText(text) for path, name in paths if (text := _text(told, name))},
        profiles={"vg-pool": _text(told, "profile")},
        docker_version=_text(told, "version") or None,
        flags={"docker": Flags(options=tuple(words))},
    )


def check_host(data: bytes) -> None:
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(values, dict):
        return
    state = around(POOL, _host(values))
    settings = make_settings()
    told(state, settings)
    plan = make_plan(state, settings, Past(), Examine())
    for finding in plan.findings:
        assert finding.code in CODES
    for action in plan.actions:
        assert every_step(action)


TARGETS = (Target("doctor", mutated_json([_TOLD, _OLD], _VALUES), check_host),)
