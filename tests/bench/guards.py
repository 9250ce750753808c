"""Those who are measured: each is started for one pool and stopped again without a trace.

All have the same threshold and step. LVM's own are given them in lvmlocal.conf, dmguard in its
own configuration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab.lvmkit import pool_status
from tests.vm.kit import wait_for

if TYPE_CHECKING:
    from tests.lab.stand import Stand

THRESHOLD, STEP = 75, 20
VG, POOL = "bench", "pool"

_LVM = "/etc/lvm/lvmlocal.conf"
_SETTINGS = "/etc/dmguard/dmguard.toml"
_POLICY = f"""activation {{
    thin_pool_autoextend_threshold = {THRESHOLD}
    thin_pool_autoextend_percent = {STEP}
}}
"""
_CRON = f"""while sleep 60; do
    lvextend -q --use-policies --config activation/monitoring=0 {VG}/{POOL}
done"""
# A dmeventd that monitors anything does not end by itself.
_NOBODY = f"""vgchange -q --monitor n {VG}
systemctl stop dmguard bench-cron dm-event.socket dm-event.service
systemctl reset-failed dmguard bench-cron
: > {_LVM}; rm -f {_SETTINGS}"""


@dataclass(frozen=True)
class Guard:
    """One of them; `settings` are dmguard's, and `lvm` LVM's."""

    name: str
    start: str
    lvm: str = _POLICY
    settings: str = ""

    def take_over(self, m: Stand) -> None:
        """From nobody: the pool is there, active and not above its threshold."""
        m.put(_LVM, self.lvm)
        m.put(_SETTINGS, self.settings)
        m.run(self.start, timeout=120)
        if self.lvm or self.settings:
            wait_for("its low water mark", lambda: pool_status(m, VG, POOL)["low_water"])


def stop_all(m: Stand) -> None:
    """Nobody guards anything."""
    m.run(_NOBODY, check=False, timeout=120)


def dmguard(*, step_only: bool = True, more: str = "") -> Guard:
    """With the peer's step alone, or with the default headroom and least step, too."""
    alone = '\nmin_step = "4MiB"\nheadroom = "0"' if step_only else ""
    policy = f'[policy]\ndata_threshold = {THRESHOLD}\nstep = "{STEP}%"{alone}\n{more}'
    return Guard("dmguard", "systemctl start dmguard", "", policy)


_REFRESH = f"lvchange -q --config activation/monitoring=0 --refresh {VG}/{POOL}"
# dmeventd that has just ended may leave the first request to its successor without an answer.
_MONITOR = f"lvchange -q --monitor y {VG}/{POOL}"
_BEGIN = f"systemctl start dm-event.socket dm-event.service && {{ {_MONITOR} || {_MONITOR}; }}"
DMEVENTD = Guard("dmeventd", f"{_BEGIN} && {_REFRESH}")
DEFAULTS = Guard("dmeventd-defaults", _BEGIN, "")
CRON = Guard("cron", f"{_REFRESH} && systemd-run -q --unit bench-cron sh -c '{_CRON}'")
