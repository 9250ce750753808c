"""The only module that speaks D-Bus: systemd's units, over the system bus.

D-Bus is a hint and a hand, never needed: a bus that is away, full or hangs costs a BusError within
a known time, and no call here waits for a job of systemd to end.

What dbus-next 0.2.3, its last release, does, and so what we do (its message_bus.py and the one in
aio; we replace some of its inside):

- It connects in its constructor with a blocking socket, which waits for ever on a daemon that hangs
  with a full queue, and leaves the socket open when it fails. It never closes one either.
- A daemon that closes the connection while it authenticates makes it spin without a pause.
- A call on a connection that is gone gets no answer and no error.

What systemd does (org.freedesktop.systemd1(5)): it sends no signals until somebody subscribed, and
the path of a unit is its name with every byte but letters and digits in hex.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.model import Unit
from dmguard.edge.hidden import hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dbus_next.signature import Variant


# GLib: dbus-next loads it where it is installed, for others' sake.
with hidden("gi"):
    from dbus_next.aio.message_bus import MessageBus
    from dbus_next.constants import BusType, MessageType
    from dbus_next.errors import AuthError
    from dbus_next.message import Message

SYSTEM_BUS = "unix:path=/run/dbus/system_bus_socket"
_BUS, _BUS_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_SYSTEMD, _MANAGER_PATH = "org.freedesktop.systemd1", "/org/freedesktop/systemd1"
_MANAGER, _UNIT = "org.freedesktop.systemd1.Manager", "org.freedesktop.systemd1.Unit"
_LINE_MAX = 4096
_TOLD = {
    "LoadState": "s",
    "ActiveState": "s",
    "Job": "(uo)",
    "ActiveEnterTimestampMonotonic": "t",
    "InactiveExitTimestampMonotonic": "t",
}
"""Of a unit's properties those that are read, and of which type they are."""


