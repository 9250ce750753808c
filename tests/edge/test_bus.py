"""edge/bus and the source on it: a real dbus-daemon, and a systemd that is not."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# isort: off
from dmguard.edge.bus import BusError, Limits, SystemBus, _Connection, unit_path
from dbus_next.message import Message
from dbus_next.signature import Variant

# isort: on
from dmguard.core.model import Trigger, Unit
from dmguard.core.wake import Wake
from dmguard.edge.sources.units import UnitEvents
from tests.edge.conftest import run, until
from tests.edge.systemd1fake import PROPERTIES, UNIT, Daemon, Systemd, properties

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator

DOCKER, POD = "docker.service", "9pod@a-b.service"
SHORT = Limits(connect=0.3, read=0.3, act=0.3)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    made.start()
    yield made
    made.kill()
    gc.collect()  # a socket left open complains now, and so fails this test


def descriptors() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return sorted(found)


@contextlib.asynccontextmanager
async def talking(
    daemon: Daemon, limits: Limits | None = None
) -> AsyncIterator[tuple[Systemd, SystemBus]]:
    systemd = Systemd(daemon.address, {DOCKER: properties()})
    await systemd.start()
    bus = SystemBus(daemon.address, limits or Limits())
    await bus.connect()
    try:
        yield systemd, bus
    finally:
        bus.close()
        systemd.stop()


async def refused(call: Awaitable[object], within_s: float = 2.0) -> BusError:
    """The error that a call ends with, in time."""
    began = time.monotonic()
    with pytest.raises(BusError) as caught:
        await call
    assert time.monotonic() - began < within_s
    return caught.value


def test_the_path_of_a_unit_is_what_systemd_makes_of_its_name() -> None:
    assert unit_path(DOCKER) == "/org/freedesktop/systemd1/unit/docker_2eservice"
    assert unit_path("9a_b9é") == "/org/freedesktop/systemd1/unit/_39a_5fb9_c3_a9"
    assert unit_path("") == "/org/freedesktop/systemd1/unit/_"


def test_a_unit_is_read_with_its_job_and_its_times(daemon: Daemon) -> None:
    async def main() -> list[Unit | None]:
        async with talking(daemon) as (systemd, bus):
            first = await bus.read_unit(DOCKER)
            job = [42, "/org/freedesktop/systemd1/job/42"]
            systemd.units[DOCKER] = properties(
                ActiveState=Variant("s", "failed"),
                Job=Variant("(uo)", job),
                ActiveEnterTimestampMonotonic=Variant("t", 0),
                InactiveExitTimestampMonotonic=Variant("t", 5),
            )
            return [first, await bus.read_unit(DOCKER)]

    assert run(main()) == [
        Unit(DOCKER, "active", has_job=False, entered=2_000_000, tried=1_000_000),
        Unit(DOCKER, "failed", has_job=True, entered=0, tried=5),
    ]


def test_there_is_no_unit_of_a_name_that_is_not_found_or_masked(daemon: Daemon) -> None:
    async def main() -> list[Unit | None]:
        async with talking(daemon) as (systemd, bus):
            systemd.units[POD] = properties(LoadState=Variant("s", "masked"))
            return [await bus.read_unit("absent.service"), await bus.read_unit(POD)]

    assert run(main()) == [None, None]


def test_an_answer_that_lacks_something_is_an_error_and_no_guess(daemon: Daemon) -> None:
    async def main() -> list[str]:
        async with talking(daemon) as (systemd, bus):
            said = []
            for broken in (
                {"Job": None},
                {"Job": Variant("s", "none")},
                {"ActiveState": None},
                {"ActiveEnterTimestampMonotonic": Variant("d", float("inf"))},
                {"InactiveExitTimestampMonotonic": Variant("x", -5)},
            ):
                systemd.units[DOCKER] = properties(**broken)
                said.append(str(await refused(bus.read_unit(DOCKER))))
            systemd.signature = "s"
            return [*said, str(await refused(bus.read_unit(DOCKER)))]

    job, garbage, state, infinite, negative, kind = run(main())
    assert "lacks Job of type '(uo)'" in job
    assert garbage == job
    assert "lacks ActiveState of type 's'" in state
    assert "lacks ActiveEnterTimestampMonotonic of type 't'" in infinite
    assert "lacks InactiveExitTimestampMonotonic of type 't'" in negative
    assert "is of type 's', not 'o'" in kind


def test_start_restart_and_reset_are_asked_of_systemd(daemon: Daemon) -> None:
    async def main() -> list[tuple[str, ...]]:
        async with talking(daemon) as (systemd, bus):
            await bus.reset_failed(DOCKER)
            await bus.start_unit(DOCKER)
            await bus.restart_unit(DOCKER)
            return systemd.asked

    assert run(main()) == [
        ("ResetFailedUnit", DOCKER),
        ("StartUnit", DOCKER, "replace"),
        ("RestartUnit", DOCKER, "replace"),
    ]


def test_a_reset_of_a_unit_that_is_not_loaded_is_no_error_and_a_start_is(daemon: Daemon) -> None:
    async def main() -> tuple[int, BusError]:
        async with talking(daemon) as (systemd, bus):
            await bus.reset_failed("absent.service")
            error = await refused(bus.start_unit("absent.service"))
            return systemd.count("ResetFailedUnit"), error

    count, error = run(main())
    assert count == 1
    assert error.name == "org.freedesktop.systemd1.NoSuchUnit"
    assert str(error) == (
        "org.freedesktop.systemd1.Manager.StartUnit: Unit absent.service not found."
    )


def test_an_error_reply_is_told_with_its_name_and_text(daemon: Daemon) -> None:
    async def main() -> list[BusError]:
        async with talking(daemon) as (systemd, bus):
            denied = ("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
            systemd.errors = dict.fromkeys(("ResetFailedUnit", "LoadUnit"), denied)
            return [
                await refused(bus.reset_failed(DOCKER)),
                await refused(bus.read_unit(DOCKER)),
            ]

    for error in run(main()):
        assert error.name == "org.freedesktop.DBus.Error.AccessDenied"
        assert str(error).endswith("Unit: Permission denied")
        assert isinstance(error, OSError)


def test_a_silent_systemd_costs_the_limit_and_leaves_nothing_behind(daemon: Daemon) -> None:
    async def main() -> tuple[list[str], int, Unit | None]:
        async with talking(daemon, SHORT) as (systemd, bus):
            systemd.silent = {"LoadUnit", "StartUnit"}
            said = [
                str(await refused(bus.read_unit(DOCKER))),
                str(await refused(bus.start_unit(DOCKER))),
            ]
            systemd.silent = {"GetAll"}
            said.append(str(await refused(bus.read_unit(DOCKER))))
            assert bus._connection is not None
            waiting = len(bus._connection._method_return_handlers)
            systemd.silent = set()
            return said, waiting, await bus.read_unit(DOCKER)

    said, waiting, unit = run(main())
    assert [text.split(": ")[1] for text in said] == ["no answer within 0.3 s"] * 3
    assert waiting == 0
    assert unit is not None


def test_a_stopped_daemon_costs_the_limit(daemon: Daemon) -> None:
    async def main() -> list[str]:
        async with talking(daemon, SHORT) as (_, bus):
            daemon.signal(signal.SIGSTOP)
            try:
                return [
                    str(await refused(bus.read_unit(DOCKER))),
                    str(await refused(SystemBus(daemon.address, SHORT).connect())),
                ]
            finally:
                daemon.signal(signal.SIGCONT)

    assert all("no answer within 0.3 s" in text for text in run(main()))


def test_a_pending_call_ends_with_the_daemon_and_a_new_one_fails_at_once(daemon: Daemon) -> None:
    async def main() -> tuple[BusError, list[BusError], bool]:
        async with talking(daemon) as (systemd, bus):
            systemd.silent = {"LoadUnit"}
            pending = asyncio.create_task(refused(bus.read_unit(DOCKER)))
            await until(lambda: systemd.count("LoadUnit") == 1)
            daemon.kill()
            ended = await pending
            await bus.wait_for_disconnect()
            after = [
                await refused(bus.read_unit(DOCKER), 0.1),
                await refused(bus.restart_unit(DOCKER), 0.1),
                await refused(bus.subscribe([DOCKER], print), 0.1),
            ]
            return ended, after, bus.connected

    ended, after, connected = run(main())
    assert "the connection is gone" in str(ended)
    assert all("not connected" in str(error) for error in after)
    assert not connected


def test_without_a_connection_every_call_fails_at_once() -> None:
    async def main() -> list[str]:
        bus = SystemBus("unix:path=/nonexistent")
        await bus.wait_for_disconnect()
        bus.close()
        calls = (bus.read_unit, bus.reset_failed, bus.start_unit, bus.restart_unit)
        said = [str(await refused(call(DOCKER), 0.1)) for call in calls]
        return [*said, str(await refused(bus.subscribe([DOCKER], print), 0.1))]

    assert run(main()) == ["not connected to D-Bus"] * 5


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("unix:path=/nonexistent/bus", "No such file or directory"),
        ("unix:path=/nonexistent/a;unix:abstract=nobody-listens-here", "Connection refused"),
        ("tcp:host=localhost,port=1", "names no Unix socket"),
        ("nonsense", "transport"),
        ("unix:path=/a b", "invalid characters"),
        ("unix:path=/" + "a" * 200, "AF_UNIX path too long"),
    ],
)
def test_an_address_where_no_bus_is_is_an_error(address: str, says: str) -> None:
    before = descriptors()
    error = run(refused(SystemBus(address).connect()))
    assert says in str(error)
    gc.collect()
    assert descriptors() == before


@contextlib.contextmanager
def listening(directory: Path, backlog: int = 8) -> Iterator[tuple[str, socket.socket]]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(directory / "other"))
        server.listen(backlog)
        yield f"unix:path={directory / 'other'}", server


def test_a_listener_with_a_full_queue_is_an_error_at_once(tmp_path: Path) -> None:
    async def main(address: str) -> BusError:
        return await refused(SystemBus(address).connect(), 0.5)

    with listening(tmp_path, 0) as (address, _), socket.socket(socket.AF_UNIX) as first:
        first.connect(str(tmp_path / "other"))
        assert "Resource temporarily unavailable" in str(run(main(address)))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"", "the bus closed the connection"),
        (b"x" * 5000, "the bus closed the connection"),
        (b"REJECTED EXTERNAL\r\n", "authentication failed"),
        (b"NONSENSE\r\n", "NONSENSE"),
        (b"\xff\xfe\r\n", "decode"),
        (b"OK 1234\r\n", "the connection is gone"),
    ],
)
def test_a_listener_that_is_no_bus_is_an_error(tmp_path: Path, answer: bytes, says: str) -> None:
    async def main(address: str, server: socket.socket) -> BusError:
        server.settimeout(0)
        connecting = asyncio.create_task(refused(SystemBus(address).connect()))
        peer, _ = await asyncio.get_running_loop().sock_accept(server)
        with peer:
            peer.send(answer)
            peer.shutdown(socket.SHUT_WR)
            return await connecting

    before = descriptors()
    with listening(tmp_path) as (address, server):
        assert says in str(run(main(address, server)))
    gc.collect()
    assert descriptors() == before


def test_a_bus_that_has_no_room_for_us_is_an_error(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "<limit name='max_connections_per_user'>1</limit>")
    daemon.start()

    async def main() -> BusError:
        systemd = Systemd(daemon.address)
        await systemd.start()
        try:
            return await refused(SystemBus(daemon.address).connect())
        finally:
            systemd.stop()

    try:
        assert "maximum number of active connections" in str(run(main()))
    finally:
        daemon.kill()


def test_connecting_twice_is_one_connection_and_anew_after_a_close(daemon: Daemon) -> None:
    async def main() -> tuple[bool, bool, Unit | None]:
        async with talking(daemon) as (_, bus):
            first = bus._connection
            await asyncio.gather(bus.connect(), bus.connect())
            same = bus._connection is first
            bus.close()
            bus.close()
            closed = bus.connected
            await asyncio.gather(bus.connect(), bus.connect())
            return same, closed, await bus.read_unit(DOCKER)

    before = descriptors()
    same, closed, unit = run(main())
    assert same
    assert not closed
    assert unit is not None
    gc.collect()
    assert descriptors() == before


def test_one_who_waits_for_the_end_can_be_cancelled_without_the_other(daemon: Daemon) -> None:
    async def main() -> bool:
        async with talking(daemon) as (_, bus):
            first = asyncio.create_task(bus.wait_for_disconnect())
            second = asyncio.create_task(bus.wait_for_disconnect())
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            still = not second.done() and bus.connected
            daemon.kill()
            await second
            return still

    assert run(main())


def test_the_module_leaves_glib_alone() -> None:
    """Where python3-gi is installed, dbus-next would load it: megabytes, locked in memory."""
    code = (
        "import sys, dmguard.edge.bus; "
        "print(sorted(n for n in sys.modules if n.split('.')[0] == 'gi')); "
        "import importlib.util; print('gi' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert child.stdout.split("\n")[:2] == ["[]", "False"]


class Running:
    """The source on a bus, for the time of a `with`; `wakes` without the first."""

    def __init__(self, daemon: Daemon, *names: str) -> None:
        self.systemd = Systemd(daemon.address, {DOCKER: properties()})
        self.bus = SystemBus(daemon.address)
        self.names = names or (DOCKER, POD)
        self.wakes: list[Wake] = []

    async def __aenter__(self) -> Running:
        await self.systemd.start()
        self.task = asyncio.create_task(
            UnitEvents(self.bus, lambda: self.names).run(self.wakes.append)
        )
        await until(lambda: self.wakes == [Wake(Trigger.DBUS)])
        self.wakes.clear()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError, BusError):
            await self.task
        self.systemd.stop()

    async def woken(self, *names: str) -> None:
        """Wait for these wakes, and no other before them."""
        await until(lambda: len(self.wakes) >= len(names))
        assert sorted(self.wakes, key=str) == [Wake(Trigger.DBUS, name) for name in sorted(names)]
        self.wakes.clear()

    async def passed(self) -> None:
        """Wait until all that was sent so far has been heard: the mark comes after it."""
        self.systemd.remove_job(self.names[-1])
        await self.woken(self.names[-1])


def test_a_change_and_a_job_that_ends_wake_for_their_unit(daemon: Daemon) -> None:
    async def main() -> set[str]:
        async with Running(daemon) as source:
            source.systemd.change(DOCKER)
            await source.woken(DOCKER)
            source.systemd.remove_job(POD)
            await source.woken(POD)
            source.systemd.change(POD)
            source.systemd.remove_job(DOCKER)
            await source.woken(DOCKER, POD)
            return source.systemd.subscribers

    assert len(run(main())) == 0  # it has stopped, and forgot them


def test_other_units_and_other_properties_wake_nobody(daemon: Daemon) -> None:
    async def main() -> list[Wake]:
        async with Running(daemon) as source:
            source.systemd.change("ssh.service")
            source.systemd.remove_job("ssh.service")
            source.systemd.change(DOCKER, "org.freedesktop.systemd1.Service")
            source.systemd.reload(begins=True)
            await source.passed()
            return source.wakes

    assert run(main()) == []


def test_a_storm_of_one_unit_is_one_wake_in_a_fifth_of_a_second(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> tuple[int, float]:
        async with Running(daemon) as source:
            began = time.monotonic()
            for _ in range(10):
                for _ in range(50):
                    source.systemd.change(DOCKER)
                await source.systemd.routed()
            source.systemd.remove_job(POD)  # the mark: heard after all of them
            await until(lambda: Wake(Trigger.DBUS, POD) in source.wakes)
            seconds = time.monotonic() - began
            return source.wakes.count(Wake(Trigger.DBUS, DOCKER)), seconds

    wakes, seconds = run(main())
    assert 1 <= wakes <= 1 + seconds / 0.2
    assert not caplog.records


def test_the_end_of_a_reload_wakes_for_all(daemon: Daemon) -> None:
    async def main() -> bool:
        async with Running(daemon) as source:
            source.systemd.reload(begins=False)
            await source.woken(DOCKER, POD)
            return source.task.done()

    assert run(main()) is False


@pytest.mark.parametrize("straight", [False, True], ids=["broadcast", "to us alone"])
def test_another_sender_wakes_nobody(daemon: Daemon, straight: bool) -> None:  # noqa: FBT001
    async def main() -> list[Wake]:
        async with Running(daemon) as source:
            liar = _Connection(daemon.address)
            await liar.introduce()
            assert source.bus._connection is not None
            ours, theirs = source.bus._connection.unique_name, liar.unique_name
            heard: list[str] = []
            source.bus._connection.add_message_handler(lambda m: heard.append(m.sender))
            body = [UNIT, {}, []]
            lie = Message.new_signal(
                unit_path(DOCKER), PROPERTIES, "PropertiesChanged", "sa{sv}as", body
            )
            moved = Message.new_signal(
                "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged", "sss",
                ["org.freedesktop.systemd1", "", theirs],
            )  # fmt: skip
            for message in (moved, lie):
                message.destination = ours if straight else None  # type: ignore[assignment]
                await liar.send(message)
            if straight:
                await until(lambda: heard.count(str(theirs)) == 2)
            liar.disconnect()
            await source.passed()
            return source.wakes

    assert run(main()) == []


def test_a_daemon_that_dies_ends_the_source_and_its_next_run_subscribes_again(
    daemon: Daemon,
) -> None:
    async def main() -> tuple[BusError, int]:
        async with Running(daemon) as source:
            daemon.kill()
            error = await refused(source.task)
            down = await refused(UnitEvents(source.bus, (DOCKER,)).run(source.wakes.append))
            assert "onnection refused" in str(down)
            daemon.start()
            source.systemd.stop()
            await source.systemd.start()
            source.task = asyncio.create_task(
                UnitEvents(source.bus, (DOCKER,)).run(source.wakes.append)
            )
            await until(lambda: source.wakes == [Wake(Trigger.DBUS)])
            source.wakes.clear()
            source.systemd.change(DOCKER)
            await source.woken(DOCKER)
            return error, source.systemd.count("Subscribe")

    error, subscribed = run(main())
    assert str(error) == "the connection to D-Bus is gone"
    assert subscribed == 2


def test_a_systemd_that_begins_anew_is_subscribed_to_again_and_all_are_looked_at(
    daemon: Daemon,
) -> None:
    async def main() -> tuple[int, int]:
        async with Running(daemon) as source:
            before = source.systemd.count("Subscribe")
            await source.systemd.begin_anew()
            await source.woken(DOCKER, POD)
            source.systemd.change(DOCKER)
            await source.woken(DOCKER)
            return before, source.systemd.count("Subscribe")

    assert run(main()) == (1, 2)


def test_a_systemd_that_takes_no_subscription_any_more_ends_the_source(daemon: Daemon) -> None:
    async def main() -> BusError:
        async with Running(daemon) as source:
            source.systemd.errors["Subscribe"] = ("org.freedesktop.DBus.Error.Failed", "No.")
            await source.systemd.begin_anew()
            return await refused(source.task)

    assert str(run(main())) == "the connection to D-Bus is gone"


def test_a_systemd_that_still_knows_its_subscriber_is_no_error(daemon: Daemon) -> None:
    async def main() -> list[Wake]:
        async with Running(daemon) as source:
            source.systemd.subscribers.add("1")
            error = "org.freedesktop.systemd1.AlreadySubscribed"
            source.systemd.errors["Subscribe"] = (error, "Client is already subscribed.")
            await source.systemd.begin_anew()
            await source.woken(DOCKER, POD)
            source.systemd.subscribers.add("1")
            await source.passed()
            return source.wakes

    assert run(main()) == []


def test_without_systemd_on_the_bus_the_source_ends_with_an_error(daemon: Daemon) -> None:
    async def main() -> tuple[BusError, bool]:
        bus = SystemBus(daemon.address)
        error = await refused(UnitEvents(bus, (DOCKER,)).run(lambda _: None))
        return error, bus.connected

    error, connected = run(main())
    assert "ServiceUnknown" in (error.name or "")
    assert not connected


def test_a_cancelled_source_wakes_no_more_and_leaves_no_descriptor(daemon: Daemon) -> None:
    async def main() -> tuple[list[str], list[str], list[Wake]]:
        before = descriptors()
        async with Running(daemon) as source:
            heard: list[str] = []
            assert source.bus._connection is not None
            source.bus._connection.add_message_handler(lambda m: heard.append(m.member))
            source.systemd.change(DOCKER)
            await until(lambda: "PropertiesChanged" in heard)
            source.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await source.task
            left = list(source.wakes)
            timers = [h for h in asyncio.get_running_loop()._scheduled if not h.cancelled()]  # type: ignore[attr-defined]
            assert not [h for h in timers if "settled" in repr(h)]
        return before, descriptors(), left

    before, after, wakes = run(main())
    assert after == before
    assert wakes == []


def test_a_source_can_be_cancelled_while_it_begins(daemon: Daemon) -> None:
    async def main() -> tuple[bool, list[Wake]]:
        systemd = Systemd(daemon.address, silent={"Subscribe"})
        await systemd.start()
        bus, wakes = SystemBus(daemon.address), list[Wake]()
        task = asyncio.create_task(UnitEvents(bus, (DOCKER,)).run(wakes.append))
        await until(lambda: systemd.count("Subscribe") == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        systemd.stop()
        return bus.connected, wakes

    assert run(main()) == (False, [])


def test_nothing_is_told_through_a_traceback(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    """The library logs what a handler raises, and asyncio what nobody looked at."""

    async def main() -> int:
        async with Running(daemon) as source:
            assert source.systemd.connection is not None
            for member, kind, body in (
                ("JobRemoved", "u", [1]),
                ("PropertiesChanged", "", []),
                ("Reloading", "s", ["yes"]),
            ):
                source.systemd._signal(unit_path("x"), "a.b", member, kind, body)
            await source.passed()
            daemon.kill()
            await refused(source.task)
        gc.collect()
        return len(caplog.records)

    assert run(main()) == 0


def test_more_calls_than_a_stopped_daemon_has_room_for_fail_quietly(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> set[str]:
        async with talking(daemon) as (_, bus):
            daemon.signal(signal.SIGSTOP)
            try:
                calls = [refused(bus.start_unit("x" * 200), 9) for _ in range(2000)]
                return {str(error) for error in await asyncio.gather(*calls)}
            finally:
                daemon.signal(signal.SIGCONT)

    (said,) = run(main())
    gc.collect()
    assert said.endswith("the connection is gone: [Errno 11] Resource temporarily unavailable")
    assert not caplog.records


def test_a_second_subscription_replaces_the_first(daemon: Daemon) -> None:
    async def main() -> tuple[list[str], list[str], bool]:
        first, second = list[str](), list[str]()
        async with talking(daemon, SHORT) as (systemd, bus):
            await bus.subscribe([DOCKER], first.append)
            systemd.silent = {"Subscribe"}
            await systemd.begin_anew()
            await until(lambda: systemd.count("Subscribe") == 2)
            systemd.silent = set()
            await bus.subscribe([DOCKER], second.append)
            systemd.change(DOCKER)
            await until(lambda: bool(second))
            # The first would have ended the connection with its own, unanswered subscription.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2 * SHORT.act):
                    await bus.wait_for_disconnect()
            return first, second, bus.connected

    assert run(main()) == ([], [DOCKER], True)
