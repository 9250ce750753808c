"""What a power cut left, as it is before dmguard is started again; and what is there at the end."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.edge.schema import check
from tests.lab.lvmkit import dm_name
from tests.torture.watch import INTENTS
from tests.vm.kit import LIB

if TYPE_CHECKING:
    from tests.lab.machine import Machine

ON_PURPOSE = "activation-off"
"""The code of a pool that is left down because LVM was told not to activate it."""
# Read only: nothing is repaired or locked. udev may know of no disk yet.
_LVM = (
    "--readonly --noheadings --nosuffix --units b --config devices/obtain_device_list_from_udev=0"
)
_REPORT = (
    f"{{ pvs {_LVM} -O pv_name -o pv_name,vg_name,pv_size,pv_tags;"
    f" lvs -a {_LVM} -O vg_name,lv_name -o vg_name,lv_name,lv_size; }}"
)
_UNIT = f"""[Unit]
Description=Note what the last power cut left
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service
Before=dmguard.service dmguard-activate.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cp -a {LIB} /run/left; {_REPORT} > /run/left.lvm'

[Install]
WantedBy=dmguard.service dmguard-activate.service
"""


@dataclass(frozen=True)
class Scene:
    """The history, the intents and LVM's own report at one moment."""

    history: list[dict[str, Any]]
    intents: frozenset[str]
    lvm: list[list[str]]

    def told(self, action: str, subject: str) -> list[dict[str, Any]]:
        """The acts on a pool or a disk that the history calls done."""
        return [
            entry
            for entry in self.history
            if (entry["action"], entry["result"]) == (action, "done")
            and subject in (entry["pool"], entry["disk"], entry["vg"])
            and entry["code"] != "finding-cleared"
        ]

    def has_told(self, before: Scene, action: str, subject: str) -> bool:
        """Is there one more than there was?"""
        return len(self.told(action, subject)) > len(before.told(action, subject))


def install(m: Machine) -> None:
    """From the next boot on."""
    m.put("/etc/systemd/system/witness.service", _UNIT)
    m.run("systemctl enable -q witness && sync")


def look(m: Machine) -> Scene:
    """How it is now."""
    return read(m, lvm=m.run(_REPORT).out)


def look_back(m: Machine) -> Scene:
    """How it was when the machine booted."""
    return read(m, "/run/left", m.run("cat /run/left.lvm").out)


def read(m: Machine, folder: str = LIB, lvm: str = "") -> Scene:
    """What dmguard keeps in its folder."""
    history = []
    for line in m.run(f"cat {folder}/history.jsonl", check=False).out.splitlines():
        with contextlib.suppress(ValueError):  # the cut tore it
            history.append(json.loads(line))
    names = frozenset(m.run(f"ls {folder}").out.split())
    return Scene(history, names & set(INTENTS), [line.split() for line in lvm.splitlines()])


def assert_nothing_left(m: Machine) -> None:
    """No intent, and nothing that `recover` would do, or leave."""
    values = check("recover", m.run("dmguard recover --json", timeout=120).out)
    kinds = ("findings", "planned", "done", "left")
    found = [its for kind in kinds for its in values[kind] if its.get("code") != ON_PURPOSE]
    assert found == []
    assert read(m).intents == frozenset()


def assert_metadata_is_sound(m: Machine, vg: str, pool: str) -> None:
    """By thin_check, of a pool that is down, or else of a snapshot of its metadata."""
    name = dm_name(vg, pool)
    if m.run(f"dmsetup info {name}", check=False).status:
        volume = f"{vg}/{pool}_tmeta"
        before, words, after = (
            f"lvchange -q -y -ay {volume}",
            f"thin_check /dev/{volume}",
            f"lvchange -q -an {volume}",
        )
    else:
        # With volumes of LVM's in it the pool itself is one layer below.
        below = m.run(f"dmsetup info {name}-tpool", check=False).status == 0
        live = f"{name}-tpool" if below else name
        before, words, after = (
            f"dmsetup message {live} 0 reserve_metadata_snap",
            f"thin_check -m /dev/mapper/{name}_tmeta",
            f"dmsetup message {live} 0 release_metadata_snap",
        )
    result = m.run(f"{before} && {{ {words}; s=$?; {after}; exit $s; }}", check=False)
    assert result.status == 0, f"thin_check of {vg}/{pool}: {result.out}{result.err}"