class BusError(OSError):
    """Not connected, no answer in time, or an error reply; `name` is the reply's, else None.

    It is an OSError because to its callers it is one more source or hand that fails: who runs
    sources again after an OSError does so after this.
    """

    def __init__(self, text: str, name: str | None = None) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that connecting, one reading call and one acting call may take."""

    connect: float = 5.0
    read: float = 3.0
    act: float = 10.0


_LIMITS = Limits()


class _Connection(MessageBus):
    """One connection that never blocks, and is closed for good when it is gone."""

    def __init__(self, address: str) -> None:
        """OSError or ValueError if nothing listens there. Needs a running loop."""
        super().__init__(bus_address=address, bus_type=BusType.SYSTEM)

    def _setup_socket(self) -> None:
        """Connect to the first Unix socket of the address that has room for us."""
        reason: OSError = ConnectionError("the address names no Unix socket")
        for transport, options in self._bus_address:
            if transport != "unix" or not options.keys() & {"path", "abstract"}:
                continue
            where = options["path"] if "path" in options else f"\0{options['abstract']}"
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                made.settimeout(0)
                made.connect(where)  # a Unix socket connects at once, or says EAGAIN when full
            except OSError as error:
                made.close()
                reason = error
                continue
            self._sock, self._fd = made, made.fileno()
            self._stream = made.makefile("rwb")
            return
        raise reason

    async def introduce(self) -> None:
        """Authenticate and say Hello. OSError, ValueError or AuthError if the bus does not want us.

        A refusal of Hello is taken for one that gave us a name, which is the refusal's text.
        """
        await self.connect()
        name = str(self.unique_name)
        if not name.startswith(":"):
            raise ConnectionRefusedError(name)

    async def _auth_readline(self) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            got = await self._loop.sock_recv(self._sock, 1)
            if not got or len(line) > _LINE_MAX:
                raise ConnectionError("the bus closed the connection")
            line += got
        return line[:-2].decode()

    def send(self, msg: Message) -> asyncio.Future[None]:  # type: ignore[override] # the library declares None and returns it
        """Its future may fail without anybody waiting for it: the answer's tells the same."""
        future: asyncio.Future[None] = super().send(msg)
        future.add_done_callback(_look_at)
        return future

    def _finalize(self, err: Exception | None = None) -> None:
        if self._disconnected:
            return
        # Every pending call ends with this, whatever it was.
        reason = str(err) or type(err).__name__ if err else "closed"
        ended = ConnectionError(f"the connection is gone: {reason}")
        super()._finalize(ended)  # type: ignore[no-untyped-call] # the library has no types
        _look_at(self._disconnect_future)
        with contextlib.suppress(OSError):
            self._stream.close()
        self._sock.close()

    def disconnect(self) -> None:
        self._finalize()

    async def gone(self) -> None:
        """Wait for its end. Cancelling this cancels no other who waits."""
        await asyncio.wait({self._disconnect_future})

    async def ask(self, message: Message, limit: float, expects: str = "") -> list[Any]:
        """Call, and return the answer's body, whose signature is `expects`.

        BusError: not connected, no answer within `limit` seconds, an error, or another signature.
        """
        what = f"{message.interface}.{message.member}"
        if not self.connected:
            raise BusError(f"{what}: not connected to D-Bus")
        message.serial = self.next_serial()
        try:
            async with asyncio.timeout(limit):
                reply = await self.call(message)
        except TimeoutError:
            raise BusError(f"{what}: no answer within {limit:g} s") from None
        except OSError as error:
            raise BusError(f"{what}: {error}") from error
        finally:
            self._method_return_handlers.pop(message.serial, None)  # else kept for ever
        if reply is None:
            raise BusError(f"{what}: no answer")
        if reply.message_type is MessageType.ERROR:
            raise _refusal(what, reply)
        if reply.signature != expects:
            raise BusError(f"{what}: the answer is of type {reply.signature!r}, not {expects!r}")
        return list(reply.body)

    async def manage(
        self, member: str, body: tuple[str, ...], limit: float, expects: str = ""
    ) -> list[Any]:
        """Call a method of systemd's manager, all of whose arguments are strings."""
        message = Message(
            _SYSTEMD, _MANAGER_PATH, _MANAGER, member, signature="s" * len(body), body=list(body)
        )
        return await self.ask(message, limit, expects)


def _refusal(what: str, reply: Message) -> BusError:
    words = [word for word in reply.body if isinstance(word, str)]
    return BusError(f"{what}: {words[0] if words else reply.error_name}", reply.error_name)


def _look_at(future: asyncio.Future[Any]) -> None:
    """Take the exception, so that nobody complains that nobody did."""
    if future.done() and not future.cancelled():
        future.exception()


def unit_path(name: str) -> str:
    """The object path of a unit: docker.service → …/unit/docker_2eservice (systemd,
    src/basic/bus-label.c)."""
    letters = (
        chr(byte) if chr(byte).isalnum() and byte < 128 and (place or byte > 57) else f"_{byte:02x}"
        for place, byte in enumerate(name.encode())
    )
    return f"{_MANAGER_PATH}/unit/{''.join(letters) or '_'}"


def _build_unit(name: str, told: dict[str, Variant]) -> Unit | None:
    """Properties of org.freedesktop.systemd1.Unit → Unit; None if there is no such unit to run.

    Times are microseconds of the monotonic clock, 0 for never. `tried` is when it last ceased to be
    inactive or failed, which every start begins with (systemd, src/core/unit.c, unit_notify). In a
    restart loop that may already be the begin of the wait before the try (service.c: auto-restart
    counts as activating).
    """
    found = {}
    for key, signature in _TOLD.items():
        value = told.get(key)
        if value is None or value.signature != signature:
            raise BusError(f"{name}: systemd's answer lacks {key} of type {signature!r}")
        found[key] = value.value
    if found["LoadState"] in ("not-found", "masked"):
        return None
    return Unit(
        name,
        state=found["ActiveState"],
        has_job=found["Job"][0] != 0,
        entered=found["ActiveEnterTimestampMonotonic"],
        tried=found["InactiveExitTimestampMonotonic"],
    )


