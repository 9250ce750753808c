"""Root images for lab machines: built once per content, shared by all machines."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.lab.building import BUILT, BuildError, one_builder, scratch, step
from tests.lab.kernel import Kernel, kernel, wanted

IMAGES = BUILT / "images"
HERE = Path(__file__).resolve().parent

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


@dataclass(frozen=True)
class Image:
    """A root file system, with the modules of this kernel in it."""

    path: Path
    kernel: Kernel


def build(flavour: str, deb: Path | None = None, suite: str = "") -> Image:
    """Return the image of a flavour with the package installed, building what is missing.

    `suite` is the kernel's; without it, that of most machines.
    """
    if flavour not in PACKAGES:
        raise BuildError(f"unknown flavour {flavour!r}: one of {', '.join(sorted(PACKAGES))}")
    if os.geteuid() != 0:
        raise BuildError("images are built with chroot and device nodes: run as root")
    base = _digest(flavour.encode(), PACKAGES[flavour].encode())
    tree = IMAGES / f"{flavour}-{base}.tar"
    stage = "bare" if deb is None else "deb"
    its = kernel(suite or wanted()[0])
    parts = [base.encode(), INSTALL.encode(), *_recipe(its), deb.read_bytes() if deb else b""]
    image = IMAGES / f"{flavour}-{its.suite}-{stage}-{_digest(*parts)}.img"
    with one_builder(IMAGES, flavour):
        if not image.exists():
            if not tree.exists():
                _make_tree(flavour, tree)
            _make_image(tree, deb, its, image)
    return Image(image, its)


def _recipe(its: Kernel) -> list[bytes]:
    files = [HERE / "recipe.sh", HERE / "guest_agent.py"]
    return [file.read_bytes() for file in files] + [its.modules.name.encode()]


def _digest(*parts: bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def _make_tree(flavour: str, target: Path) -> None:
    with scratch(IMAGES, flavour) as folder:
        tree = folder / "tree"
        options = ["--variant=minbase", f"--include={PACKAGES[flavour]}"]
        make = ["mmdebstrap", "--quiet", *options, flavour, str(tree)]
        step(f"{flavour}: bootstrapping", make)
        packed = folder / "tree.tar"
        pack = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "-cf", str(packed), "."]
        step(f"{flavour}: packing the tree", pack)
        _publish(packed, target, f"{flavour}-*.tar")


def _make_image(tar: Path, deb: Path | None, its: Kernel, target: Path) -> None:
    flavour, *_ = family = target.stem.split("-")[:-1]
    with scratch(IMAGES, flavour) as folder:
        tree = folder / "tree"
        tree.mkdir()
        unpack = ["tar", "-C", str(tree), "--numeric-owner", "--xattrs", "-xpf", str(tar)]
        step(f"{flavour}: unpacking the tree", unpack)
        recipe = [HERE / "recipe.sh", tree, HERE / "guest_agent.py", its.modules]
        step(f"{flavour}: preparing the tree", ["sh", *map(str, recipe)])
        if deb is not None:
            shutil.copy(deb, tree / "install.deb")
            shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
            # A plain chroot: in one that is itself in a chroot, / is no mount point to unshare.
            command = ["chroot", str(tree), "sh", "-ec", INSTALL]
            step(f"{flavour}: installing {deb.name}", command)
        image = folder / "root.img"
        make = ["mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=1,nodiscard"]
        step(f"{flavour}: making the image", [*make, "-d", str(tree), str(image), "3G"])
        _publish(image, target, f"{'-'.join(family)}-*.img")


def _publish(made: Path, target: Path, family: str) -> None:
    made.rename(target)
    # The one before stays: a run with another package may be about to link it.
    old = [file for file in IMAGES.glob(family) if file != target]
    for file in sorted(old, key=lambda file: file.stat().st_mtime)[:-1]:
        file.unlink()
