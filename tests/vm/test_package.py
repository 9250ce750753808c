"""What installing, upgrading and purging the package does to a machine with a real systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dmguard
from dmguard.core.codes import CODES

if TYPE_CHECKING:
    from tests.lab.machine import Machine
    from tests.vm.conftest import Factory

# Where the package, the agent, dpkg and systemd put things; /usr/share is asked of dpkg. The index
# of a tag in /run/udev is udev's, which forgets it with the next boot.
LEFT = (
    "find /etc /run /var/lib /usr/bin /usr/lib/python3/dist-packages /usr/lib/systemd"
    " -xdev -name '*dmguard*' -not -path '/run/udev/tags/*'"
)
REPACK = """
set -e
cd /root
mkdir -p next/DEBIAN
dpkg-query -L dmguard | tail -n +2 | tar -C / -cf - --no-recursion -P -T - | tar -C next -xf -
for script in postinst prerm postrm; do
    cp -a "/var/lib/dpkg/info/dmguard.$script" "next/DEBIAN/$script"
done
dpkg-query -s dmguard | sed -e '/^Status:/d' -e 's/^Version: .*/Version: 99/' >next/DEBIAN/control
dpkg-deb -b next next.deb
"""


def show(machine: Machine, name: str) -> str:
    return machine.run(f"systemctl show -P {name} dmguard.service").out.strip()


def test_installed_agent_guards_after_boot(machines: Factory) -> None:
    machine = machines()
    assert machine.run("systemctl is-enabled dmguard").out.strip() == "enabled"
    assert machine.run("systemctl is-active dmguard").out.strip() == "active"
    assert show(machine, "NRestarts") == "0"
    version = machine.run("dmguard --version").out.strip()
    assert version == f"dmguard {dmguard.__version__}"

    # It would keep Docker's devices busy if it had a mount namespace of its own.
    namespaces = machine.run(f"readlink /proc/1/ns/mnt /proc/{show(machine, 'MainPID')}/ns/mnt")
    init, agent = namespaces.out.split()
    assert init == agent

    explained = machine.run("journalctl --list-catalog --no-pager").out
    assert [code.code for code in CODES.values() if code.message_id not in explained] == []


def test_upgrade_restarts_the_agent(machines: Factory) -> None:
    machine = machines()
    before = show(machine, "MainPID")
    machine.run(REPACK)
    machine.run("dpkg -i /root/next.deb", timeout=120)
    machine.wait_until("systemctl is-active dmguard")
    assert show(machine, "MainPID") not in {before, "0"}
    assert machine.run("dpkg-query -W -f '${Version}' dmguard").out == "99"
    assert machine.run("systemctl is-enabled dmguard").out.strip() == "enabled"


def test_purge_leaves_nothing(machines: Factory) -> None:
    machine = machines()
    machine.put("/etc/dmguard/dmguard.toml", "[policy]\ndata_threshold = 80\n")
    machine.put("/etc/dmguard/conf.d/site.toml", "[policy]\nmetadata_threshold = 60\n")
    machine.run("systemctl restart dmguard && pgrep -x dmguard")
    machine.run("dpkg -L dmguard | grep dmguard >/root/listed")
    machine.run("dpkg -P dmguard", timeout=120)
    assert machine.run("xargs ls -d </root/listed", check=False).out == ""
    assert machine.run(LEFT).out == ""
    assert machine.run("pgrep -x dmguard", check=False).out == ""
    assert machine.run("systemctl list-units --all --no-legend 'dmguard*'").out == ""
