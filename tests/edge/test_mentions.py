"""edge/mentions: a disk that a configuration file names, or takes by its place, is not free."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Disk, Probe
from dmguard.edge.mentions import mentions
from tests.edge.diskfake import BLANK, SMALL, Host, make_host

if TYPE_CHECKING:
    from pathlib import Path

WWN = "/dev/disk/by-id/wwn-0x5000c500"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return make_host(tmp_path)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("fstab", "/dev/disk /srv ext4 defaults 0 2"),
        ("fstab", "/dev/disk1\t/srv ext4 defaults 0 2"),
        ("fstab", f"{WWN}-part1 /srv ext4 defaults 0 2"),
        ("fstab", "ID=wwn-0x5000c500 /srv ext4 defaults 0 2"),
        ("crypttab", f"secret {WWN} none luks"),
        ("mdadm/mdadm.conf", "ARRAY /dev/md0 devices=/dev/other,/dev/disk"),
        ("mdadm.conf", "ARRAY /dev/md0\n  devices=/dev/disk"),
        ("mdadm/mdadm.conf.d/more.conf", "DEVICE /dev/disk"),
        ("zfs/vdev_id.conf", "alias d1 wwn-0x5000c500"),
        ("zfs/vdev_id.conf", f"alias d1 {WWN}"),
        ("cloud/cloud.cfg", "disk_setup:\n  /dev/disk:\n    table_type: gpt"),
        ("cloud/cloud.cfg.d/90_disk.cfg", "fs_setup: [{device: '/dev/disk', filesystem: ext4}]"),
        ("cloud/cloud.cfg.d/90_disk.cfg", "mounts:\n - [ disk, /srv ]"),
    ],
)
def test_a_file_that_names_the_disk(host: Host, name: str, line: str) -> None:
    host.says(name, f"# what follows is a setting\n{line}\n")
    assert host.look() == Probe(mentions=(f"/etc/{name}",))


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("fstab", "#/dev/disk /srv ext4 defaults 0 2"),
        ("fstab", "/dev/other /srv ext4 defaults 0 2 # was /dev/disk"),
        ("fstab", "/dev/disk-2 /dev/disks /dev/disk/by-id/ata-x /dev/mapper/dev/disk"),
        ("fstab", f"{WWN}9 /srv ext4 defaults 0 2"),
        ("crypttab", "disk /dev/other none luks"),
        ("mdadm/mdadm.conf", "DEVICE /dev/dis* /dev/disk* /dev/disk[0-9] /dev/disk?"),
        ("mdadm/mdadm.conf", "DEVICE partitions containers"),
        ("cloud/cloud.cfg", "disk_setup:\n  ephemeral0: {}\nnot: [disk_x, /dev/diskless]"),
        ("cloud/cloud.cfg.d/90_disk.cfg.old", "/dev/disk"),
        ("lvm/lvm.conf", "/dev/disk"),
    ],
)
def test_a_file_that_does_not(host: Host, name: str, line: str) -> None:
    host.says(name, f"{line}\n")
    assert host.look() == BLANK


def test_the_number_of_a_disk_goes_on_with_digits(tmp_path: Path) -> None:
    disk = Disk("nvme0n1", (259, 0), SMALL)
    (tmp_path / "fstab").write_text("/dev/nvme0n10 / ext4\n/dev/nvme0n1-x\n")
    assert mentions(disk, tmp_path) == ()
    (tmp_path / "fstab").write_text("/dev/nvme0n1p2 / ext4\n")
    assert mentions(disk, tmp_path) == ("/etc/fstab",)


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        ("POLICY domain=a path=pci-0000:00:05.* action=spare", True),
        ("policy path=pci-0000:00:05.0 ACTION=force-spare", True),
        ("POL path=pci-* action=spare-same-slot", True),
        ("POLICY domain=a path=other path='pci-*'\n   action=include", True),
        ("POLICY domain=a # all\n#\n   action=spare", True),
        ("POLICY domain=a action=spare", True),
        (f"POLICY path={'[' * 256} action=spare", True),
        (f"POLICY path={'[' * 255} action=spare", False),
        ("POLICY path=pci-0000:00:06.* action=spare", False),
        ("POLICY path=PCI-* action=spare", False),
        ("POLICY path=pci-* action=re-add", False),
        ("POLICY path=pci-* action=ignore", False),
        ("POLICY path=pci-* type=part action=spare", False),
        ("POLICY domain=a metadata=1.2", False),
        ("PO path=pci-* action=spare", False),
        ("#POLICY path=pci-* action=spare", False),
        ("PART-POLICY domain=a action=spare", False),
    ],
)
def test_a_policy_of_mdadm(host: Host, line: str, *, taken: bool) -> None:
    host.says("mdadm/mdadm.conf", f"{line}\n")
    assert host.look() == Probe(mentions=("mdadm's POLICY",) if taken else ())


def test_a_disk_without_a_path_is_in_no_place(host: Host) -> None:
    host.says("mdadm/mdadm.conf", "POLICY path=* action=spare\n")
    assert host.look(replace(host.disk, path=None, links=())) == BLANK


@pytest.mark.parametrize(
    "name", ["fstab", "crypttab", "mdadm.conf", "zfs/vdev_id.conf", "cloud/cloud.cfg.d/1.cfg"]
)
def test_a_file_that_cannot_be_read_is_an_error(host: Host, name: str) -> None:
    path = host.roots.etc / name
    path.mkdir(parents=True)
    assert host.look() == Probe(error=f"/dev/disk: {path}: Is a directory")
