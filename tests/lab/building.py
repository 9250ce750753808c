"""What the lab's builders share: where they put things, and how they run the tools."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "lab"
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


class BuildError(Exception):
    """A kernel or an image could not be built; the text says at which step."""


def newest_package() -> Path:
    """The package that was built here last; BuildError if there is none."""
    found = sorted(ROOT.glob("dist/dmguard_*_all.deb"), key=lambda deb: deb.stat().st_mtime)
    if not found:
        raise BuildError("no dist/dmguard_*_all.deb: run `make deb` first")
    return found[-1]


def step(title: str, command: list[str]) -> None:
    """Run a command of a build, and say what it is for and how long it took."""
    print(f"lab: {title} ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    done = subprocess.run(
        command,
        env=ENV,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        tail = done.stdout.decode(errors="replace")[-3000:]
        raise BuildError(f"{title}: exit status {done.returncode}\n{tail}")
    print(f"lab: {title}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


def remove(path: Path) -> None:
    """Remove a tree of ours, never across a mount point."""
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=False)


@contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """Make a folder to build in, and remove what is left of it."""
    made = Path(tempfile.mkdtemp(prefix=f"tmp-{name}-", dir=folder))
    made.chmod(0o755)
    try:
        yield made
    finally:
        remove(made)


@contextmanager
def one_builder(folder: Path, name: str) -> Iterator[None]:
    """Be the only builder of that name, and clear up after one that was killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"tmp-{name}-*"):
            remove(left)
        yield
