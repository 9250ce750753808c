"""What the kernel and LVM say, joined, and when LVM is asked."""

import asyncio
from collections.abc import Collection, Hashable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

import pytest

from dmguard.core.model import KernelPool, Mode, Pool, Profile, State, Usage, Vg
from dmguard.edge.dm import DmUnavailableError
from dmguard.edge.lvm import ReportError
from dmguard.edge.run import CommandTimeoutError
from dmguard.loop.observe import Observer, Senses, join, merge
from tests.unit.builders import make_pool, make_pv, make_vg

if TYPE_CHECKING:
    from dmguard.edge.dm import Control
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


GROUPS = ("one", "two")


class FakeLvm:
    """LVM with two VGs, each of one PV and one pool; notes what it is asked."""

    def __init__(self) -> None:
        self.profile = "a"
        self.settings = 0
        self.metadata: dict[str, int] = dict.fromkeys(GROUPS, 1)
        self.vgs = {name: self.make(name) for name in GROUPS}
        self.asked: list[str] = []
        self.shown: list[tuple[str, ...]] = []
        self.fails = self.broken = self.busy = False
        self.attempts: list[int] = []
        self.hung: dict[str, bool] = {}
        """Groups whose disks do not answer; True: who asks cannot be killed."""
        self.on = ""
        """One of them whose disk nobody looks at who is shown others."""

    @staticmethod
    def make(name: str, **changes: object) -> Vg:
        pv = replace(make_pv(10_000, name=f"sd-{name}"), devno=(8, len(name)))
        vg = replace(make_vg(name=name), pvs=(pv,))
        return replace(vg, pools=(make_pool(vg=vg).lv,), **changes)  # type: ignore[arg-type]

    def fingerprint(self) -> Hashable:
        return self.settings

    def backups(self) -> dict[str, int]:
        return dict(self.metadata)

    def settings_fingerprint(self) -> Hashable:
        return self.settings

    def commit(self, name: str, **changes: object) -> None:
        """A command changes a VG's metadata."""
        seqno = self.metadata.get(name, 0) + 1
        self.metadata[name] = seqno
        self.vgs[name] = self.make(name, seqno=seqno, **changes)

    async def read_vgs(
        self,
        _: "Runner",
        names: Collection[str] = (),
        devices: Collection[str] = (),
        *,
        attempts: int = 20,
        timeout_s: float = 20.0,
    ) -> tuple[Vg, ...]:
        self.attempts.append(attempts)
        self.asked.append(f"vgs {' '.join(sorted(names))}".strip())
        self.shown.append(tuple(sorted(devices)))
        if self.broken:
            raise OSError("no report")
        if self.busy:
            raise self.ReportBusyError
        asked = {name: not names or name in names for name in self.hung}
        if self.on:
            asked[self.on] = not devices
        if hung := [stuck for name, stuck in self.hung.items() if asked[name]]:
            raise CommandTimeoutError(("lvm",), timeout_s, stuck=any(hung))
        read = [vg for name, vg in self.vgs.items() if not names or name in names]
        return tuple(
            replace(vg, pools=tuple(replace(lv, profile=self.profile) for lv in vg.pools))
            for vg in read
        )

    async def read_profile(self, _: "Runner", name: str) -> Profile:
        self.asked.append(name)
        if self.fails:
            raise OSError("no answer")
        return Profile(self.settings, 20)

    class ReportBusyError(Exception):
        partial = ()

    ReportError = ReportError


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeLvm:
    fake = FakeLvm()
    monkeypatch.setattr("dmguard.loop.observe.lvm", fake)
    return fake


def no_control() -> NoReturn:
    raise DmUnavailableError("no kernel here")


def make_observer(members: tuple[str, ...] | None = None) -> Observer:
    async def answering() -> tuple[str, ...]:
        return members or ()

    senses = Senses(members=None if members is None else answering)
    return Observer(cast("Runner", None), no_control, senses)


def look(observer: Observer, **how: Any) -> State:
    return asyncio.run(observer.look(**how))


