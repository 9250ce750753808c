"""The commands that read a host: a fake `lvm` and a fake kernel beneath the real loop."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from dmguard.app.cli import main
from dmguard.app.guard.lock import take_lock
from dmguard.core.model import Disk, Probe
from dmguard.edge.config import load_settings
from dmguard.edge.dm import Control, DmUnavailableError
from dmguard.edge.files import Lock
from dmguard.edge.run import SEARCH_PATH, Runner
from dmguard.edge.systemd import JournalWriter
from dmguard.loop.ink import Ink
from dmguard.loop.memory import Memory
from dmguard.loop.observe import Observer
from dmguard.loop.publish import Publisher
from dmguard.loop.record import Paths, Recorder
from tests.edge.conftest import run, script
from tests.edge.dmfake import Device, Kernel
from tests.edge.lvmfake import GIB, full_report
from tests.edge.schema import check

if TYPE_CHECKING:
    from pathlib import Path

Capture = pytest.CaptureFixture[str]

CHUNKS = 2 * GIB // 65536
UUID = f"LVM-AbCdEf{'0123' * 5}UvWxYzAbCdEf{'4567' * 5}UvWxYz-tpool"


class Host(Kernel):
    """The VG docker with a pool of 2 GiB, as the kernel and LVM tell it."""

    def __init__(self, directory: Path) -> None:
        super().__init__([Device("docker-pool-tpool", UUID, (253, 2))])
        self.directory = directory
        self.paths = Paths(run=directory / "run", lib=directory / "lib")
        self.has_dm = True
        self.done = directory / "done"
        (directory / "answer").write_text(full_report())
        self.fill(50)
        self.lvextend_does(f'echo "$@" > {self.done}')

    def fill(self, percent: int, size: int = 2 * GIB) -> None:
        (pool,) = self.devices
        chunks = size // 65536
        used, mark = CHUNKS * percent // 100, chunks * 25 // 100
        pool.sectors = size // 512
        pool.status = f"1 100/2048 {used}/{chunks} - rw discard_passdown queue_if_no_space - "
        pool.table = f"253:0 253:1 128 {mark} 1 skip_block_zeroing "

    def lvextend_does(self, command: str) -> None:
        answer = shlex.quote(str(self.directory / "answer"))
        text = f"case $1 in fullreport) cat {answer};; lvextend) {command};; *) exit 5;; esac"
        script(self.directory / "bin", "lvm", text)

    def ioctl(self, descriptor: int, request: int, buffer: bytearray) -> int:
        if self.done.exists():
            self.fill(50, 3 * GIB)
        return super().ioctl(descriptor, request, buffer)

    def open_control(self) -> Control:
        if not self.has_dm:
            raise DmUnavailableError("control: No such device")
        return Control(os.open(self.directory, os.O_RDONLY), self.ioctl)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    search = f"{tmp_path}/bin:{SEARCH_PATH}"
    monkeypatch.setattr("dmguard.app.wiring.Runner", partial(Runner, search))
    monkeypatch.setattr(
        "dmguard.app.wiring.Observer", partial(Observer, open_control=host.open_control)
    )
    monkeypatch.setattr("dmguard.app.wiring.Paths", lambda: host.paths)
    monkeypatch.setattr(
        "dmguard.loop.record.Paths", lambda door="intent": replace(host.paths, door=door)
    )
    monkeypatch.setattr(
        "dmguard.edge.config.load_settings", partial(load_settings, tmp_path / "etc")
    )
    return host


def test_the_status_of_a_quiet_host(host: Host, capsys: Capture) -> None:
    assert main(["status", "--json"]) == 0
    values = check("status", capsys.readouterr().out)
    assert values["agent"] is None
    assert [vg["name"] for vg in values["vgs"]] == ["docker", "my-vg"]
    pools = {pool["name"]: pool for pool in values["pools"]}
    assert set(pools) == {"docker/pool", "my-vg/data-pool-1", "my-vg/vg-pool"}
    pool = pools["docker/pool"]
    assert (pool["mode"], pool["size"], pool["data_percent"]) == ("rw", 2 * GIB, 50.0)
    assert (pool["profile"], pool["guarded"], pool["active"]) == ("thin-grow", True, True)
    assert host.asked


def test_what_is_unknown_is_null_and_never_0(host: Host, capsys: Capture) -> None:
    host.has_dm = False
    assert main(["status", "--json"]) == 0
    pool = check("status", capsys.readouterr().out)["pools"][0]
    for name in ("mode", "needs_check", "data_used", "data_percent", "metadata_used", "low_water"):
        assert pool[name] is None, name
    assert pool["active"] is False


def test_a_failed_pool_keeps_the_promise_of_the_schema(host: Host, capsys: Capture) -> None:
    host.devices[0].status = "Fail"
    assert main(["status", "--json"]) == 0
    values = check("status", capsys.readouterr().out)
    assert values["pools"][0]["mode"] == "Fail"
    assert {finding["code"] for finding in values["findings"]} >= {"pool-failed"}


def test_the_status_for_people_fits_on_a_line_a_pool(host: Host, capsys: Capture) -> None:
    assert host.paths.state.exists() is False
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("The agent is not running: systemctl start dmguard\n")
    (line,) = [line for line in shown.splitlines() if line.startswith("docker/pool ")]
    assert "50.00 %" in line


def test_the_status_has_what_a_running_agent_published(host: Host, capsys: Capture) -> None:
    lv_uuid = "AbCdEf" + "4567" * 5 + "UvWxYz"
    ink = Ink()
    journal = JournalWriter()

    async def publish() -> None:
        publisher = Publisher(host.paths, Memory(), Recorder(host.paths, journal, ink))
        publisher.sources["dm-event"] = "listening"
        publisher.publish()

    run(publish())
    ink.close()
    journal.close()
    published = json.loads(host.paths.state.read_text())
    published["rates"] = {lv_uuid: 1048576.0}
    host.paths.state.write_text(json.dumps(published))
    assert main(["status", "--json"]) == 0
    values = check("status", capsys.readouterr().out)
    assert values["agent"] == published
    pool = values["pools"][0]
    assert (pool["fill_rate"], pool["time_to_full"]) == (1048576.0, 1024.0)
    assert main(["status"]) == 0
    assert "sources: dm-event listening\n" in capsys.readouterr().out


def test_what_an_agent_published_that_died_is_not_believed(host: Host, capsys: Capture) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    host.paths.run.mkdir()
    host.paths.state.write_text(json.dumps({"pid": child.pid, "rates": {"x": 1.0}}))
    assert main(["status", "--json"]) == 0
    assert check("status", capsys.readouterr().out)["agent"] is None


def test_the_plan_of_a_full_pool_has_its_command(host: Host, capsys: Capture) -> None:
    host.fill(80)
    assert main(["plan", "--json"]) == 0
    values = check("plan", capsys.readouterr().out)
    (action,) = [action for action in values["next"] if action["pool"] == "docker/pool"]
    assert (action["act"], action["size"]) == ("extend-data", 2 * GIB)
    assert action["target"] > 2 * GIB
    (command,) = action["commands"]
    assert command.startswith("lvextend ")
    assert command.endswith(f"--size {action['target']}b docker/pool")
    assert not host.done.exists()


def test_a_dry_run_shows_the_commands_and_runs_none(host: Host, capsys: Capture) -> None:
    argv = ["extend", "docker/pool", "--data", "+1GiB", "--metadata", "16MiB", "--dry-run"]
    assert main([*argv, "--json"]) == 0
    values = check("extend", capsys.readouterr().out)
    shown = [(action["act"], action["target"]) for action in values["planned"]]
    assert shown == [("extend-metadata", 16 << 20), ("extend-data", 3 * GIB)]
    assert values["done"] == values["refused"] == []
    assert not host.done.exists()
    assert not host.paths.lib.exists()


def test_an_extension_is_verified_with_the_kernel_and_remembered(
    host: Host, capsys: Capture
) -> None:
    assert main(["extend", "docker/pool", "--data", "3GiB", "--json"]) == 0
    values = check("extend", capsys.readouterr().out)
    (done,) = values["done"]
    assert (done["act"], done["pool"], done["result"]) == ("extend-data", "docker/pool", "done")
    assert host.done.read_text().endswith(f"--size {3 * GIB}b docker/pool\n")
    assert main(["history", "--json"]) == 0
    (entry,) = check("history", capsys.readouterr().out)["entries"]
    assert (entry["result"], entry["trigger"], entry["pool"]) == ("done", "command", "docker/pool")
    assert not host.paths.intent.exists()
    assert host.paths.lock.read_bytes() == b""


def test_a_failed_extension_exits_1_with_lvms_own_words(host: Host, capsys: Capture) -> None:
    host.lvextend_does("echo '  Insufficient suitable space' >&2; exit 5")
    assert main(["extend", "docker/pool", "--data", "3GiB", "--json"]) == 1
    (done,) = check("extend", capsys.readouterr().out)["done"]
    assert (done["result"], done["detail"]) == ("failed", "Insufficient suitable space")


def test_a_pool_that_is_not_there_exits_3(host: Host, capsys: Capture) -> None:
    assert main(["extend", "docker/none", "--data", "3GiB", "--json"]) == 3
    (refused,) = check("extend", capsys.readouterr().out)["refused"]
    assert (refused["pool"], refused["code"]) == ("docker/none", "no-such-pool")
    assert not host.done.exists()


def test_what_does_not_fit_is_refused_with_4(host: Host, capsys: Capture) -> None:
    assert main(["extend", "docker/pool", "--data", "1TiB", "--json"]) == 4
    (refused,) = check("extend", capsys.readouterr().out)["refused"]
    assert refused["code"] == "vg-too-small"
    assert not host.done.exists()


def test_a_size_that_the_pool_has_already_is_done(host: Host, capsys: Capture) -> None:
    assert main(["extend", "docker/pool", "--data", "1GiB"]) == 0
    assert "[not-larger]" in capsys.readouterr().err
    assert not host.done.exists()


def test_a_lock_that_stays_held_exits_75(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("dmguard.app.guard.extend.take_lock", partial(take_lock, within_s=0.0))
    with Lock.acquire(host.paths.lock):
        assert main(["extend", "docker/pool", "--data", "3GiB"]) == 75
    assert "held by another dmguard" in capsys.readouterr().err
    assert not host.done.exists()


@pytest.mark.parametrize("command", [["status"], ["plan"], ["extend", "a/b", "--data", "1GiB"]])
def test_a_host_that_cannot_be_read_exits_1_with_one_line(
    host: Host, capsys: Capture, command: list[str]
) -> None:
    (host.directory / "answer").write_text("no report")
    assert main(command) == 1
    err = capsys.readouterr().err
    assert err.startswith("dmguard: lvm fullreport: ")
    assert err.count("\n") == 1


def test_what_is_up_already_is_told_and_nothing_is_run(host: Host, capsys: Capture) -> None:
    assert main(["activate", "docker/pool", "--json"]) == 0
    values = check("activate", capsys.readouterr().out)
    assert (values["up"], values["late"], values["down"]) == (["docker/pool"], [], [])
    assert values["planned"] == values["done"] == []


def test_a_dry_run_of_an_activation_shows_its_commands(host: Host, capsys: Capture) -> None:
    assert main(["activate", "--dry-run", "--json"]) == 0
    values = check("activate", capsys.readouterr().out)
    shown = {action["pool"]: action["commands"][-1] for action in values["planned"]}
    assert set(shown) == {"my-vg/data-pool-1", "my-vg/vg-pool"}
    assert shown["my-vg/vg-pool"].startswith("lvchange --activate ay ")
    assert not host.paths.lib.exists()


def test_an_activation_that_fails_and_a_pool_that_is_late_exit_1(
    host: Host, capsys: Capture
) -> None:
    assert main(["activate", "my-vg/vg-pool", "my-vg/none", "--timeout", "0", "--json"]) == 1
    values = check("activate", capsys.readouterr().out)
    assert (values["up"], values["late"], values["down"]) == ([], ["my-vg/none"], ["my-vg/vg-pool"])
    assert [(done["act"], done["result"]) for done in values["done"]] == [("activate", "failed")]


def test_what_can_be_recovered_is_shown_with_the_finding(host: Host, capsys: Capture) -> None:
    host.fill(80)
    assert main(["recover", "--dry-run", "--json"]) == 0
    values = check("recover", capsys.readouterr().out)
    assert ("pool-inactive", "my-vg/vg-pool") in [(f["code"], f["subject"]) for f in values["left"]]
    acts = {action["pool"]: action["act"] for action in values["planned"]}
    assert (acts["docker/pool"], acts["my-vg/vg-pool"]) == ("extend-data", "activate")
    assert values["done"] == []
    assert not host.done.exists()


def test_what_was_recovered_keeps_the_promise_of_the_schema(host: Host, capsys: Capture) -> None:
    host.fill(80)
    grown = f"sed -i s/{2 * GIB}/{3 * GIB}/ {host.directory / 'answer'}"
    host.lvextend_does(f'echo "$@" > {host.done}; {grown}')
    assert main(["recover", "docker/pool", "--json"]) == 0
    values = check("recover", capsys.readouterr().out)
    assert [(done["act"], done["result"]) for done in values["done"]] == [("extend-data", "done")]
    assert host.done.exists()
    assert main(["recover", "docker/none", "--json"]) == 3
    assert check("recover", capsys.readouterr().out)["done"] == []


def test_doctor_tells_what_it_finds_and_changes_nothing(host: Host, capsys: Capture) -> None:
    host.fill(80)
    assert main(["doctor"]) == 4
    said = capsys.readouterr().out
    assert "To be cured:" in said
    assert "[pool-inactive]" in said
    assert "dmguard doctor --fix: activate pool" in said
    assert not host.done.exists()
    assert main(["doctor", "--fix", "-n"]) == 4
    said = capsys.readouterr().out
    assert "        lvchange --activate" in said
    assert said.partition("Done by the way:")[2].count("lvextend") == 1
    assert not host.done.exists()


def test_doctors_answer_keeps_the_promise_of_the_schema(host: Host, capsys: Capture) -> None:
    host.fill(80)
    grown = f"sed -i s/{2 * GIB}/{3 * GIB}/ {host.directory / 'answer'}"
    host.lvextend_does(f'echo "$@" > {host.done}; {grown}')
    assert main(["doctor", "--fix", "--json"]) == 1, "the other pool cannot be activated"
    values = check("doctor", capsys.readouterr().out)
    assert ("extend-data", "done") in [(done["act"], done["result"]) for done in values["done"]]
    (left,) = [finding for finding in values["left"] if finding["subject"] == "my-vg/vg-pool"]
    assert (left["code"], left["counts"], left["severity"]) == ("pool-inactive", True, "warning")


@pytest.fixture
def disks(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The host with a blank disk, one that something holds, and one of the group."""
    found = (
        Disk("sdb", (8, 16), 10 * GIB, serial="B"),
        Disk("sdx", (65, 112), 10 * GIB, serial="X", links=("/dev/disk/by-id/x",)),
        Disk("sdy", (65, 128), 10 * GIB, wwn="0xY", holders=("md0",)),
    )

    async def look(*_: object, **_how: object) -> Probe:
        return Probe()

    monkeypatch.setattr("dmguard.edge.udev.read_disks", lambda: found)
    monkeypatch.setattr("dmguard.edge.block.probe", look)
    return host


