"""The kernels of lab machines: user-mode Linux of a Debian suite, with that suite's libc.

It is taken out of the archive, not installed. Machines have the newest, which needs no ptrace and
is several times faster than those before it; the tests that matter most are also run on the kernel
that operators have.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.building import BUILT, BuildError, one_builder, scratch, step

KERNELS = BUILT / "kernels"
# Debian 12's 6.1, Debian 13's 6.12, and the one of the suite after it.
SUITES = ("bookworm", "trixie", "forky")
RELEASED, NEWEST = "trixie", SUITES[-1]
# The registers of a processor with AMX do not fit into the buffers of 6.1 and 6.12: the kernel
# panics at its first process ("ptrace set fp regs failed, errno = 14").
TOO_WIDE = "amx_tile"


@dataclass(frozen=True)
class Kernel:
    """A kernel on this host: a program like any other, and its modules."""

    suite: str
    folder: Path

    @property
    def program(self) -> Path:
        """The kernel itself."""
        return self.folder / "linux"

    @property
    def modules(self) -> Path:
        """The folder of its modules, named by its release."""
        (modules,) = (self.folder / "tree/usr/lib/uml/modules").iterdir()
        return modules


def wanted() -> tuple[str, ...]:
    """The suites whose kernels tests are run on, the one for most of them first: LAB_KERNEL's
    alone, or else the newest and Debian's released one, if this processor can run that.
    """
    alone = os.environ.get("LAB_KERNEL")
    if alone:
        return (alone,)
    return (NEWEST,) if _is_too_wide() else (NEWEST, RELEASED)


def kernel(suite: str) -> Kernel:
    """Return the kernel of a suite, fetching what is missing."""
    if suite not in SUITES:
        raise BuildError(f"kernel of {suite}: one of {', '.join(SUITES)}")
    target = KERNELS / suite
    with one_builder(KERNELS, suite):
        if not target.exists():
            _fetch(suite, target)
    return Kernel(suite, target)


def _is_too_wide() -> bool:
    return TOO_WIDE in Path("/proc/cpuinfo").read_text("ascii", "replace").split()


def _fetch(suite: str, target: Path) -> None:
    with scratch(KERNELS, suite) as folder:
        tree = folder / "tree"
        # A testing suite's index is signed for a week only, and mirrors can lag behind.
        options = ["--variant=extract", "--aptopt=Acquire::Check-Valid-Until false"]
        fetch = ["mmdebstrap", "--quiet", *options, "--include=user-mode-linux", suite, str(tree)]
        step(f"kernel of {suite}: fetching", fetch)
        program = folder / "linux"
        shutil.copy(tree / "usr/bin/linux.uml", program)
        # It starts itself anew by /proc/self/exe, so it cannot be run by its loader's name.
        loaders = tree.glob("**/ld-linux-x86-64.so.2")
        (libc,) = {path.parent for path in loaders if not path.is_symlink()}
        final = target / libc.relative_to(folder)
        link = ["--set-interpreter", str(final / "ld-linux-x86-64.so.2"), "--set-rpath", str(final)]
        step(f"kernel of {suite}: linking", ["patchelf", *link, str(program)])
        folder.rename(target)