def test_lvm_is_asked_when_its_files_changed_or_the_caller_must_be_sure(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    look(observer)
    assert fake.asked == ["vgs", "a"]
    fake.settings = 1
    look(observer)
    assert fake.asked.count("vgs") == 2
    look(observer, fresh=True)
    assert fake.asked.count("vgs") == 3
    observer.forget()
    look(observer)
    assert fake.asked.count("vgs") == 4


def asked_after(fake: FakeLvm, **how: Any) -> list[str]:
    """What LVM is asked at the next look of an observer that had seen everything."""
    observer, change = make_observer(), how.pop("change", lambda: None)
    look(observer)
    fake.asked.clear()
    change()
    state = look(observer, **how)
    assert {vg.name: vg.seqno for vg in state.vgs} == {
        vg.name: vg.seqno for vg in fake.vgs.values()
    }
    again = len(fake.asked)
    look(observer)
    assert len(fake.asked) == again
    return fake.asked


def test_of_a_group_that_changed_no_other_is_read(fake: FakeLvm) -> None:
    assert asked_after(fake, change=lambda: fake.commit("two")) == ["vgs two"]


def test_a_device_of_a_group_that_was_written_to_has_that_group_read(fake: FakeLvm) -> None:
    fake.vgs["one"] = replace(fake.vgs["one"], seqno=1)
    assert asked_after(fake, touched=("sd-one",)) == ["vgs one"]


def test_a_group_is_read_from_its_own_devices_alone_where_they_are_certain(
    fake: FakeLvm,
) -> None:
    asked_after(fake, change=lambda: fake.commit("two"))
    assert fake.shown == [(), ("/dev/sd-two",)]
    fake.shown.clear()
    asked_after(fake, change=lambda: fake.metadata.update(one=8, two=8))
    assert fake.shown == [(), ("/dev/sd-one", "/dev/sd-two")]
    pv = make_pv(0, name="sd-two")
    for wrong in (replace(pv, twin=True), replace(pv, missing=True)):
        fake.shown.clear()
        fake.vgs["two"] = fake.make("two", pvs=(wrong,))
        asked_after(fake, change=lambda: fake.metadata.update(two=fake.metadata["two"] + 1))
        assert fake.shown == [(), ()], wrong


def test_of_a_device_that_is_none_of_a_groups_everything_is_read(fake: FakeLvm) -> None:
    assert asked_after(fake, touched=("sd-one", "sdz")) == ["vgs"]


def test_a_group_that_comes_or_goes_has_everything_read(fake: FakeLvm) -> None:
    assert asked_after(fake, change=lambda: fake.commit("new")) == ["vgs"]

    def remove() -> None:
        del fake.vgs["two"], fake.metadata["two"]

    assert asked_after(fake, change=remove) == ["vgs two", "vgs"]


def test_a_group_that_has_other_devices_than_before_has_everything_read(fake: FakeLvm) -> None:
    for pvs in ((), (make_pv(0, name="sdz"),), (make_pv(0, name="sd-two", missing=True),)):
        fake.commit("two")
        change = partial(fake.commit, "two", pvs=pvs)
        assert asked_after(fake, change=change) == ["vgs two", "vgs"]


def test_of_two_groups_of_one_name_none_is_read_alone(fake: FakeLvm) -> None:
    fake.vgs["twin"] = fake.make("two", uuid="another")
    assert asked_after(fake, change=lambda: fake.metadata.update(two=7)) == ["vgs"]


def test_after_a_growth_the_group_is_left_for_the_next_look(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    fake.commit("two")
    fake.asked.clear()
    look(observer, quick=True)
    assert (fake.asked, observer.behind) == ([], True)
    state = look(observer)
    assert (fake.asked, observer.behind) == (["vgs two"], False)
    assert [vg.seqno for vg in state.vgs] == [1, 2]


def test_what_is_not_one_groups_is_read_also_by_a_quick_look(fake: FakeLvm) -> None:
    assert asked_after(fake, quick=True, change=lambda: setattr(fake, "settings", 1))[0] == "vgs"


def test_a_group_that_is_locked_stays_as_it_was_known_and_is_read_again(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    fake.commit("two")
    fake.busy = True
    fake.asked.clear()
    assert [vg.seqno for vg in look(observer).vgs] == [1, 1]
    assert [vg.seqno for vg in look(observer).vgs] == [1, 1]
    assert look(observer).vgs
    assert fake.attempts[-2:] == [1, 1], "no look waits again for what was waited for in vain"
    fake.busy = False
    assert [vg.seqno for vg in look(observer).vgs] == [1, 2]
    assert fake.asked == ["vgs two", "vgs", "vgs", "vgs"]
    look(observer, fresh=True)
    assert fake.attempts[-1] == 20


def see_hung(fake: FakeLvm, name: str, *, stuck: bool) -> tuple[Observer, State]:
    """A look at everything, with a group whose disks answered before and do no more."""
    observer = make_observer()
    look(observer)
    fake.commit("one")
    fake.hung[name] = stuck
    fake.asked.clear()
    return observer, look(observer, fresh=True)


@pytest.mark.parametrize("stuck", [True, False])
def test_a_group_whose_disks_do_not_answer_hides_no_other(fake: FakeLvm, *, stuck: bool) -> None:
    """One that is merely slow may be changed: it is as it was known."""
    observer, state = see_hung(fake, "two", stuck=stuck)
    assert fake.asked == ["vgs", "vgs one", "vgs two"]
    assert [(vg.seqno, vg.silent) for vg in state.vgs] == [(2, False), (1, stuck)]
    assert observer.devices_of("one") == ("/dev/sd-one",)
    assert "no answer" in observer.unanswered

    fake.asked.clear()
    fake.commit("one")
    assert [vg.seqno for vg in look(observer).vgs] == [3, 1]
    assert "vgs" not in fake.asked, "it would be waited for again, and a pool may fill"

    fake.hung.clear()
    state = look(observer, fresh=True)
    assert [(vg.seqno, vg.silent) for vg in state.vgs] == [(3, False), (1, False)]
    assert observer.unanswered == ""


def test_a_disk_of_no_group_that_does_not_answer_hides_none(fake: FakeLvm) -> None:
    observer, state = see_hung(fake, "none", stuck=True)
    assert [(vg.seqno, vg.silent) for vg in state.vgs] == [(2, False), (1, False)]
    assert observer.unanswered


def test_of_a_group_that_changed_while_nothing_else_was_told_what_was_known_stays(
    fake: FakeLvm,
) -> None:
    """Other disks are only seen by who looks at all of them."""
    observer, _ = see_hung(fake, "none", stuck=True)
    fake.commit("two", pvs=(make_pv(0, name="sdz"),))
    assert [vg.seqno for vg in look(observer).vgs] == [2, 1]
    assert observer.devices_of("two") == ()


@pytest.mark.parametrize("members", [None, ()])
def test_where_no_group_is_known_and_no_disk_answers_there_is_nothing_to_go_by(
    fake: FakeLvm, members: tuple[str, ...] | None
) -> None:
    fake.hung["two"] = True
    observer = make_observer(members=members)
    for _ in range(2):
        with pytest.raises(CommandTimeoutError):
            look(observer)
        assert observer.unanswered == ""


def test_where_no_group_is_known_those_are_read_that_are_on_disks_that_answer(
    fake: FakeLvm,
) -> None:
    """One that lies on another disk besides cannot be told from one that has lost it."""
    lost = (make_pv(0, name="sd-two"), replace(make_pv(0, name="sd-x"), missing=True))
    fake.commit("two", pvs=lost)
    fake.hung["x"] = True
    fake.on = "x"
    observer = make_observer(members=("/dev/sd-one", "/dev/sd-two"))
    for _ in range(2):
        assert [(vg.name, vg.silent) for vg in look(observer).vgs] == [
            ("one", False),
            ("two", True),
        ]
        assert observer.devices_of("one") == ("/dev/sd-one",)
        assert observer.devices_of("two") == ()
        assert "no answer" in observer.unanswered
    assert fake.shown[1] == ("/dev/sd-one", "/dev/sd-two")
    fake.hung.clear()
    look(observer, fresh=True)
    assert observer.unanswered == ""


def test_a_pool_that_grew_since_lvm_was_read_is_as_large_as_the_kernel_has_it() -> None:
    pool = make_pool()
    assert pool.kernel is not None
    vg = replace(pool.vg, pools=(pool.lv,))
    grown = replace(pool.kernel, size=2 * pool.lv.size)
    (joined,) = join((vg,), (grown,), {}).pools
    assert joined.lv.size == grown.size
    smaller = replace(pool.kernel, size=pool.lv.size // 2)
    (joined,) = join((vg,), (smaller,), {}).pools
    assert joined.lv.size == pool.lv.size


def test_a_profile_is_read_when_the_settings_changed_or_another_is_used(fake: FakeLvm) -> None:
    observer = make_observer()
    look(observer)
    fake.commit("one")
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


class FakeControl:
    """The kernel's pools, which are those of LVM; notes which of them are read."""

    def __init__(self, fake: FakeLvm) -> None:
        self.pools = [make_pool(vg=vg) for vg in fake.vgs.values()]
        self.read: list[str] = []

    def list_devices(self) -> tuple[()]:
        return ()

    def read_pools(
        self, _: object, *, anew: bool, kept: Collection[KernelPool]
    ) -> tuple[KernelPool, ...]:
        known = {kernel.ids: kernel for kernel in kept}
        self.read.append(f"{'anew' if anew else 'brief'}:")
        return tuple(
            known.get((pool.vg.uuid, pool.lv.uuid)) or self.ask(pool) for pool in self.pools
        )

    def ask(self, pool: Pool) -> KernelPool:
        assert pool.kernel is not None
        self.read[-1] += f" {pool.name}"
        return pool.kernel

    def read_bare(self, _: object) -> tuple[()]:
        return ()


def test_only_those_pools_are_read_that_are_asked_for(fake: FakeLvm) -> None:
    control = FakeControl(fake)
    observer = Observer(cast("Runner", None), lambda: cast("Control", control))
    one = control.pools[0].kernel
    assert one is not None

    def read(**how: Any) -> list[str]:
        control.read.clear()
        asyncio.run(observer.look(**how))
        return control.read

    both = "one/pool two/pool"
    # What is not known is read, and after LVM was asked everything is.
    assert read(only=("one/pool",)) == [f"brief: {both}", f"anew: {both}"]
    assert read(only=("one/pool",)) == ["brief: one/pool"]
    assert read(only=(f"LVM-{one.vg_uuid}{one.lv_uuid}-tpool",)) == ["brief: one/pool"]
    control.pools[0] = replace(control.pools[0], kernel=replace(one, devno=(254, 17)))
    read()
    assert read(only=("254:17",)) == ["brief: one/pool"]
    control.pools[0] = replace(control.pools[0], kernel=one)
    read()
    assert read() == [f"brief: {both}"]
    assert read(only=(), units=True) == [f"anew: {both}"]
    control.read.clear()
    observer.glance("two/pool")
    observer.glance()
    assert control.read == ["anew: two/pool", f"anew: {both}"]


@pytest.mark.parametrize(
    ("used", "mode", "tight"),
    [
        (89, Mode.RW, False),
        (90, Mode.RW, True),
        (10, Mode.OUT_OF_DATA, True),
        (None, Mode.FAIL, False),
    ],
)
def test_a_pool_is_tight_from_nine_tenths_on(
    fake: FakeLvm, used: int | None, mode: Mode, *, tight: bool
) -> None:
    control = FakeControl(fake)
    observer = Observer(cast("Runner", None), lambda: cast("Control", control))
    one = control.pools[0].kernel
    assert one is not None
    data = None if used is None else Usage(used, 100)
    control.pools[0] = replace(control.pools[0], kernel=replace(one, data=data, mode=mode))
    asyncio.run(observer.look())
    assert observer.may_wait() is tight
    elsewhere = Senses(copies_on=lambda _: False)
    observer = Observer(cast("Runner", None), lambda: cast("Control", control), elsewhere)
    asyncio.run(observer.look())
    assert not observer.may_wait()


def test_a_growth_of_metadata_that_lvm_made_no_backup_of_is_seen(fake: FakeLvm) -> None:
    control = FakeControl(fake)
    observer = Observer(cast("Runner", None), lambda: cast("Control", control))
    asyncio.run(observer.look())
    fake.asked.clear()
    one = control.pools[0].kernel
    assert one is not None
    assert one.metadata is not None
    larger = replace(one.metadata, total=2 * one.metadata.total)
    control.pools[0] = replace(control.pools[0], kernel=replace(one, metadata=larger))
    asyncio.run(observer.look())
    assert fake.asked == ["vgs one"]


def test_who_writes_to_a_pool_may_wait_for_it_however_empty_it_is(fake: FakeLvm) -> None:
    control, asked = FakeControl(fake), []

    def copies_on(devices: Collection[tuple[int, int]]) -> bool:
        asked.append(set(devices))
        return True

    senses = Senses(copies_on=copies_on)
    observer = Observer(cast("Runner", None), lambda: cast("Control", control), senses)
    asyncio.run(observer.look())
    assert observer.may_wait()
    assert asked == [{pool.kernel.devno for pool in control.pools if pool.kernel}]


@pytest.mark.parametrize(
    "pv", [{"twin": True}, {"missing": True}, {"missing": True, "devno": None}], ids=str
)
def test_where_a_groups_pvs_are_is_told_only_where_it_is_certain(
    fake: FakeLvm, pv: dict[str, object]
) -> None:
    observer = make_observer()
    assert observer.devices_of("one") == ()
    look(observer)
    (known,) = fake.vgs["one"].pvs
    assert observer.devices_of("one") == (known.name,)
    assert observer.devices_of("three") == ()
    observer.forget()
    assert observer.devices_of("one") == (known.name,), "that it is asked again is no doubt"
    fake.commit("one")
    fake.vgs["one"] = replace(fake.vgs["one"], pvs=(replace(known, **pv),))  # type: ignore[arg-type]
    look(observer)
    assert observer.devices_of("one") == ()
    assert len(observer.devices_of("two")) == 1
