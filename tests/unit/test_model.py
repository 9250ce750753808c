"""The agent on a host on which anything may happen, at any moment, in any order."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from dmguard.core.model import Mode, Probe, Trigger
from dmguard.core.wake import Wake
from tests.unit.anyhost import EXTENT, AnyHost

ONE_NUMBER = ("take_mark", "remove_volume", "make_file_system", "pull_out", "fill_up")
TWO = ("extend", "make_volume", "add_disk_by_hand", "take_disk_out", "write", "discard", "hurt")
whole = st.integers(0, 99)
"""A number that picks one of several, however many there are then."""


def is_harsh(host: Host) -> bool:
    return host.harsh


class Host(AnyHost):
    """Rules are what others do, and what goes wrong; the agent does what it does meanwhile."""

    # Time and writers

    @rule(seconds=st.sampled_from([0.03, 0.12, 0.3, 1.1, 7.0, 40.0]))
    def live(self, seconds: float) -> None:
        self.guarded.pass_time(seconds)

    @rule(number=whole, percent=st.integers(1, 60))
    def write(self, number: int, percent: int) -> None:
        vg, pool = self.pool_at(number)
        self.host.write(vg, pool, pool.size // pool.chunk * percent // 100 + 1)

    @rule(number=whole, beside=st.sampled_from([-1, 0, 1, 2]))
    def write_up_to_mark(self, number: int, beside: int) -> None:
        """To the very chunk that the event is raised for, or one beside it."""
        vg, pool = self.pool_at(number)
        if pool.kernel is not None:
            threshold = self.witness.policy(vg, pool).data_threshold
            most = pool.kernel.total * threshold // 100 // pool.chunk + beside
            self.host.write(vg, pool, most - pool.kernel.used // pool.chunk)

    @rule(number=whole)
    def fill_up(self, number: int) -> None:
        vg, pool = self.pool_at(number)
        self.host.write(vg, pool, pool.size // pool.chunk + 1)

    @rule(number=whole, rate=st.sampled_from([0, 1, 10, 200]))
    def keep_writing(self, number: int, rate: int) -> None:
        _, pool = self.pool_at(number)
        self.guarded.rates[pool.uuid] = rate

    @rule(number=whole, percent=st.integers(1, 80))
    def discard(self, number: int, percent: int) -> None:
        vg, pool = self.pool_at(number)
        self.host.discard(vg, pool, pool.size // pool.chunk * percent // 100)

    @rule(number=whole, percent=st.integers(1, 100))
    def fill_metadata(self, number: int, percent: int) -> None:
        """Many small volumes, or snapshots."""
        _, pool = self.pool_at(number)
        if pool.kernel is not None:
            more = pool.kernel.metadata * percent // 100
            pool.kernel.metadata_used = min(pool.kernel.metadata, pool.kernel.metadata_used + more)

    # Events

    @rule(delays=st.sampled_from([(), (0.0,), (0.0, 0.3), (0.01, 0.02), (2.0,)]))
    def tell_so(self, delays: tuple[float, ...]) -> None:
        """Events are told at once, twice, late or never from now on."""
        self.guarded.faults.delays = delays

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.1, 0.7]))
    def lag(self, seconds: float) -> None:
        """A chunk is allocated so long after its event."""
        self.guarded.faults.lag_s = seconds

    # Others who use LVM

    @rule(number=whole)
    def take_mark(self, number: int) -> None:
        vg, pool = self.pool_at(number)
        self.guarded.by_another("lvchange", "--refresh", f"{vg.name}/{pool.name}")

    @rule(number=whole, percent=st.integers(1, 40))
    def extend(self, number: int, percent: int) -> None:
        """As dmeventd does it."""
        vg, pool = self.pool_at(number)
        size = f"{pool.size + pool.size * percent // 100}b"
        self.guarded.by_another("lvextend", "--size", size, f"{vg.name}/{pool.name}")

    @rule(number=whole, extents=st.integers(1, 40))
    def make_volume(self, number: int, extents: int) -> None:
        vg = self.vg_at(number)
        name = f"volume{vg.seqno}"
        size = f"{min(extents * EXTENT, self.host.free(vg))}b"
        self.guarded.by_another("lvcreate", "--size", size, "--name", name, vg.name)

    @rule(number=whole)
    def remove_volume(self, number: int) -> None:
        vg = self.vg_at(number)
        for name in list(vg.volumes)[:1]:
            self.guarded.by_another("lvremove", f"{vg.name}/{name}")

    @rule(number=whole, disk=whole)
    def add_disk_by_hand(self, number: int, disk: int) -> None:
        vg, node = self.vg_at(number), self.node_at(disk)
        if self.guarded.by_another("vgextend", vg.name, node):
            self.witness.taken_out.discard(self.host.disks[node].serial or "")

    @rule(number=whole, disk=whole)
    def take_disk_out(self, number: int, disk: int) -> None:
        vg, node = self.vg_at(number), self.node_at(disk)
        pvs = {pv.serial: pv.uuid for pv in vg.pvs}
        serial = self.host.disks[node].serial or "" if node in self.host.disks else ""
        was_seen = pvs.get(serial) in self.witness.members
        if self.guarded.by_another("vgreduce", vg.name, node) and was_seen:
            self.witness.taken_out.add(serial)

    @rule(number=whole, seconds=st.sampled_from([0.2, 3.0, 20.0]))
    def hold_lock(self, number: int, seconds: float) -> None:
        vg = self.vg_at(number)
        if vg.name not in self.host.locked:
            self.host.locked.add(vg.name)
            self.guarded.loop.call_later(seconds, self.host.locked.discard, vg.name)

    # Disks

    @rule(
        path=st.sampled_from(["pci-0", "pci-0", "pci-1", "usb-0"]),
        extents=st.integers(0, 100),
        kind=st.sampled_from(["blank", "blank", "blank", "ext4", "raw", "held", "label"]),
    )
    def plug_in(self, path: str, extents: int, kind: str) -> None:
        disk = self.make_disk(path, extents)
        changes: dict[str, dict[str, object]] = {
            "blank": {},
            "ext4": {"content": "ext4", "probe": Probe(signatures=("ext4",))},
            "raw": {"probe": Probe(data_at=4096)},
            "held": {"holders": ("md0",)},
            "label": {"content": "LVM2_member", "probe": Probe(pv_label=True)},
        }
        new = replace(disk, **changes[kind])  # type: ignore[arg-type] # fields of a disk
        self.host.disks[disk.node] = new
        self.guarded.tell(Wake(Trigger.UDEV, disk.name))

    @rule(number=whole)
    def make_file_system(self, number: int) -> None:
        """On a disk that nobody has."""
        disk = self.host.disks.get(self.node_at(number))
        if disk is not None and disk.content is None:
            probe = Probe(signatures=("xfs",))
            new = replace(disk, content="xfs", probe=probe, stamp=disk.stamp + 1)
            self.host.disks[disk.node] = new
            self.guarded.tell(Wake(Trigger.UDEV, disk.name))

    @rule(number=whole)
    def scribble(self, number: int) -> None:
        """On a disk that nobody has, which stays open, so that udev does not tell."""
        disk = self.host.disks.get(self.node_at(number))
        if disk is not None and disk.probe == Probe():
            self.host.disks[disk.node] = replace(disk, probe=Probe(data_at=8192))

    @precondition(is_harsh)
    @rule(number=whole)
    def pull_out(self, number: int) -> None:
        disk = self.host.disks.pop(self.node_at(number), None)
        if disk is not None:
            self.drawer.append(disk)
            self.guarded.tell(Wake(Trigger.UDEV, disk.name))

    @rule()
    def plug_in_again(self) -> None:
        """Under another name, as the kernel numbers it now."""
        if self.drawer:
            old = self.drawer.pop(0)
            self.letters += 1
            number = self.letters
            disk = replace(old, name=f"sd{number}", devno=(8, number), diskseq=number)
            self.host.disks[disk.node] = disk
            self.guarded.tell(Wake(Trigger.UDEV, disk.name))

    # What goes wrong

    @rule(boundaries=st.integers(0, 25))
    def crash(self, boundaries: int) -> None:
        """The agent dies so many steps outside from now."""
        self.guarded.faults.fuse = boundaries

    @rule()
    def cut_power(self) -> None:
        self.guarded.power_cut()

    @rule()
    def kill_command(self) -> None:
        """The agent's next LVM command that changes something is killed halfway."""
        self.guarded.faults.kills = 1

    @rule(times=st.sampled_from([1, 1, 6]))
    def fail_command(self, times: int) -> None:
        """So many of the agent's next commands that change something fail."""
        self.guarded.faults.fails = times

    @rule()
    def fail_for_long(self) -> None:
        """LVM does nothing at all for two minutes: it is asked ever more seldom."""
        world = self.guarded
        world.rates.clear()
        world.faults.fails, began = 10_000, len(world.commands)
        world.pass_time(120.0)
        world.faults.fails = 0
        acts = sum(3 * len(vg.pools) + len(vg.pvs) for vg in self.host.vgs) + len(self.host.disks)
        assert len(world.commands) - began <= 9 * acts, "it does not leave LVM alone"

    @rule(what=st.sampled_from(ONE_NUMBER + TWO), number=whole, other=st.integers(1, 40))
    def meanwhile(self, what: str, number: int, other: int) -> None:
        """At the moment of the agent's next command, when it has looked and is sure."""
        if self.harsh or what not in ("pull_out", "hurt"):
            do = getattr(self, what)
            args = (number,) if what in ONE_NUMBER else (number, other)
            self.guarded.faults.meanwhile.append(lambda: do(*args))

    @precondition(is_harsh)
    @rule(number=whole, how=st.integers(0, 3))
    def hurt(self, number: int, how: int) -> None:
        mode, check = Mode.FAIL if how % 4 == 0 else Mode.RO, how % 4 > 1
        vg, pool = self.pool_at(number)
        if pool.kernel is not None and pool.kernel.mode is not Mode.FAIL:
            pool.kernel.needs_check |= check
            self.host.switch(vg, pool, mode)

    @rule(number=whole)
    def repair(self, number: int) -> None:
        """Taken down, checked, and brought up again by hand."""
        vg, pool = self.pool_at(number)
        if not self.host.is_broken(vg) and vg.name not in self.host.locked:
            self.host.activate(vg, pool)


TestHost = Host.TestCase
