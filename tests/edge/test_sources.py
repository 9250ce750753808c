"""edge/sources: each wakes when something moved, and only then."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from itertools import count, pairwise
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Trigger
from dmguard.core.wake import Wake
from dmguard.edge.dm import Control, DmUnavailableError
from dmguard.edge.sources.dmevents import DmEvents
from tests.edge.conftest import run, until
from tests.edge.dmfake import ARM_POLL, LIST, LV_ID, POOL_UUID, Device, Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER_UUID = POOL_UUID.replace(LV_ID, "M" * 32)


class EventKernel(Kernel):
    """A kernel whose control device becomes readable when something happened, until it is armed."""

    def __init__(self, *devices: Device) -> None:
        super().__init__(list(devices))
        self.ours, self.theirs = socket.socketpair()
        self.theirs.settimeout(0)
        self.armed: list[float] = []

    def ioctl(self, descriptor: int, request: int, buffer: bytearray) -> int:
        result = super().ioctl(descriptor, request, buffer)
        if request & 0xFF == ARM_POLL:
            self.armed.append(monotonic())
            with contextlib.suppress(BlockingIOError):
                self.theirs.recv(4096)
        return result

    def open(self) -> Control:
        return Control(os.dup(self.theirs.fileno()), self.ioctl)

    def raise_event(self) -> None:
        self.ours.send(b"!")

    async def happen(self) -> None:
        """Let the source see that something happened."""
        before = len(self.armed)
        self.raise_event()
        await until(lambda: len(self.armed) > before)

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


@pytest.fixture
def kernel() -> Iterator[EventKernel]:
    made = EventKernel(Device("vg-pool", POOL_UUID, event_nr=7), Device("root", "LVM-" + "R" * 64))
    yield made
    made.close()


class Running:
    """A source that runs for the time of a `with`."""

    def __init__(self, kernel: EventKernel) -> None:
        self.kernel = kernel
        self.wakes: list[Wake] = []

    async def __aenter__(self) -> list[Wake]:
        self.task = asyncio.create_task(DmEvents(self.kernel.open).run(self.wakes.append))
        await until(lambda: any(command == LIST for command, _, _ in self.kernel.asked))
        return self.wakes

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def test_a_pool_whose_event_number_moved_wakes_once(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            kernel.devices[0].event_nr += 1
            await kernel.happen()
            await kernel.happen()  # readable again, and nothing moved
        return wakes

    assert run(main()) == [Wake(Trigger.DM_EVENT, POOL_UUID)]


def test_several_events_between_two_looks_wake_once(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            kernel.devices[0].event_nr += 5
            kernel.raise_event()
            await kernel.happen()
        return wakes

    assert run(main()) == [Wake(Trigger.DM_EVENT, POOL_UUID)]


def test_other_devices_wake_nobody(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            kernel.devices[1].event_nr += 1
            kernel.devices.append(Device("docker-253:0-1-abc", "", kind="thin"))
            await kernel.happen()
            kernel.devices.pop()
            await kernel.happen()
        return wakes

    assert run(main()) == []


def test_a_pool_that_comes_or_goes_wakes(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            kernel.devices.append(Device("new", OTHER_UUID))
            await kernel.happen()
            del kernel.devices[0]
            await kernel.happen()
        return wakes

    assert [wake.subject for wake in run(main())] == [OTHER_UUID, POOL_UUID]


def test_a_storm_of_devices_costs_a_tenth_of_a_processor(
    kernel: EventKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock says that each list takes 10 ms: the next one comes a tenth of a second later."""
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) * 0.01)
    monkeypatch.setattr("dmguard.edge.sources.dmevents.time", clock)

    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            for number in range(4):
                kernel.devices.append(Device(f"docker-{number}", "", kind="thin"))
                kernel.devices[0].event_nr += number == 3
                await kernel.happen()
        return wakes

    assert run(main()) == [Wake(Trigger.DM_EVENT, POOL_UUID)]
    _, *rest = pairwise(kernel.armed)
    assert all(later - earlier >= 0.099 for earlier, later in rest)


def test_what_tells_of_no_pool_is_looked_at_twenty_times_a_second(kernel: EventKernel) -> None:
    async def main() -> None:
        async with Running(kernel):
            for number in range(3):
                kernel.devices.append(Device(f"docker-{number}", "", kind="thin"))
                await kernel.happen()

    run(main())
    _, *rest = pairwise(kernel.armed)
    assert all(later - earlier >= 0.049 for earlier, later in rest)


def test_it_arms_before_it_lists(kernel: EventKernel) -> None:
    async def main() -> None:
        async with Running(kernel):
            await kernel.happen()

    run(main())
    commands = [command for command, _, _ in kernel.asked]
    assert commands == [ARM_POLL, LIST, ARM_POLL, LIST]


def test_an_event_during_the_look_is_looked_at_after_it(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            answer = kernel._answer
            raised: list[bool] = []

            def late(command: int, name: str, flags: int) -> bytearray:
                reply = answer(command, name, flags)
                if command == LIST and not raised:
                    raised.append(True)
                    kernel.devices[0].event_nr += 1
                    kernel.raise_event()
                return reply

            kernel._answer = late  # type: ignore[method-assign]
            await kernel.happen()
            await until(lambda: bool(wakes))
        return wakes

    assert run(main()) == [Wake(Trigger.DM_EVENT, POOL_UUID)]


def test_a_failing_ioctl_ends_it_with_its_error(kernel: EventKernel) -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        opened: list[int] = []

        def open_control() -> Control:
            control = kernel.open()
            opened.append(control.fileno())
            return control

        task = asyncio.create_task(DmEvents(open_control).run(lambda _: None))
        await until(lambda: len(kernel.armed) == 1 and len(kernel.asked) == 2)
        kernel.fails = PermissionError(13, "Permission denied")
        kernel.raise_event()
        with pytest.raises(PermissionError):
            await task
        return loop.remove_reader(opened[0])

    assert run(main()) is False


def test_a_kernel_without_device_mapper_ends_it_with_its_error() -> None:
    def open_control() -> Control:
        raise DmUnavailableError("control: No such device")

    with pytest.raises(DmUnavailableError, match="No such device"):
        run(DmEvents(open_control).run(lambda _: None))


def test_a_cancelled_source_leaves_no_reader_and_no_descriptor(kernel: EventKernel) -> None:
    async def main() -> bool:
        loop = asyncio.get_running_loop()
        opened: list[int] = []

        def open_control() -> Control:
            control = kernel.open()
            opened.append(control.fileno())
            return control

        task = asyncio.create_task(DmEvents(open_control).run(lambda _: None))
        await until(lambda: len(kernel.asked) == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(opened[0])
        return loop.remove_reader(opened[0])

    assert run(main()) is False


def test_a_pool_that_is_none_of_lvms_wakes_too(kernel: EventKernel) -> None:
    async def main() -> list[Wake]:
        async with Running(kernel) as wakes:
            kernel.devices.append(Device("docker-8:1-2-pool", "", (253, 9)))
            await kernel.happen()
            kernel.devices[-1].event_nr += 1
            await kernel.happen()
        return wakes

    assert [wake.subject for wake in run(main())] == ["docker-8:1-2-pool"] * 2
