"""Close looks at disks: taken when wanted, kept for a while, taken again before an act."""

import asyncio
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from dmguard.core.model import Disk, Probe, State
from dmguard.core.steps import Proof, Prove
from dmguard.loop.survey import Survey
from dmguard.loop.walk import Done
from tests.unit.disks import DISK, host, make_disk, vg_of

HOME = make_disk("a")
BARE = make_disk(probe=None)
ERROR = Probe(error="Input/output error")
ORPHAN = Probe(pv_label=True, data_at=512)
HALF = replace(ORPHAN, half_pv=True)
HEADER = Probe(data_at=4096, half_pv=True)
SIGNED = ("LVM2_member at 0x218", "ext4 at 1080")


class Far:
    """The host's disks, what a close look shows of each, and how long one takes."""

    def __init__(self, *disks: Disk) -> None:
        self.disks = disks
        self.shows = Probe()
        self.looked: list[str] = []
        self.wanted = {disk.name for disk in disks}
        self.now = 0.0
        self.takes_s = 0.0
        self.asked = 0
        self.silent: dict[str, asyncio.Event] = {}
        self.answers = 0
        self.survey = self.make_survey(patience_s=1.0)

    def make_survey(self, patience_s: float) -> Survey:
        return Survey(
            lambda: self.disks,
            self.probe,
            self.probe_again,
            lambda disk, _: disk.name in self.wanted,
            patience_s=patience_s,
            answered=self.answered,
        )

    def answered(self) -> None:
        self.answers += 1

    async def probe(self, disk: Disk) -> Probe:
        self.looked.append(disk.name)
        self.now += self.takes_s
        if disk.name in self.silent:
            await self.silent[disk.name].wait()
        return self.shows

    async def probe_again(self, disk: Disk) -> Probe:
        self.looked.append(f"{disk.name} briefly")
        return self.shows

    def read(self) -> list[Probe | None]:
        return [disk.probe for disk in asyncio.run(self.survey.read(host()))]

    def prove(self, step: Prove, state: State | None = None) -> Done:
        async def look() -> State:
            self.asked += 1
            return state or host()

        return asyncio.run(self.survey.prove(step, look))


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Far:
    far = Far(BARE, make_disk("c", probe=None))
    clock = SimpleNamespace(monotonic=lambda: far.now)
    monkeypatch.setattr("dmguard.loop.survey.time", clock)
    return far


def test_only_disks_that_may_lead_to_something_are_looked_at(far: Far) -> None:
    far.wanted = {"sdc"}
    assert far.read() == [None, Probe()]
    assert far.looked == ["sdc"]


def test_a_look_is_kept_while_nothing_happens_to_the_disk(far: Far) -> None:
    far.read()
    far.shows = Probe(data_at=7)
    assert far.read() == [Probe(), Probe()]
    assert far.looked == ["sdb", "sdc"]


@pytest.mark.parametrize(
    "changed",
    [
        replace(BARE, stamp=1),
        replace(BARE, diskseq=99),
        replace(BARE, size=1),
        replace(BARE, devno=(8, 99)),
        replace(BARE, serial="another"),
    ],
)
def test_a_disk_that_something_happened_to_is_looked_at_again(far: Far, changed: Disk) -> None:
    far.read()
    far.disks = (changed, far.disks[1])
    far.shows = Probe(data_at=7)
    assert far.read() == [Probe(data_at=7), Probe()]


def test_a_look_that_failed_is_no_knowledge(far: Far) -> None:
    far.shows = ERROR
    assert far.read() == [ERROR, ERROR]
    far.shows = Probe()
    far.now = 59.0
    assert far.read() == [ERROR, ERROR]
    far.now = 61.0
    assert far.read() == [Probe(), Probe()]
    assert far.looked == ["sdb", "sdc"] * 2


@pytest.mark.parametrize(
    "passing", [ERROR, Probe(users=("opened by smartctl (77)",)), Probe(mentions=("/etc/fstab",))]
)
def test_what_changes_without_a_word_is_looked_at_again_ever_more_seldom(
    far: Far, passing: Probe
) -> None:
    far.wanted = {"sdb"}
    far.shows = passing
    for _ in range(3 * 3600):
        far.read()
        far.now += 1.0
    # After 1, 2, 4 … minutes, and from then on once an hour.
    assert len(far.looked) == 8
    far.shows = Probe()
    far.now += 3600.0
    assert far.read() == [Probe(), None]
    far.now += 1e9
    far.read()
    assert len(far.looked) == 9


