"""Root images for lab machines: built once per content, shared by all machines."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
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
IMAGES = ROOT / "build" / "lab" / "images"
HERE = Path(__file__).resolve().parent
UML_MODULES = Path("/usr/lib/uml/modules")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}

COMMON = (
    "systemd,systemd-sysv,udev,dbus,lvm2,dmeventd,thin-provisioning-tools,python3,xfsprogs,"
    "e2fsprogs,kmod,iproute2,procps,util-linux,strace,jq,containerd,iptables,busybox-static"
)
PACKAGES = {"bookworm": f"{COMMON},docker.io", "trixie": f"{COMMON},runc"}

INSTALL = """
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends /install.deb
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d /install.deb /etc/resolv.conf
"""


class BuildError(Exception):
    """An image could not be built; the text says at which step."""


def build(flavour: str, deb: Path | None = None) -> Path:
    """Return the image of a flavour with the package installed, building what is missing."""
    if flavour not in PACKAGES:
        raise BuildError(f"unknown flavour {flavour!r}: one of {', '.join(sorted(PACKAGES))}")
    if os.geteuid() != 0:
        raise BuildError("images are built with chroot and device nodes: run as root")
    IMAGES.mkdir(parents=True, exist_ok=True)
    base = _digest(flavour.encode(), PACKAGES[flavour].encode())
    tree = IMAGES / f"{flavour}-{base}.tar"
    stage = "bare" if deb is None else "deb"
    parts = [base.encode(), INSTALL.encode(), *_recipe(), deb.read_bytes() if deb else b""]
    image = IMAGES / f"{flavour}-{stage}-{_digest(*parts)}.img"
    with _locked(flavour):
        for left in IMAGES.glob(f"tmp-{flavour}-*"):  # of a build that was killed
            _remove(left)
        if not image.exists():
            if not tree.exists():
                _make_tree(flavour, tree)
            _make_image(tree, deb, image)
    return image


def _recipe() -> list[bytes]:
    files = [HERE / "recipe.sh", HERE / "guest_agent.py"]
    return [file.read_bytes() for file in files] + [_modules().name.encode()]


def _modules() -> Path:
    found = sorted(UML_MODULES.glob("*"))
    if not found:
        raise BuildError(f"no kernel modules in {UML_MODULES}: install user-mode-linux")
    return found[-1]


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def _make_tree(flavour: str, target: Path) -> None:
    with _scratch(flavour) as scratch:
        tree = scratch / "tree"
        options = ["--variant=minbase", f"--include={PACKAGES[flavour]}"]
        _step(
            f"{flavour}: bootstrapping",
            ["mmdebstrap", "--quiet", *options, flavour, str(tree)],
        )
        packed = scratch / "tree.tar"
        pack = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "-cf", str(packed), "."]
        _step(f"{flavour}: packing the tree", pack)
        _publish(packed, target, f"{flavour}-*.tar")


def _make_image(tar: Path, deb: Path | None, target: Path) -> None:
    flavour, stage, _ = target.stem.rsplit("-", 2)
    with _scratch(flavour) as scratch:
        tree = scratch / "tree"
        tree.mkdir()
        unpack = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "-xpf", str(tar)]
        _step(f"{flavour}: unpacking the tree", unpack)
        recipe = [str(HERE / "recipe.sh"), str(tree), str(HERE / "guest_agent.py"), str(_modules())]
        _step(f"{flavour}: preparing the tree", ["sh", *recipe])
        if deb is not None:
            shutil.copy(deb, tree / "install.deb")
            shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
            # A plain chroot: in one that is itself in a chroot, / is no mount point to unshare.
            command = ["chroot", str(tree), "sh", "-ec", INSTALL]
            _step(f"{flavour}: installing {deb.name}", command)
        image = scratch / "root.img"
        make = ["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard"]
        _step(f"{flavour}: making the image", [*make, "-d", str(tree), str(image), "3G"])
        _publish(image, target, f"{flavour}-{stage}-*.img")


def _publish(made: Path, target: Path, family: str) -> None:
    made.rename(target)
    # The one before stays: a run with another package may be about to link it.
    old = [file for file in IMAGES.glob(family) if file != target]
    for file in sorted(old, key=lambda file: file.stat().st_mtime)[:-1]:
        file.unlink()


def _step(title: str, command: list[str]) -> None:
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


def _remove(folder: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)


@contextmanager
def _scratch(flavour: str) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f"tmp-{flavour}-", dir=IMAGES))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        _remove(folder)


@contextmanager
def _locked(flavour: str) -> Iterator[None]:
    with (IMAGES / f"{flavour}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
