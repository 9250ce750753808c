"""What the kernel and LVM say, joined, and when LVM is asked."""

import asyncio
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn, cast

import pytest

from dmguard.core.model import Profile, State, Vg
from dmguard.edge.dm import DmUnavailableError
from dmguard.loop.observe import Observer, join, merge
from tests.unit.builders import make_pool, make_vg

if TYPE_CHECKING:
    from dmguard.edge.run import Runner


def test_a_vg_that_a_report_leaves_out_stays_as_it_was_known() -> None:
    one, two, newer = make_vg(10, name="one"), make_vg(10, name="two"), make_vg(99, name="one")
    assert merge((one, two), (newer,)) == (newer, two)
    assert merge((), (one,)) == (one,)


def test_a_pool_that_the_kernel_runs_alone_is_kept_apart() -> None:
    pool = make_pool()
    assert pool.kernel is not None
    state = join((pool.vg,), (pool.kernel,), {})
    assert state.pools == ()
    assert state.unknown == (pool.kernel,)


class FakeLvm:
    """LVM with one VG; notes what it is asked."""

    def __init__(self) -> None:
        self.profile = "a"
        self.settings = self.metadata = 0
        self.asked: list[str] = []
        self.fails = self.broken = False

    def fingerprint(self) -> Hashable:
        return self.settings, self.metadata

    def settings_fingerprint(self) -> Hashable:
        return self.settings

    async def read_vgs(self, _: "Runner") -> tuple[Vg, ...]:
        self.asked.append("vgs")
        if self.broken:
            raise OSError("no report")
        pool = make_pool()
        return (replace(pool.vg, pools=(replace(pool.lv, profile=self.profile),)),)

    async def read_profile(self, _: "Runner", name: str) -> Profile:
        self.asked.append(name)
        if self.fails:
            raise OSError("no answer")
        return Profile(self.settings, 20)

    class ReportBusyError(Exception):
        pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLvm:
    fake = FakeLvm()
    monkeypatch.setattr("dmguard.loop.observe.lvm", fake)
    return fake


def no_control() -> NoReturn:
    raise DmUnavailableError("no kernel here")


def make_observer() -> Observer:
    return Observer(cast("Runner", None), no_control)


def look(observer: Observer, *, fresh: bool = False) -> State:
    return asyncio.run(observer.look(fresh=fresh))


def test_lvm_is_asked_when_its_files_changed_or_the_caller_must_be_sure(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    look(observer)
    assert fake.asked == ["vgs", "a"]
    fake.metadata = 1
    look(observer)
    assert fake.asked.count("vgs") == 2
    look(observer, fresh=True)
    assert fake.asked.count("vgs") == 3
    observer.forget()
    look(observer)
    assert fake.asked.count("vgs") == 4


def test_a_profile_is_read_when_the_settings_changed_or_another_is_used(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    fake.metadata = 1
    look(observer, fresh=True)
    assert fake.asked == ["vgs", "a", "vgs"]
    fake.settings = 7
    assert look(observer).pools[0].profile == Profile(7, 20)
    fake.profile = "b"
    look(observer, fresh=True)
    assert fake.asked == ["vgs", "a", "vgs", "vgs", "a", "vgs", "b"]


def test_a_look_that_failed_is_made_up_for_by_the_next_one(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    fake.broken = True
    with pytest.raises(OSError, match="no report"):
        look(observer, fresh=True)
    fake.broken = False
    look(observer)
    assert fake.asked.count("vgs") == 3


def test_a_profile_that_could_not_be_read_is_read_again(fake: FakeLvm) -> None:
    observer = make_observer()
    fake.fails = True
    with pytest.raises(OSError, match="no answer"):
        look(observer)
    fake.fails = False
    assert look(observer).pools[0].profile == Profile(0, 20)