def test_a_look_that_fails_slowly_does_not_keep_others_from_theirs(far: Far) -> None:
    far.shows, far.takes_s = ERROR, 5.0
    assert far.read() == [ERROR, None]
    assert far.read() == [ERROR, ERROR]
    assert far.looked == ["sdb", "sdc"]


def test_a_disk_that_is_wanted_no_more_is_forgotten(far: Far) -> None:
    far.read()
    far.wanted = set()
    assert far.read() == [None, None]
    far.wanted = {"sdb"}
    far.shows = Probe(data_at=7)
    assert far.read() == [Probe(data_at=7), None]


def test_looks_take_a_second_at_a_time_and_the_rest_follows(far: Far) -> None:
    far.takes_s = 0.6
    far.disks = tuple(make_disk(letter, probe=None) for letter in "bcdef")
    far.wanted = {disk.name for disk in far.disks}
    reads = [sum(probe is not None for probe in far.read()) for _ in range(4)]
    assert reads == [2, 4, 5, 5]
    assert far.looked == ["sdb", "sdc", "sdd", "sde", "sdf"]


def test_who_has_the_time_waits_for_every_look(far: Far) -> None:
    far.takes_s = 60.0
    far.survey = far.make_survey(patience_s=math.inf)
    assert far.read() == [Probe(), Probe()]
    assert far.answers == 0


def test_a_disk_that_does_not_answer_holds_up_nobody_for_longer_than_once(far: Far) -> None:
    """And what it says when it comes back after all counts, unless something happened to it."""
    unread = Probe(under_way=True)

    async def read() -> list[Probe | None]:
        return [disk.probe for disk in await far.survey.read(host())]

    async def answer(node: str) -> None:
        far.silent.pop(node).set()
        for _ in range(3):
            await asyncio.sleep(0)

    async def work() -> None:
        far.survey = far.make_survey(patience_s=0.01)
        far.silent["sdb"] = asyncio.Event()
        assert await read() == [unread, Probe()]
        # From now on nobody waits for it, and it is not asked a second time, whatever happens.
        far.survey._patience_s = math.inf
        assert await read() == [unread, Probe()]
        far.disks = (replace(BARE, stamp=1), far.disks[1])
        assert await read() == [unread, Probe()]
        assert (far.looked, far.answers) == (["sdb", "sdc"], 0)
        await answer("sdb")
        assert far.answers == 1
        assert await read() == [Probe(), Probe()]
        assert far.looked == ["sdb", "sdc", "sdb"]  # what it said was of the disk before

        far.disks = (replace(BARE, stamp=2), far.disks[1])
        far.silent["sdb"] = asyncio.Event()
        far.survey._patience_s = 0.01
        assert await read() == [unread, Probe()]
        await answer("sdb")
        assert await read() == [Probe(), Probe()]
        assert far.looked == ["sdb", "sdc", "sdb", "sdb"]

    asyncio.run(work())


