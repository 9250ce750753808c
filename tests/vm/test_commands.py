"""The commands on a real host: what they answer, what they change, and what they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.edge.schema import check
from tests.lab.lvmkit import make_pool, make_vg, raw_thin, vg_free
from tests.vm.kit import (
    MIB,
    NO_DMEVENTD,
    config,
    entries,
    history,
    size_of,
    wait_for,
    wait_for_mark,
    write,
)

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory


def answer(m: Machine, words: str, schema: str) -> dict[str, Any]:
    """One JSON object of a command, valid for its schema."""
    return check(schema, m.run(f"dmguard {words} --json").out)


def test_extend_grows_by_hand_shows_before_and_refuses_what_does_not_fit(
    machines: Factory,
) -> None:
    m = machines(disks=[1 << 30], append=NO_DMEVENTD, config=config(reserve="100MiB"))
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "100m")
    wait_for_mark(m, "docker", "thinpool")

    shown = m.run("dmguard extend docker/thinpool --data +50MiB --dry-run").out
    assert f"--size {152 * MIB}b docker/thinpool" in shown
    assert size_of(m, "docker", "thinpool") == 100 * MIB
    assert "docker/thinpool: extended" in m.run("dmguard extend docker/thinpool --data +50MiB").out
    assert size_of(m, "docker", "thinpool") == 152 * MIB
    values = answer(m, "extend docker/thinpool --metadata 8MiB", "extend")
    assert [done["result"] for done in values["done"]] == ["done"]

    free = vg_free(m, "docker")
    for words, code, status in (
        (f"docker/thinpool --data +{free // MIB - 50}MiB", "vg-too-small", 4),
        ("docker/none --data +1GiB", "no-such-pool", 3),
        ("docker/thinpool --data 10MiB", "not-larger", 0),
        ("docker/thinpool", "say how much", 2),
    ):
        result = m.run(f"dmguard extend {words}", check=False)
        assert (result.status, code in result.err) == (status, True), result
    held = m.start("flock /run/dmguard/lock sleep 600")
    m.wait_until("! flock -n /run/dmguard/lock true")
    assert m.run("dmguard extend docker/thinpool --data +4MiB", check=False).status == 75
    held.kill()
    m.run("pkill -x sleep", check=False)
    assert size_of(m, "docker", "thinpool") == 152 * MIB

    m.run("dmguard extend docker/thinpool --data max")
    assert 100 * MIB <= vg_free(m, "docker") < 104 * MIB
    kept = json.loads(m.run("dmguard history --last 0 --json").out)["entries"]
    assert history(m)[: len(kept)] == kept
    acts = [e for e in kept if e["action"].startswith("extend")]
    assert {act["trigger"] for act in acts} == {"command"}
    told = m.journal("-b", "SYSLOG_IDENTIFIER=dmguard", "DMGUARD_TRIGGER=command")
    assert len([e for e in told if e["DMGUARD_RESULT"] == "done"]) == 3


def test_ceiling_and_reserve_hold_and_are_told(machines: Factory) -> None:
    """The same writer in a pool without a ceiling is the control."""
    more = '[pool."docker/low"]\nmax_size = "110MiB"\n'
    m = machines(
        disks=[1 << 30],
        append=NO_DMEVENTD,
        config=config(reserve="40%", more=more),
    )
    make_vg(m, "docker", m.disks)
    devices = {}
    for number, pool in enumerate(("low", "free")):
        make_pool(m, "docker", pool, "100m")
        devices[pool] = raw_thin(m, "docker", pool, f"t{number}", 900 * MIB, 0)
        wait_for_mark(m, "docker", pool)

    write(m, devices["low"], 0, 95)
    wait_for("the ceiling told", lambda: [e for e in entries(m) if
             e["DMGUARD_REASON"] == "pool-ceiling"])  # fmt: skip
    assert size_of(m, "docker", "low") == 108 * MIB
    for first in range(0, 400, 50):
        write(m, devices["free"], first, 50)
    dry = wait_for("dry", lambda: [e for e in entries(m) if e["DMGUARD_REASON"] == "vg-dry"])
    assert dry[0]["DMGUARD_POOL"] == "docker/free"
    size = int(m.run("vgs --noheadings --nosuffix --units b -o vg_size docker").out)
    assert size * 40 // 100 <= vg_free(m, "docker") < size * 40 // 100 + 12 * MIB
    assert size_of(m, "docker", "free") > 300 * MIB

    status = answer(m, "status", "status")
    assert {f["code"] for f in status["findings"]} >= {"pool-ceiling", "vg-dry"}
    pools = {pool["name"]: pool for pool in status["pools"]}
    assert pools["docker/low"]["max_size"] == 110 * MIB
    sources = ("udev", "journal", "dm-event", "dbus", "timer")
    assert status["agent"]["sources"] == dict.fromkeys(sources, "listening")
    assert answer(m, "plan", "plan")["next"] == []
    assert answer(m, "history docker/low", "history")["entries"]
    assert "vg-dry" in m.run("systemctl show -P StatusText dmguard").out


def test_a_bad_configuration_leaves_a_reload_on_the_last_one_and_stops_a_start(
    machines: Factory,
) -> None:
    m = machines(config=config())
    good = m.run("dmguard config show").out
    m.put("/etc/dmguard/conf.d/50-bad.toml", "[policy]\ndata_treshold = 80\n")
    result = m.run("dmguard config check", check=False)
    assert result.status == 2
    assert (
        "50-bad.toml: policy: unknown key 'data_treshold'; did you mean data_thresh" in result.err
    )

    pid = m.run("systemctl show -P MainPID dmguard").out
    m.run("systemctl reload dmguard")
    told = wait_for("the rejection", lambda: entries(m, "reload"))
    assert "50-bad.toml" in told[0]["MESSAGE"]
    assert told[0]["DMGUARD_REASON"] == "config-rejected"
    assert m.run("systemctl show -P MainPID,ActiveState dmguard").out == f"{pid}active\n"

    assert m.run("systemctl restart dmguard", check=False).status != 0
    assert m.run("systemctl is-failed dmguard").out == "failed\n"
    m.run("rm /etc/dmguard/conf.d/50-bad.toml && systemctl start dmguard")
    assert m.run("dmguard config show").out == good