def verdicts(capsys: Capture) -> dict[str, tuple[str, list[str]]]:
    assert main(["disks", "--json"]) == 0
    rows = check("disks", capsys.readouterr().out)["disks"]
    return {row["disk"]: (row["verdict"], [r["code"] for r in row["reasons"]]) for row in rows}


def test_every_disk_has_a_verdict(disks: Host, capsys: Capture) -> None:
    assert verdicts(capsys) == {
        "/dev/sdb": ("in use", ["disk-no-rule", "disk-in-other-vg"]),
        "/dev/sdx": ("no rule", ["disk-no-rule"]),
        "/dev/sdy": ("refused", ["disk-no-rule", "disk-held"]),
    }
    assert not disks.paths.lib.exists()


def test_a_disk_that_is_ignored_stays_so_whatever_rule_is_for_it(
    disks: Host, capsys: Capture
) -> None:
    (disks.directory / "etc").mkdir()
    rule = '[[claim]]\nvg = "docker"\nmatch = { serial = "X" }\n'
    (disks.directory / "etc" / "dmguard.toml").write_text(rule)
    assert verdicts(capsys)["/dev/sdx"] == ("for", [])
    assert main(["ignore", "/dev/disk/by-id/x", "--dry-run", "--json"]) == 0
    check("ignore", capsys.readouterr().out)
    assert verdicts(capsys)["/dev/sdx"] == ("for", [])
    assert main(["ignore", "/dev/disk/by-id/x", "--json"]) == 0
    values = check("ignore", capsys.readouterr().out)
    assert (values["disk"], values["identity"]) == ("/dev/sdx", "serial:X")
    assert verdicts(capsys)["/dev/sdx"] == ("refused", ["disk-ignored"])
    assert main(["ignore", "/dev/none", "--json"]) == 3
    assert check("ignore", capsys.readouterr().out)["identity"] is None