class _Signals:
    """systemd's signals about some units.

    The bus passes on a broadcast by its match rules, and so knows its sender. It also delivers
    whatever anybody sends to us alone, past all rules: only the sender's unique name tells.
    """

    def __init__(
        self,
        connection: _Connection,
        names: Iterable[str],
        changed: Callable[[str], None],
        limit: float,
    ) -> None:
        self._connection = connection
        self._paths = {unit_path(name): name for name in names}
        self._names = frozenset(self._paths.values())
        self._changed = changed
        self._limit = limit
        self._owner: str | None = None
        self._again: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._connection.add_message_handler(self._heard)
        for rule in self._rules():
            await self._bus("AddMatch", rule)
        # Of a name that moves meanwhile, the signal is the newer answer, and is heard first.
        with contextlib.suppress(BusError):
            (owner,) = await self._bus("GetNameOwner", _SYSTEMD, "s")
            if self._owner is None:
                self._owner = owner
        await self._subscribe()

    def stop(self) -> None:
        self._connection.remove_message_handler(self._heard)
        if self._again is not None:
            self._again.cancel()

    def _rules(self) -> Iterator[str]:
        """Rules that name a well-known sender follow it to its next owner: they are made once."""
        yield (
            f"type='signal',sender='{_BUS}',interface='{_BUS}',member='NameOwnerChanged',"
            f"arg0='{_SYSTEMD}'"
        )
        for member in ("JobRemoved", "Reloading"):
            yield f"type='signal',sender='{_SYSTEMD}',interface='{_MANAGER}',member='{member}'"
        for path in self._paths:
            yield (
                f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',"
                f"member='PropertiesChanged',path='{path}',arg0='{_UNIT}'"
            )

    async def _bus(self, member: str, argument: str, expects: str = "") -> list[Any]:
        asked = Message(_BUS, _BUS_PATH, _BUS, member, signature="s", body=[argument])
        return await self._connection.ask(asked, self._limit, expects)

    async def _subscribe(self) -> None:
        try:
            await self._connection.manage("Subscribe", (), self._limit)
        except BusError as error:
            if error.name != f"{_SYSTEMD}.AlreadySubscribed":
                raise

    async def _subscribe_again(self) -> None:
        """systemd began anew. Without signals of it the connection is of no use, and is ended."""
        try:
            await self._subscribe()
        except BusError:
            self._connection.disconnect()
            return
        self._tell_all()

    def _tell_all(self) -> None:
        for name in sorted(self._names):
            self._changed(name)

    def _heard(self, message: Message) -> None:
        """Every message of the connection passes here; nothing may raise."""
        if message.message_type is not MessageType.SIGNAL:
            return
        if message.sender == _BUS:
            if message.member == "NameOwnerChanged" and message.signature == "sss":
                self._moved(*message.body)
        elif message.sender == self._owner:
            self._systemd_said(message)

    def _moved(self, name: str, _: str, owner: str) -> None:
        if name != _SYSTEMD:
            return
        self._owner = owner
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if owner:
            self._again = asyncio.get_running_loop().create_task(self._subscribe_again())

    def _systemd_said(self, message: Message) -> None:
        if message.member == "PropertiesChanged":
            name = self._paths.get(message.path)
            if name is not None:
                self._changed(name)
        elif message.member == "JobRemoved" and message.signature == "uoss":
            name = message.body[2]
            if name in self._names:
                self._changed(name)
        elif message.member == "Reloading" and message.body == [False]:
            self._tell_all()


