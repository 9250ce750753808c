"""What systemd, and anybody else on the bus, may answer and signal."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

# isort: off
from dmguard.edge import bus  # first: it loads dbus-next without GLib
from dbus_next._private.unmarshaller import Unmarshaller
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant
# isort: on

from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, object_in

if TYPE_CHECKING:
    from collections.abc import Callable

_BUS, _SYSTEMD, _OWNER = "org.freedesktop.DBus", "org.freedesktop.systemd1", ":1.5"
_RETURN, _SIGNAL = MessageType.METHOD_RETURN, MessageType.SIGNAL
_UNITS = ("docker.service", "containerd.service")

_TOLD = {
    "LoadState": ["s", "loaded"],
    "ActiveState": ["s", "active"],
    "Job": ["(uo)", [0, "/"]],
    "ActiveEnterTimestampMonotonic": ["t", 2000000],
    "InactiveExitTimestampMonotonic": ["t", 1000000],
}
_VALUES: tuple[Any, ...] = (
    ["s", "not-found"], ["s", ""], ["d", "inf"], ["d", "nan"], ["d", 1.5], ["t", (1 << 64) - 1],
    ["x", -1], ["b", True], ["i", -5], ["as", ["a"]], ["a{sv}", {}], ["ay", "b"], ["v", ["s", "x"]],
    ["(uo)", [7, "/org/freedesktop/systemd1/job/7"]], ["(so)", ["1", "/"]], ["(u)", [1]],
    ["a(uo)", []], ["s", "12"], ["s", "\u0663"], ["o", "/"],
)  # fmt: skip

_SIGNALS = [
    [_BUS, "/org/freedesktop/DBus", "NameOwnerChanged", "sss",
     [_SYSTEMD, _OWNER, ""]],
    [_BUS, "/org/freedesktop/DBus", "NameOwnerChanged", "sss",
     ["org.other", "", ":1.9"]],
    [_OWNER, bus.unit_path(_UNITS[0]), "PropertiesChanged", "sa{sv}as", ["x", {}, []]],
    [_OWNER, "/org/freedesktop/systemd1", "JobRemoved", "uoss", [7, "/", _UNITS[0], "done"]],
    [_OWNER, "/org/freedesktop/systemd1", "Reloading", "b", [False]],
]  # fmt: skip
_NAMES: tuple[Any, ...] = (
    "sss", "s", "", "uoss", "b", "i", "as", "a{sv}", "v", _SYSTEMD, _OWNER, ":1.6", *_UNITS,
    [0], [False], "JobRemoved", "NameOwnerChanged",
)  # fmt: skip


def _variant(pair: Any) -> Variant:
    """A value as it comes out of a bus; KeyError for what none carries."""
    try:
        signature, value = pair
        if signature in _CONVERTED:
            value = _CONVERTED[signature](value)
        return Variant(signature, value)
    except Exception as error:
        raise KeyError from error


_CONVERTED: dict[str, Callable[[Any], Any]] = {"d": float, "ay": str.encode, "v": _variant}
"""What JSON has no word for."""


class _UncarriedError(Exception):
    """No bus carries such a message."""


def _carried(**fields: Any) -> Message:
    """A message as it comes out of a bus."""
    try:
        data = Message(**fields, serial=1)._marshall()  # type: ignore[no-untyped-call] # the library has no types
    except Exception as error:
        raise _UncarriedError from error
    message: Message = Unmarshaller(io.BytesIO(data)).unmarshall()  # type: ignore[no-untyped-call] # as above
    return message


def check_unit(data: bytes) -> None:
    told = object_in(data)
    if told is None:
        return
    found = {}
    for name, pair in told.items():
        with contextlib.suppress(KeyError):
            found[name] = _variant(pair)
    try:
        (sent,) = _carried(
            signature="a{sv}", body=[found], message_type=_RETURN, reply_serial=1
        ).body
    except _UncarriedError:
        return
    try:
        unit = bus._build_unit("docker.service", sent)
    except bus.BusError as error:
        assert str(error)
        return
    if unit is None:
        assert sent["LoadState"].value in ("not-found", "masked")
        return
    assert (unit.name, unit.state) == ("docker.service", sent["ActiveState"].value)
    assert type(unit.state) is str
    assert unit.has_job == (sent["Job"].value[0] != 0)
    for number in (unit.entered, unit.tried):
        assert type(number) is int
        assert 0 <= number < 1 << 64
    assert unit.entered == sent["ActiveEnterTimestampMonotonic"].value


class _Line:
    """A connection on which nobody answers."""

    def __init__(self) -> None:
        self.over = False

    async def ask(self, *_: object) -> list[Any]:
        raise bus.BusError("nobody answers")

    manage = ask

    def disconnect(self) -> None:
        self.over = True

    def remove_message_handler(self, _: object) -> None:
        pass


def check_signals(data: bytes) -> None:
    """A few of them, one after the other. Nothing may raise, and no stranger be listened to."""
    try:
        sent: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(sent, list):
        asyncio.run(_hear(sent))


async def _hear(sent: list[Any]) -> None:
    told: list[str] = []
    signals = bus._Signals(_Line(), _UNITS, told.append, 1.0)  # type: ignore[arg-type]
    signals._owner = _OWNER
    for one in sent:
        try:
            sender, path, member, signature, body = one
            fields = {"sender": sender, "path": path, "member": member, "signature": signature}
            message = _carried(**fields, body=body, message_type=_SIGNAL, interface="org.any")
            message.sender = sender  # the bus itself puts it there
        except (_UncarriedError, TypeError, ValueError):
            continue
        before, owner = len(told), signals._owner
        signals._heard(message)
        if message.sender != _BUS:
            assert message.sender == owner or len(told) == before, "a stranger is heard"
            assert signals._owner == owner, "a stranger is the owner"
        await asyncio.sleep(0)
    signals.stop()
    assert set(told) <= set(_UNITS)


TARGETS = (
    Target("bus-unit", mutated_json([_TOLD], _VALUES), check_unit),
    Target("bus-signals", mutated_json([_SIGNALS], _NAMES), check_signals),
)