@pytest.mark.parametrize(
    ("argv", "status", "codes"),
    [
        (("sdx", "docker"), 0, []),
        (("sdy", "docker"), 4, ["disk-held"]),
        (("sdb", "docker"), 0, ["disk-in-vg"]),
        (("none", "docker"), 3, ["no-such-disk"]),
        (("sdx", "none"), 3, ["vg-unknown"]),
    ],
)
def test_a_claim_is_planned_or_refused_with_a_code(
    disks: Host, capsys: Capture, argv: tuple[str, str], status: int, codes: list[str]
) -> None:
    disk, vg = argv
    assert main(["claim", disk, "--vg", vg, "--dry-run", "--json"]) == status
    values = check("claim", capsys.readouterr().out)
    assert [refused["code"] for refused in values["refused"]] == codes
    planned = [(action["act"], action["disk"]) for action in values["planned"]]
    assert planned == ([] if codes else [("claim-disk", f"/dev/{disk}")])
    assert not disks.paths.lib.exists()


def test_what_lvm_refuses_is_a_refusal_with_its_words(disks: Host, capsys: Capture) -> None:
    text = (
        "case $1 in fullreport) cat answer;; *) echo '  Aborted wiping of xfs.' >&2; exit 5;; esac"
    )
    script(disks.directory / "bin", "lvm", text.replace("answer", str(disks.directory / "answer")))
    assert main(["claim", "sdx", "--vg", "docker", "--json"]) == 4
    (done,) = check("claim", capsys.readouterr().out)["done"]
    assert (done["act"], done["disk"], done["result"]) == ("claim-disk", "/dev/sdx", "refused")
    assert (done["reason"], done["detail"]) == ("disk-refused-by-lvm", "Aborted wiping of xfs.")