def test_a_look_that_ends_in_an_unforeseen_way_is_told_and_taken_again(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        far.survey = far.make_survey(patience_s=0.01)
        far.silent["sdb"] = asyncio.Event()
        await far.survey.read(host())
        far.shows = cast("Probe", None)
        far.silent.pop("sdb").set()
        for _ in range(3):
            await asyncio.sleep(0)
        assert far.answers == 1
        assert "/dev/sdb: a close look failed" in caplog.text
        far.shows = Probe()
        assert [disk.probe for disk in await far.survey.read(host())] == [Probe(), Probe()]

    asyncio.run(work())


def step(disk: Disk = DISK, proof: Proof = Proof.BLANK, vg: str = "vg") -> Prove:
    return Prove(
        disk.node,
        disk.identity,
        disk.devno,
        disk.diskseq,
        disk.size,
        vg,
        f"uuid-{vg}",
        proof,
    )


def test_a_proof_looks_again_whatever_is_known(far: Far) -> None:
    far.read()
    assert far.prove(step()) == Done(ok=True)
    assert far.looked == ["sdb", "sdc", "sdb briefly"]
    far.shows = Probe(users=("mounted at /data",))
    done = far.prove(step())
    assert (done.ok, done.code) == (False, "disk-changed")
    assert "disk-in-use (mounted at /data)" in done.complaint


def test_a_disk_that_was_not_looked_at_since_something_happened_to_it_is_looked_at_whole(
    far: Far,
) -> None:
    assert far.prove(step()) == Done(ok=True)
    far.read()
    far.disks = (replace(BARE, stamp=1), far.disks[1])
    assert far.prove(step()) == Done(ok=True)
    for doubtful in (ERROR, Probe(data_at=7)):
        far.disks = (replace(far.disks[0], stamp=far.disks[0].stamp + 1), far.disks[1])
        far.shows = doubtful
        far.read()
        far.shows = Probe()
        assert far.prove(step()) == Done(ok=True)
    assert far.looked == ["sdb", "sdb", "sdc", "sdb", *["sdb"] * 4]


@pytest.mark.parametrize(
    "changes",
    [{"serial": "x"}, {"devno": (8, 99)}, {"diskseq": 99}, {"size": 1}, {"name": "sdz"}],
)
def test_another_disk_under_the_name_is_none(far: Far, changes: dict[str, object]) -> None:
    far.disks = (make_disk(**{"probe": None} | changes),)
    done = far.prove(step())
    assert (done.ok, done.code, far.looked) == (False, "disk-changed", [])
    assert "is another disk now" in done.complaint


@pytest.mark.parametrize(
    ("proof", "shows", "proved"),
    [
        (Proof.BLANK, Probe(), True),
        (Proof.BLANK, ORPHAN, False),
        (Proof.BLANK, ERROR, False),
        (Proof.BLANK, Probe(data_at=0), False),
        (Proof.BLANK, HALF, False),
        (Proof.BLANK, HEADER, False),
        (Proof.HALF_PV, HALF, True),
        (Proof.HALF_PV, HEADER, True),
        (Proof.HALF_PV, Probe(), True),
        (Proof.HALF_PV, ERROR, False),
        (Proof.HALF_PV, ORPHAN, False),
        (Proof.HALF_PV, Probe(data_at=4096), False),
        (Proof.HALF_PV, replace(HALF, beside=1 << 30), False),
        (Proof.HALF_PV, replace(HEADER, beside=0), False),
        (Proof.HALF_PV, replace(HALF, users=("pid 7",)), False),
        (Proof.HALF_PV, replace(HALF, mentions=("/etc/fstab",)), False),
        (Proof.HALF_PV, replace(HALF, signatures=SIGNED), False),
        (Proof.HALF_PV, replace(HALF, tables=("dos",)), False),
        (Proof.UNSIGNED, HALF, False),
        (Proof.UNSIGNED_HALF_PV, replace(HALF, beside=1 << 30), True),
        (Proof.UNSIGNED_HALF_PV, Probe(data_at=7), True),
        (Proof.UNSIGNED_HALF_PV, Probe(), True),
        (Proof.UNSIGNED_HALF_PV, ORPHAN, False),
        (Proof.UNSIGNED_HALF_PV, ERROR, False),
        (Proof.UNSIGNED_HALF_PV, replace(HALF, signatures=SIGNED), False),
        (Proof.UNSIGNED_HALF_PV, replace(HALF, tables=("dos",)), False),
        (Proof.UNSIGNED_HALF_PV, replace(HALF, users=("pid 7",)), False),
    ],
)
def test_it_must_be_just_what_is_asked_for(
    far: Far,
    proof: Proof,
    shows: Probe,
    proved: bool,  # noqa: FBT001 - a table
) -> None:
    far.shows = shows
    assert far.prove(step(proof=proof)).ok is proved


def test_a_disk_that_is_in_a_group_by_now_is_neither_blank_nor_an_orphan(far: Far) -> None:
    state = host(vg=vg_of(HOME, DISK))
    for proof in Proof:
        assert not far.prove(step(proof=proof), state).ok
    assert far.prove(step(), host(vg=vg_of(HOME))).ok


def test_a_group_that_must_not_be_changed_by_now_gets_no_disk(far: Far) -> None:
    whole = vg_of(HOME)
    away = replace(whole.pvs[0], missing=True, devno=None)
    for vg in (
        replace(whole, pvs=(away,)),
        replace(whole, uuid="another"),
        replace(whole, exported=True),
    ):
        done = far.prove(step(), host(vg=vg))
        assert (done.ok, done.code) == (False, "disk-changed")
    assert far.prove(step(), host(vg=whole)).ok
    assert far.asked == 4


def test_a_disk_that_something_happens_to_during_the_look_is_not_proved(far: Far) -> None:
    async def probe(disk: Disk) -> Probe:
        far.disks = (replace(disk, stamp=disk.stamp + 1), far.disks[1])
        return Probe()

    far.survey = Survey(lambda: far.disks, probe, probe, lambda *_: True)
    done = far.prove(step())
    assert (done.ok, done.code) == (False, "disk-changed")


def test_two_disks_that_cannot_be_told_apart_are_not_proved(far: Far) -> None:
    far.disks = (BARE, make_disk("c", serial=BARE.serial, probe=None))
    done = far.prove(step())
    assert not done.ok
    assert "disk-not-unique" in done.complaint