class SystemBus:
    """systemd over one connection to the system bus, made anew by connect() when it is gone.

    Every method but connect() and close() raises BusError at once without a connection, and within
    its limit when the bus or systemd hangs.
    """

    def __init__(self, address: str | None = None, limits: Limits = _LIMITS) -> None:
        """`address` as the D-Bus specification writes it; None is the host's system bus."""
        self._address = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or SYSTEM_BUS
        self._limits = limits
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._signals: _Signals | None = None

    @property
    def connected(self) -> bool:
        return self._connection is not None and bool(self._connection.connected)

    async def connect(self) -> None:
        """Be connected: nothing to do if it is so. BusError if there is no bus to be had."""
        async with self._connecting:
            if not self.connected:
                self.close()
                self._connection = await self._open()

    async def _open(self) -> _Connection:
        limit = self._limits.connect
        made: _Connection | None = None
        try:
            made = _Connection(self._address)
            async with asyncio.timeout(limit):
                await made.introduce()
        except BaseException as error:
            if made is not None:
                made.disconnect()
            if isinstance(error, TimeoutError):
                raise BusError(f"{self._address}: no answer within {limit:g} s") from None
            if isinstance(error, (OSError, ValueError, AuthError)):
                raise BusError(f"{self._address}: {error}") from error
            raise
        return made

    def close(self) -> None:
        """End the connection, and with it the subscription. Every pending call fails."""
        signals, self._signals = self._signals, None
        connection, self._connection = self._connection, None
        if signals is not None:
            signals.stop()
        if connection is not None:
            connection.disconnect()

    async def wait_for_disconnect(self) -> None:
        """Return when there is no connection: at once, or when it ends, however that comes."""
        if self._connection is not None:
            await self._connection.gone()

    def _there(self) -> _Connection:
        if self._connection is None:
            raise BusError("not connected to D-Bus")
        return self._connection

    async def read_unit(self, name: str) -> Unit | None:
        """A unit as it is now; None if there is none of that name, or it is masked."""
        limit = self._limits.read
        connection = self._there()
        (path,) = await connection.manage("LoadUnit", (name,), limit, "o")
        asked = Message(_SYSTEMD, path, _PROPERTIES, "GetAll", signature="s", body=[_UNIT])
        (told,) = await connection.ask(asked, limit, "a{sv}")
        return _build_unit(name, told)

    async def reset_failed(self, name: str) -> None:
        """Let a unit start again that failed too often. One that is not loaded is no error."""
        try:
            await self._there().manage("ResetFailedUnit", (name,), self._limits.act)
        except BusError as error:
            if error.name != f"{_SYSTEMD}.NoSuchUnit":
                raise

    async def start_unit(self, name: str) -> None:
        """Queue a start; return when the job is queued, not when it is done."""
        await self._there().manage("StartUnit", (name, "replace"), self._limits.act, "o")

    async def stop_unit(self, name: str) -> None:
        """Queue a stop; return when the job is queued, not when it is done."""
        await self._there().manage("StopUnit", (name, "replace"), self._limits.act, "o")

    async def restart_unit(self, name: str) -> None:
        """Queue a restart, or a start of one that does not run; return when it is queued."""
        await self._there().manage("RestartUnit", (name, "replace"), self._limits.act, "o")

    async def reload_unit(self, name: str) -> None:
        """Queue a reload of a unit that runs; nothing is done to one that does not."""
        arguments = (name, "replace")
        await self._there().manage("ReloadOrTryRestartUnit", arguments, self._limits.act, "o")

    async def subscribe(self, names: Iterable[str], changed: Callable[[str], None]) -> None:
        """From now on call changed(name) when a unit may be another, until the connection ends.

        That is: a property of it changed, a job of it ended, or systemd began anew or reloaded. A
        second subscription replaces the first.
        """
        connection = self._there()
        if self._signals is not None:
            self._signals.stop()
        self._signals = _Signals(connection, names, changed, self._limits.act)
        await self._signals.begin()
