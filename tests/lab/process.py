"""The host's side of a machine: one process group, and its management console."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.channel import LabError

if TYPE_CHECKING:
    from types import FrameType

ALIVE: set[Uml] = set()
SHM = "/dev/shm"
# Its input ends when the process that made the machine ends, however that came about (SIGKILL
# included): it then ends the machine and removes its folders.
GUARD = 'read -r _; kill -s KILL -- "-$1"; shift; exec rm -rf -- "$@"'


class Uml:
    """One boot of a user-mode kernel, from power on to power off."""

    def __init__(self, program: Path, workdir: Path, words: list[str]) -> None:
        # The console's socket has a short path limit, so it lives in a folder of its own.
        self.workdir = workdir
        self._run = Path(tempfile.mkdtemp(prefix="dmlab-", dir="/tmp"))
        self.umid = f"m{uuid.uuid4().hex[:8]}"
        ours, theirs = socket.socketpair()
        line = theirs.fileno()
        fixed = [f"umid={self.umid}", f"uml_dir={self._run}/", f"ssl0=fd:{line},fd:{line}"]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self._run)}
        # The machine's memory is an unlinked file there: in shared memory it costs no disk writes.
        env["TMPDIR"] = SHM if os.access(SHM, os.W_OK) else str(self._run)
        _exit_tidily()
        try:
            with (workdir / "console.txt").open("ab") as console:
                self._process = subprocess.Popen(
                    [program, *words, *fixed],
                    cwd=workdir,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    pass_fds=[line],
                    start_new_session=True,
                )
        except OSError:
            shutil.rmtree(self._run, ignore_errors=True)
            ours.close()
            raise
        finally:
            theirs.close()
        self.line = ours
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", str(self.pid), self._run, workdir],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ALIVE.add(self)
        threading.Thread(target=self._hang_up, name="lab-watch", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id of the kernel, which is also its process group."""
        return self._process.pid

    def running(self) -> bool:
        """Tell whether the kernel still runs."""
        return self._process.poll() is None

    def wait(self, timeout: float) -> bool:
        """Wait for the kernel to end by itself."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _hang_up(self) -> None:
        # Traced children can outlive their kernel and would keep the line open.
        self._process.wait()
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """Cut the power: the whole group, or its traced children keep the disks locked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        # Before the group's number is free for another.
        self._guard.kill()
        self._guard.communicate()
        self._process.wait()
        deadline = time.monotonic() + 5
        while _group_lives(self.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self._run, ignore_errors=True)
        ALIVE.discard(self)

    def console(self, command: str) -> str:
        """Give a command to the management console and return its answer."""
        socket_path = self._run / self.umid / "mconsole"
        done = subprocess.run(
            ["uml_mconsole", str(socket_path), *command.split(maxsplit=1)],
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._run)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        answer = done.stdout.strip()
        if done.returncode != 0 or not answer.startswith("OK"):
            raise LabError(f"mconsole {command!r}: {answer or done.stderr.strip()}")
        return answer.removeprefix("OK").strip()


def _group_lives(group: int) -> bool:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False


def end_all() -> None:
    """Do away with the machines that nobody closed."""
    for machine in list(ALIVE):
        machine.kill()
        shutil.rmtree(machine.workdir, ignore_errors=True)


def _on_term(number: int, _frame: FrameType | None) -> None:
    # As Ctrl-C: every `with` and fixture on the way out closes its machine. pytest would take
    # SystemExit for one failed test and go on with the next.
    raise KeyboardInterrupt(signal.Signals(number).name)


def _exit_tidily() -> None:
    atexit.unregister(end_all)
    atexit.register(end_all)
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _on_term)
