"""The bench on a host of its own: refused where it would disturb, and gone without a trace."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.lvmkit import make_pool, make_vg
from tests.vm.kit import MIB, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

TESTS = Path(__file__).resolve().parents[1]
TREE, SCRATCH = "/root/tree", "/root/scratch"
BENCH = f"cd {TREE} && exec python3 -m tests.bench --host"
SHORT = f"{BENCH} --scratch {SCRATCH} reaction --rounds 1"
MINE = {
    "/etc/lvm/lvmlocal.conf": "# mine, without an end of line\nbackup { retain_days = 3 }",
    "/etc/dmguard/dmguard.toml": '[guard]\nresync = "29s"\n',
}
TRACES = (
    "find /etc/lvm /etc/dmguard /var/lib/dmguard -type f -exec sha256sum {} + | sort",
    "vgs; pvs; dmsetup ls; losetup -a",
    f"ls -A {SCRATCH}",
    "systemctl list-units --plain --no-legend --state=active 'dm*' 'bench*' '*.timer' cron.service",
    "cat /sys/module/dm_thin_pool/parameters/no_space_timeout",
)


def traces(m: Machine) -> list[str]:
    return [m.run(command, check=False).out for command in TRACES]


@pytest.fixture
def host(machines: Factory) -> Machine:
    """A machine with a working tree, settings of its own, and nobody who guards."""
    m = machines(disks=[256 * MIB])
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(
            TESTS, "tests", filter=lambda one: None if one.name.endswith("__pycache__") else one
        )
    m.put("/root/tree.tar.gz", packed.getvalue())
    m.run(f"mkdir {TREE} {SCRATCH} && tar -C {TREE} -xzf /root/tree.tar.gz")
    m.run("systemctl stop dmguard && modprobe dm_thin_pool")
    for path, content in MINE.items():
        m.put(path, content)
    return m


def test_what_would_be_disturbed_is_a_refusal_that_says_so(host: Machine) -> None:
    make_vg(host, "bench", host.disks)
    make_pool(host, "bench", "pool", "100m")
    host.run(f"touch {SCRATCH}/mine && systemctl start dmguard")

    without = host.run(f"{BENCH} reaction", check=False)
    refused = host.run(SHORT, check=False)

    assert (without.status, refused.status) == (2, 2)
    assert "SCRATCH=" in without.err
    for why in ("not empty", "dmguard.service is active", "group bench", "thin pools: bench"):
        assert why in refused.err
    # dmguard itself writes its books meanwhile, so that not every trace is compared.
    assert host.run("systemctl is-active dmguard").out == "active\n"
    assert host.run("dmsetup ls --target thin-pool").out.startswith("bench-pool")
    assert host.run(f"ls -A {SCRATCH}").out == "mine\n"
    assert {path: host.get(path).decode() for path in MINE} == MINE


def test_an_interrupted_run_puts_the_host_in_order(host: Machine) -> None:
    before = traces(host)
    running = host.start(f"echo $$ > /root/pid; {SHORT}")
    guarding = "pgrep -x dmeventd"
    wait_for("a guard", lambda: host.run(guarding, check=False).out, timeout=60)
    assert host.run("vgs --noheadings -o vg_name").out.strip() == "bench"

    host.run("kill -INT $(cat /root/pid)")

    assert running.wait(60).status == 130
    assert traces(host) == before


def test_a_run_says_that_it_was_the_host_and_leaves_no_trace(host: Machine) -> None:
    before = traces(host)

    out = host.run(f"{SHORT} --guards dmguard", timeout=150).out

    found = json.loads(host.get(f"{TREE}/build/bench/bench.json"))
    assert found["about"]["measured on"] == "this host (loop devices)"
    grown = [one for one in found["measured"] if one["what"] == "event to grown"]
    assert [(one["guard"], one["of"]) for one in grown] == [
        ("dmguard", ""),
        ("dmguard", "from far"),
    ]
    assert all(value > 0 for one in grown for value in one["values"])
    assert "this host" in out
    assert "<svg" in host.get(f"{TREE}/build/bench/reaction.svg").decode()
    assert traces(host) == before
