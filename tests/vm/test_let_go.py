"""A consumer that takes its time to stop keeps no other pool from growing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.bootkit import plugin
from tests.vm.kit import (
    LIB,
    MIB,
    NO_DMEVENTD,
    config,
    history,
    size_of,
    start_writing,
    wait_for,
    wait_for_mark,
)

if TYPE_CHECKING:
    from tests.lab.channel import Running
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

FILE = "/etc/containerd/config.toml"
SLOW = "[Service]\nExecStop=/bin/sh -c 'until test -e /tmp/stop; do sleep 0.1; done'\n"


def test_a_pool_is_grown_while_containerd_does_not_stop(machines: Factory) -> None:
    m = machines(
        "trixie",
        disks=[256 * MIB, 512 * MIB],
        append=NO_DMEVENTD,
        config=config(guard='resync = "5s"'),
    )
    make_vg(m, "other", m.disks[1:])
    make_pool(m, "other", "data", "100m")
    device = raw_thin(m, "other", "data", "t0", 400 * MIB, 0)
    wait_for_mark(m, "other", "data")
    m.run(f"cp -a {FILE} /root/before; mkdir -p /etc/systemd/system/containerd.service.d")
    m.put("/etc/systemd/system/containerd.service.d/slow.conf", SLOW)
    m.run("systemctl daemon-reload && systemctl start containerd")

    running = begin(m)
    grown(m, device, 0, 80)
    assert state(m) == "deactivating"
    assert running.poll() is None
    m.run("touch /tmp/stop")
    result = running.wait(120)
    assert result.status == 0, result
    assert plugin(m) == "ok"
    assert acts(m) == [("extend-data", "done"), ("configure", "done")]

    # It dies there; the agent does the rest, and grows the pool beside that.
    m.run(f"systemctl stop containerd; cp -a /root/before {FILE}; rm {FILE}.before-dmguard")
    m.run("systemctl start containerd; rm /tmp/stop")
    running = begin(m)
    m.run("pkill -9 -f 'dmguard setu[p]'")
    assert running.wait(30).status != 0
    m.run("systemctl reload dmguard")
    m.wait_until(f'grep -q ":$(stat -c %i {SEAT}) " /proc/locks')
    # To 100 MiB of 120, and of 144 they are no more than the threshold.
    grown(m, device, 80, 20)
    assert state(m) == "deactivating"
    m.run(f"test -e {LIB}/intent-apart.json && touch /tmp/stop")
    wait_for("settled", lambda: acts(m)[-1] == ("configure", "done"), timeout=120)
    m.wait_until(f"test ! -e {LIB}/intent-apart.json")
    assert acts(m)[2:] == [("extend-data", "done"), ("configure", "done")]
    assert history(m, "configure")[-1]["reason"] == "resumed"
    assert plugin(m) == "ok"


SEAT = "/run/dmguard/consumers.lock"


def begin(m: Machine) -> Running:
    """A set-up that has asked containerd to stop."""
    running = m.start(f"dmguard setup --consumer containerd {m.disks[0].device}")
    wait_for("containerd asked to stop", lambda: state(m) == "deactivating", timeout=90)
    m.run(f"test -e {LIB}/intent-apart.json")
    return running


def state(m: Machine) -> str:
    return m.run("systemctl is-active containerd", check=False).out.strip()


def grown(m: Machine, device: str, first: int, count: int) -> None:
    """Fill the other pool to above its threshold, and wait for what the agent does."""
    before = size_of(m, "other", "data")
    writer = start_writing(m, device, first, count)
    wait_for("grown", lambda: size_of(m, "other", "data") > before, timeout=30)
    assert writer.wait(60).status == 0


def acts(m: Machine) -> list[tuple[str, str]]:
    """What was done since the pool was set up."""
    wanted = ("extend-data", "configure")
    return [(e["action"], e["result"]) for e in history(m) if e["action"] in wanted]