def test_a_disk_that_cannot_be_noted_is_not_said_to_be_left_alone(
    disks: Host, capsys: Capture
) -> None:
    disks.paths.lib.mkdir()
    disks.paths.ledger.write_text("{")
    assert main(["ignore", "sdx"]) == 1
    shown = capsys.readouterr()
    assert "disks.json: not written, so /dev/sdx is not left alone" in shown.err
    assert shown.out == ""
    assert disks.paths.ledger.read_text() == "{"
    disks.paths.ledger.unlink()
    assert main(["ignore", "sdx"]) == 0
    assert "serial:X" in disks.paths.ledger.read_text()


@pytest.fixture
def no_bus(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Nothing listens on the bus of systemd."""
    monkeypatch.setattr("dmguard.edge.bus.SYSTEM_BUS", f"unix:path={host.directory}/none")
    monkeypatch.setattr("dmguard.edge.config.CONFIG", host.directory / "etc")
    return host


SET_UP = ["setup", "--vg", "docker", "--pool", "pool", "--json"]


def test_a_set_up_without_a_consumer_needs_no_bus(no_bus: Host, capsys: Capture) -> None:
    assert main([*SET_UP, "--consumer", "none", "--dry-run"]) == 0
    values = check("setup", capsys.readouterr().out)
    assert [action["act"] for action in values["planned"]] == ["attach-profile"]
    assert "imported" not in values
    assert main([*SET_UP, "--consumer", "none"]) == 1, "this LVM attaches no profile"
    (done,) = check("setup", capsys.readouterr().out)["done"]
    assert (done["act"], done["result"]) == ("attach-profile", "failed")


CSS = 'DEVS="/dev/vdb"\nVG=docker-vg\nPOOL_AUTOEXTEND_THRESHOLD=60\nAUTO_EXTEND_POOL=yes\n'


def test_what_is_imported_keeps_the_promise_of_the_schema(no_bus: Host, capsys: Capture) -> None:
    file = no_bus.directory / "docker-storage-setup"
    file.write_text(CSS)
    assert main(["setup", "--import", str(file), "--json", "--dry-run"]) == 0
    values = check("setup", capsys.readouterr().out)
    assert values["imported"]["source"] == str(file)
    assert values["imported"]["words"][:3] == ["dmguard", "setup", "/dev/vdb"]
    assert '[pool."docker-vg/docker-pool"]' in values["imported"]["settings"]
    assert [action["act"] for action in values["planned"]] == ["edit-file"]
    assert main(["setup", "--import", str(file), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "dmguard setup /dev/vdb" in shown
    assert "write " in shown


def test_a_raw_pool_that_is_none_keeps_the_promise_of_the_schema(
    no_bus: Host, capsys: Capture
) -> None:
    assert main(["setup", "--raw-from-running", "none", "--json"]) == 3
    values = check("setup", capsys.readouterr().out)
    assert values["section"] is None
    assert [refusal["code"] for refusal in values["refused"]] == ["no-such-pool"]
