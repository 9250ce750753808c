"""When an act begins and ends, as its host is told while it goes on: by the files of intents."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.vm.kit import LIB, wait_for

if TYPE_CHECKING:
    from tests.lab.machine import Machine

INTENTS = tuple(
    f"{door}{kind}.json" for door in ("intent", "activate") for kind in ("", "-left", "-apart")
)
MADE, GONE = "made", "gone"
_SHARE = "/run/watch"
_PROGRAM = f"""
import ctypes, os, socket, struct, time
libc = ctypes.CDLL(None, use_errno=True)
events = libc.inotify_init()
moved, deleted = 0x80, 0x200
if libc.inotify_add_watch(events, b"{LIB}", moved | deleted) < 0:
    raise OSError(ctypes.get_errno(), "{LIB}")
out = open("{_SHARE}/intents", "a", buffering=1)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while True:
    data = os.read(events, 1 << 16)
    at = time.time()
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        name = data[16 : 16 + length].rstrip(b"\\0").decode()
        data = data[16 + length :]
        if name in {INTENTS}:
            print(at, "{MADE}" if mask & moved else "{GONE}", flush=True, file=out)
"""
# The lab has its own folder of the host there some time in the boot, which may be too late.
_UNIT = f"""[Unit]
Description=Tell the host of acts
DefaultDependencies=no
After=systemd-remount-fs.service
Before=dmguard.service dmguard-activate.service shutdown.target
Conflicts=shutdown.target

[Service]
Type=notify
ExecStartPre=/bin/sh -c 'mkdir -p {_SHARE} && mount -t hostfs none {_SHARE}'
ExecStart=/usr/bin/python3 -S -E /usr/local/lib/watch.py
# It stays to the end.
KillMode=none

[Install]
WantedBy=dmguard.service dmguard-activate.service
"""


class Watch:
    """What a machine tells of its intents from now on.

    Its clock may be behind this host's: it is used for what lies between two of its own events.
    """

    def __init__(self, m: Machine) -> None:
        self._file = m.workdir / "share" / "intents"
        self._before = self._read()
        self.since = time.monotonic()

    def _read(self) -> str:
        return self._file.read_text() if self._file.exists() else ""

    def _events(self) -> list[tuple[float, str]]:
        """Each boot has a file of its own."""
        lines = self._read().removeprefix(self._before).splitlines(keepends=True)
        events = [line.split() for line in lines if line.endswith("\n")]
        return [(float(at), what) for at, what in events]

    @property
    def passed_s(self) -> float:
        return time.monotonic() - self.since

    def has_begun(self) -> bool:
        """Has there been an intent?"""
        return any(what == MADE for _, what in self._events())

    def wait_until_begun(self) -> None:
        wait_for("the intent", self.has_begun, timeout=60, interval=0.002)

    def length(self) -> float:
        """Seconds from the first intent to where the last one went."""
        events = self._events()
        begin = min(at for at, what in events if what == MADE)
        return max(at for at, what in events if what == GONE) - begin


def install(m: Machine) -> None:
    """From now on, and from each boot on."""
    m.put("/usr/local/lib/watch.py", _PROGRAM)
    m.put("/etc/systemd/system/watch.service", _UNIT)
    m.run("systemctl enable -q --now watch && sync")
