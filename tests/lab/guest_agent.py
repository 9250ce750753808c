#!/usr/bin/python3
"""Runs inside a lab machine: one JSON line per request on /dev/ttyS0, one per answer."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import tty
from pathlib import Path
from typing import IO, Any

LINE = threading.Lock()
SHARE = Path("/run/lab")
INLINE = 2000
RUNNING: dict[int, subprocess.Popen[bytes]] = {}
KILLED: set[int] = set()


def send(port: int, message: dict[str, Any]) -> None:
    """Write one whole line, whoever else is answering."""
    data = json.dumps(message).encode() + b"\n"
    with LINE:
        while data:
            data = data[os.write(port, data) :]


def serve(port: int, ask: dict[str, Any]) -> None:
    """Answer one request, whatever becomes of it: the other side waits for that."""
    try:
        run(port, ask)
    except Exception as error:  # noqa: BLE001 - a full /run, say; told as the shell would tell it
        text = f"lab agent: {error!r}\n".encode()
        failed = {"status": 126, "out": "", "err": base64.b64encode(text).decode()}
        send(port, {"id": ask["id"]} | failed)


def in_memory(name: str) -> IO[bytes]:
    return os.fdopen(os.memfd_create(name), "w+b")


def run(port: int, ask: dict[str, Any]) -> None:
    """Run one command; its output goes to files, so that no child of it can hold the answer: in
    memory, for every file system of the machine may be full.
    """
    cmd = ask["cmd"]
    if cmd is None:
        long = SHARE / f"cmd-{ask['id']}"
        cmd = long.read_text()
        long.unlink()
    with in_memory("out") as out, in_memory("err") as err:
        # Input comes by a file of the share, too: the line is for short messages only.
        source = SHARE / f"in-{ask['id']}" if ask.get("stdin") else Path("/dev/null")
        with source.open("rb") as given:
            child = subprocess.Popen(
                ["/bin/sh", "-c", cmd],
                stdin=given,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        RUNNING[ask["id"]] = child
        if ask["id"] in KILLED:
            os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        del RUNNING[ask["id"]]
        answer: dict[str, Any] = {"id": ask["id"], "status": status}
        for name, file in (("out", out), ("err", err)):
            if file.seek(0, os.SEEK_END) > INLINE:
                file.seek(0)
                with (SHARE / f"{name}-{ask['id']}").open("wb") as big:
                    shutil.copyfileobj(file, big)
                answer[name] = None
            else:
                file.seek(0)
                answer[name] = base64.b64encode(file.read()).decode()
    send(port, answer)


def handle(port: int, line: bytes) -> None:
    """Start what one line asks for."""
    try:
        ask = json.loads(line)
    except ValueError:
        return
    send(port, {"received": True})
    if "kill" in ask:
        KILLED.add(ask["kill"])
        child = RUNNING.get(ask["kill"])
        if child is not None:
            os.killpg(child.pid, signal.SIGKILL)
        return
    threading.Thread(target=serve, args=(port, ask), daemon=True).start()


def main() -> None:
    """Serve the line until the machine goes."""
    port = os.open("/dev/ttyS0", os.O_RDWR | os.O_NOCTTY)
    tty.setraw(port)
    os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    os.environ["HOME"] = "/root"
    os.environ["LC_ALL"] = "C.UTF-8"
    SHARE.mkdir(exist_ok=True)
    if not SHARE.is_mount():
        subprocess.run(["mount", "-t", "hostfs", "none", str(SHARE)], check=True)
    send(port, {"hello": sys.version.split()[0]})
    rest = b""
    while chunk := os.read(port, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            handle(port, line)


if __name__ == "__main__":
    main()
