"""A private dbus-daemon, and a systemd on it that answers as the real one does."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

# isort: off
from dmguard.edge.bus import _Connection, unit_path  # first: it loads dbus-next without GLib
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant
# isort: on

if TYPE_CHECKING:
    from pathlib import Path

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
PROPERTIES = "org.freedesktop.DBus.Properties"
MANAGER_PATH = "/org/freedesktop/systemd1"
NO_SUCH_UNIT = "org.freedesktop.systemd1.NoSuchUnit"

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  {more}
</busconfig>
"""


class Daemon:
    """A dbus-daemon of one's own, at the same address each time it is started."""

    def __init__(self, directory: Path, more: str = "") -> None:
        self.address = f"unix:path={directory / 'bus'}"
        self._config = directory / "bus.conf"
        self._config.write_text(_CONFIG.format(socket=directory / "bus", more=more))
        self._child: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Returns when it listens."""
        self._child = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self._config}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        with self._child.stdout:
            assert self._child.stdout.readline().startswith(self.address)

    def signal(self, number: int) -> None:
        assert self._child is not None
        os.kill(self._child.pid, number)

    def kill(self) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGKILL)
            self._child.wait()
            self._child = None


def properties(**changed: Any) -> dict[str, Variant]:
    """What a running unit has, as far as anybody asks, and one property more."""
    told = {
        "Id": Variant("s", "docker.service"),
        "LoadState": Variant("s", "loaded"),
        "ActiveState": Variant("s", "active"),
        "Job": Variant("(uo)", [0, "/"]),
        "ActiveEnterTimestampMonotonic": Variant("t", 2_000_000),
        "InactiveExitTimestampMonotonic": Variant("t", 1_000_000),
    }
    return {name: value for name, value in (told | changed).items() if value is not None}


@dataclass
class Systemd:
    """org.freedesktop.systemd1: units by name, and what it was asked.

    It signals nothing before somebody subscribed, as the real one. `silent` are methods that it
    does not answer, `errors` those that it answers with an error: (name, text).
    """

    address: str
    units: dict[str, dict[str, Variant]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    subscribers: set[str] = field(default_factory=set)
    signature: str = "o"
    connection: _Connection | None = None

    async def start(self) -> None:
        self.connection = _Connection(self.address)
        await self.connection.introduce()
        self.connection.add_message_handler(self._answer)
        await self.connection.request_name(SYSTEMD)

    def stop(self) -> None:
        if self.connection is not None:
            self.connection.disconnect()
            self.connection = None
        self.subscribers.clear()

    async def begin_anew(self) -> None:
        """Re-executed: another connection, that knows of no subscriber."""
        self.stop()
        await self.start()

    def count(self, member: str) -> int:
        return sum(call[0] == member for call in self.asked)

    def _answer(self, message: Message) -> Message | bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        self.asked.append((message.member, *message.body))
        if message.member in self.silent:
            return True
        if message.member in self.errors:
            return Message.new_error(message, *self.errors[message.member])
        reply: Message | None = getattr(self, f"_{message.member}")(message, *message.body)
        return Message.new_method_return(message) if reply is None else reply

    def _LoadUnit(self, message: Message, name: str) -> Message:  # noqa: N802 - D-Bus's name
        return Message.new_method_return(message, self.signature, [unit_path(name)])

    def _GetAll(self, message: Message, interface: str) -> Message:  # noqa: N802
        assert interface == UNIT
        for name, told in self.units.items():
            if unit_path(name) == message.path:
                return Message.new_method_return(message, "a{sv}", [told])
        missing = properties(
            LoadState=Variant("s", "not-found"), ActiveState=Variant("s", "inactive")
        )
        return Message.new_method_return(message, "a{sv}", [missing])

    def _StartUnit(self, message: Message, name: str, mode: str) -> Message:  # noqa: N802
        if name not in self.units:
            return Message.new_error(message, NO_SUCH_UNIT, f"Unit {name} not found.")
        return Message.new_method_return(message, "o", [f"{MANAGER_PATH}/job/7"])

    _RestartUnit = _StartUnit

    def _ResetFailedUnit(self, message: Message, name: str) -> Message | None:  # noqa: N802
        if name in self.units:
            return None
        return Message.new_error(message, NO_SUCH_UNIT, f"Unit {name} not loaded.")

    def _Subscribe(self, message: Message) -> Message | None:  # noqa: N802
        if message.sender in self.subscribers:
            error = "org.freedesktop.systemd1.AlreadySubscribed"
            return Message.new_error(message, error, "Client is already subscribed.")
        self.subscribers.add(message.sender)
        return None

    def change(self, name: str, interface: str = UNIT) -> None:
        body = [interface, {"ActiveState": Variant("s", "active")}, []]
        self._signal(unit_path(name), PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def remove_job(self, name: str) -> None:
        body = [7, f"{MANAGER_PATH}/job/7", name, "done"]
        self._signal(MANAGER_PATH, MANAGER, "JobRemoved", "uoss", body)

    def reload(self, *, begins: bool) -> None:
        self._signal(MANAGER_PATH, MANAGER, "Reloading", "b", [begins])

    async def routed(self) -> None:
        """Wait until the bus has read all that was sent. More than a socket holds kills ours."""
        assert self.connection is not None
        bus = "org.freedesktop.DBus"
        await self.connection.ask(Message(bus, "/org/freedesktop/DBus", bus, "GetId"), 5, "s")

    def _signal(self, path: str, interface: str, member: str, kind: str, body: list[Any]) -> None:
        assert self.connection is not None
        if self.subscribers:
            self.connection.send(Message.new_signal(path, interface, member, kind, body))
