"""`dmguard recover --bundle` on a host with Docker: every part, no secret, and nothing changed."""

from __future__ import annotations

import base64
import io
import tarfile
from typing import TYPE_CHECKING

from dmguard.core.bundle.parts import parts_of
from tests.lab import scsi
from tests.lab.lvmkit import docker_direct_lvm
from tests.vm.kit import MIB

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

SECRETS = {
    "daemon": "s3cr3t-Of-Daemon",
    "proxy": "s3cr3t@Of/Proxy",
    "journal": "s3cr3t-Of-Journal",
    "container": "s3cr3t Of Container",
    "variable": "s3cr3t-Of-Variable",
    "dm": "00112233445566778899aabbccddeeff",
}
NAMES = ("lab-host-7", "registry.corp.lan", "10.77.8.9")
# Without LVM's locks and what the kernel counts, all that a look must leave as it is.
CHANGED = """
find /etc /var/lib/dmguard /var/lib/docker/devicemapper /run/blkid /run/dmguard /root -xdev \
  -not -path '/root/out*' -not -name state.json -newer /root/before
dmsetup table; dmsetup info -c --noheadings; vgs --noheadings -o vg_name,vg_seqno; pvs
systemctl is-active docker dmguard dm-event
"""


def plant(m: Machine) -> None:
    """One secret in each kind of place."""
    m.run("hostname lab-host-7")
    m.put(
        "/etc/systemd/system/docker.service.d/proxy.conf",
        f'[Service]\nEnvironment="HTTP_PROXY=http://me:{SECRETS["proxy"]}@10.77.8.9:3128"\n',
    )
    m.put("/etc/default/docker", f"export LICENCE={SECRETS['variable']}\n")
    m.run(
        "python3 - <<'EDIT'\nimport json\npath = '/etc/docker/daemon.json'\n"
        "values = json.load(open(path))\n"
        f"values['labels'] = ['api-token={SECRETS['daemon']}']\n"
        "values['insecure-registries'] = ['registry.corp.lan:5000']\n"
        "json.dump(values, open(path, 'w'))\nEDIT\n"
        "systemctl daemon-reload && systemctl restart docker",
        timeout=120,
    )
    m.run(f"logger -t dmguard 'Authorization: Bearer {SECRETS['journal']}'")
    m.run(
        "docker run --rm --log-driver journald busybox echo"
        f" 'what a container says is its own: {SECRETS['container']}'",
        timeout=120,
    )
    m.run(
        f"dmsetup create crypted --table '0 2048 crypt aes-cbc-essiv:sha256 {SECRETS['dm']}"
        f" 0 {m.disks[1].device} 0'"
    )


def fetch(m: Machine, path: str) -> dict[str, str]:
    data = base64.b64decode(m.run(f"base64 -w0 {path}").out)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            member.name.removeprefix("dmguard-bundle/"): file.read().decode()
            for member in tar
            if (file := tar.extractfile(member)) is not None
        }


def test_a_bundle_has_every_part_and_no_secret_and_changes_nothing(machines: Factory) -> None:
    m = machines(disks=[2 << 30, 64 * MIB])
    docker_direct_lvm(m, m.disks[0])
    plant(m)
    (disk,) = scsi.add(m, 1)
    serial = m.run(f"udevadm info -q property {disk} | sed -n s/^ID_SERIAL=//p").out.strip()
    m.run("mkdir /root/out; udevadm settle; touch /root/before; sync")
    before = m.run(CHANGED, check=False).out

    said = m.run("dmguard recover --bundle /root/out/b.tar.xz", timeout=180)
    print(said.out)
    assert m.run(CHANGED, check=False).out == before
    assert m.run("stat -c %a /root/out/b.tar.xz; ls -A /root/out").out == "600\nb.tar.xz\n"
    again = m.run("dmguard recover --bundle /root/out/b.tar.xz", check=False)
    assert (again.status, "is there already" in again.err) == (1, True)

    m.run("mkdir /small && mount -t tmpfs -o size=8k none /small")
    full = m.run("dmguard recover --bundle /small/b.tar", timeout=180, check=False)
    assert (full.status, "No space left on device" in full.err) == (1, True)
    assert m.run("ls -A /small").out == ""

    files = fetch(m, "/root/out/b.tar.xz")
    manifest = files["MANIFEST"]
    print(manifest)
    for part in parts_of(("docker.service", "containerd.service", "isulad.service"), ()):
        assert f"\n{part.name}" in manifest
    # There is no iSulad, no file of LVM's devices, and nothing is wrong with the rest.
    for name in (
        "dmguard/recover.json", "dmguard/state.txt", "dmguard/history.txt", "dmguard/lib.txt",
        "journal/dmguard.txt", "journal/lvm.txt", "journal/kernel.txt", "journal/consumers.txt",
        "lvm/fullreport.json", "lvm/backup.txt", "lvm/archive.txt", "lvm/profiles.txt",
        "dm/table.txt", "dm/status.txt", "dm/info.txt", "disks/udev.txt", "disks/lsblk.json",
        "disks/blkid.txt", "host/mounts.txt", "host/packages.txt", "host/processes.txt",
        "units/state.txt", "units/text.txt", "consumers/configuration.txt",
        "consumers/variables.txt",
    ):  # fmt: skip
        assert files.get(name, "").strip(), name
    assert "docker-thinpool" in files["dm/table.txt"]
    assert "thin-pool" in files["dm/status.txt"]
    assert '"vg_name":"docker"' in files["lvm/fullreport.json"]
    assert "dm.thinpooldev=/dev/mapper/docker-thinpool" in files["consumers/configuration.txt"]
    assert "dockerd" in files["journal/consumers.txt"]

    whole = "\n".join(f"{name}\n{text}" for name, text in files.items())
    for word in (*SECRETS.values(), *NAMES, serial):
        assert word not in whole, word
    assert "crypt aes-cbc-essiv:sha256 <redacted-dm-key>" in files["dm/table.txt"]
    assert "<redacted-environment>" in files["units/text.txt"]
    assert "Authorization: <redacted-header>" in files["journal/dmguard.txt"]
