"""An idle agent is quiet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_pool, make_vg, raw_thin
from tests.vm.kit import MIB, wait_for, wait_for_mark

if TYPE_CHECKING:
    from tests.vm.conftest import Factory

# Forks counted by the kernel, and switches of every thread of one process, over a minute. The
# kernel counts its own threads as well, which it makes as it likes: their parent is number 2.
_WATCH = """
import json, os, sys, time
def forks():
    return next(int(l.split()[1]) for l in open('/proc/stat') if l.startswith('processes'))
def threads():
    found = set()
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            if open('/proc/%s/stat' % pid).read().rpartition(')')[2].split()[1] == '2':
                found.add(pid)
        except OSError:
            pass
    return found
def switches(pid):
    total = 0
    for task in os.listdir('/proc/%s/task' % pid):
        for line in open('/proc/%s/task/%s/status' % (pid, task)):
            if 'ctxt_switches' in line:
                total += int(line.split()[1])
    return total
pid, seconds = sys.argv[1], int(sys.argv[2])
a, b, own = forks(), switches(pid), threads()
time.sleep(seconds)
made = len(threads() - own)
print(json.dumps({'forks': forks() - a - made, 'own': made, 'switches': switches(pid) - b}))
"""


def test_an_idle_minute_starts_no_process_and_hardly_wakes(machines: Factory) -> None:
    """With the default configuration, a healthy pool, and dmeventd beside it."""
    m = machines(disks=[1 << 30])
    make_vg(m, "docker", m.disks)
    make_pool(m, "docker", "thinpool", "400m")
    raw_thin(m, "docker", "thinpool", "t0", 300 * MIB, 0)
    wait_for_mark(m, "docker", "thinpool")
    m.run("systemctl stop '*.timer' cron.service || true")
    pid = m.run("systemctl show -P MainPID dmguard").out.strip()
    m.put("/tmp/watch.py", _WATCH)

    def watch(seconds: int) -> dict[str, int]:
        out = m.run(f"python3 /tmp/watch.py {pid} {seconds}", timeout=90).out
        return dict(json.loads(out))

    # What the boot and our own commands started has ended when ten seconds pass without a fork.
    wait_for("the machine quiet", lambda: watch(10)["forks"] == 0, timeout=120)
    said = m.journal("-b", "SYSLOG_IDENTIFIER=dmguard")

    seen = watch(60)
    print(seen)

    assert seen["forks"] == 0
    assert seen["switches"] <= 12
    assert m.journal("-b", "SYSLOG_IDENTIFIER=dmguard") == said
    assert m.run("systemctl show -P MainPID dmguard").out.strip() == pid
