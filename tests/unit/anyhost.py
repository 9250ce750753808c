"""A host that is made of anything, with the agent on it."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from dmguard.core.forecast import WINDOW_S
from dmguard.core.model import Disk, Probe
from dmguard.core.settings import ClaimMode, ClaimRule, Match, Policy, Settings
from dmguard.core.units import Amount
from tests.unit.faults import Faults
from tests.unit.guarded import Guarded
from tests.unit.simkernel import SimPool, SimPv, SimVg
from tests.unit.simulated import START, Simulated
from tests.unit.witness import Witness

EXTENT = 4 << 20

_SOON_S = 8.0
"""A disk settles, it is claimed, and a pool grows on it."""

shares = st.builds(Amount, percent=st.sampled_from([0.0, 1.0, 20.0, 33.3, 40.0]))
sizes = st.builds(Amount, size=st.sampled_from([0, 1, EXTENT, 7 * EXTENT, 30 * EXTENT]))
policies = st.builds(
    Policy,
    data_threshold=st.sampled_from([50, 70, 75, 90, 99]),
    metadata_threshold=st.sampled_from([50, 70, 90]),
    step=shares | sizes,
    min_step=st.sampled_from([0, 1, 3 * EXTENT, 1 << 30]),
    headroom=st.sampled_from([0.0, 60.0, 600.0]),
    max_size=st.sampled_from([None, None, 40 * EXTENT + 1, 90 * EXTENT]),
    vg_reserve=shares | sizes,
)
rules_for_disks = st.builds(
    ClaimRule,
    st.sampled_from("aaab"),
    st.builds(Match, path=st.sampled_from(["pci-*", "pci-*", "pci-1*", "usb-*"])),
    limit=st.sampled_from([None, None, 2, 3, 4]),
    mode=st.sampled_from([ClaimMode.AUTO] * 5 + [ClaimMode.ASK]),
    settle=st.sampled_from([0.0, 5.0]),
)


class AnyHost(RuleBasedStateMachine):
    """What it is made of, its parts by any number, and what must hold once it stands still."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="dmguard-")
        self.patches = pytest.MonkeyPatch()
        self.letters = 0
        self.drawer: list[Disk] = []
        self.harsh = False
        self.world: Guarded | None = None

    @initialize(
        policy=policies,
        own=st.none() | policies,
        claims=st.lists(rules_for_disks, max_size=1) | st.lists(rules_for_disks, max_size=2),
        groups=st.lists(
            st.lists(st.integers(20, 120), min_size=1, max_size=3), min_size=1, max_size=2
        ),
        pools=st.lists(
            st.tuples(st.integers(5, 60), st.sampled_from([64, 512]), st.integers(0, 300)),
            min_size=1,
            max_size=2,
        ),
        spare=st.sampled_from([0, 1, 2]),
        harsh=st.sampled_from([False, False, True]),
    )
    def begin(
        self,
        policy: Policy,
        own: Policy | None,
        claims: list[ClaimRule],
        groups: list[list[int]],
        pools: list[tuple[int, int, int]],
        spare: int,
        harsh: bool,  # noqa: FBT001 - drawn
    ) -> None:
        """`harsh`: disks are pulled out, and pools fail."""
        self.harsh = harsh
        self.host = Simulated()
        for number, extents in enumerate(groups):
            pvs = [self.make_pv(size) for size in extents]
            self.host.vgs.append(SimVg("ab"[number], f"uuid-{number}", EXTENT, pvs))
        for number, (size, chunk, weight) in enumerate(pools):
            vg = self.host.vgs[number % len(self.host.vgs)]
            whole = min(size, self.host.free(vg) // EXTENT // 2 - 2) * EXTENT
            names = (f"pool{number}", f"lv-{number}")
            pool = SimPool(*names, whole, EXTENT, chunk << 10, number, weight)
            pool.lies_on = set(self.host.allocate(vg, whole + EXTENT))
            if vg.spare is None and spare:
                self.host.allocate(vg, spare * EXTENT)
                vg.spare = spare * EXTENT
            vg.pools.append(pool)
            self.host.activate(vg, pool)
        overrides = {"a/pool0": own} if own is not None else {}
        settings = Settings(policy=policy, overrides=overrides, claims=tuple(claims))
        root = Path(self.folder.name)
        self.world = Guarded(root, self.patches, self.host, settings)
        self.witness = Witness(self.world)

    def teardown(self) -> None:
        try:
            if self.world is not None:
                self.stand_still()
        finally:
            if self.world is not None:
                self.world.close()
            self.patches.undo()
            self.folder.cleanup()

    @property
    def guarded(self) -> Guarded:
        assert self.world is not None
        return self.world

    def make_disk(self, path: str, extents: int) -> Disk:
        self.letters += 1
        name = f"sd{self.letters}"
        disk = Disk(
            name=name,
            devno=(8, self.letters),
            size=START + extents * EXTENT,
            diskseq=self.letters,
            path=f"{path}:{self.letters}",
            serial=f"serial-{self.letters}",
            probe=Probe(),
        )
        self.host.disks[disk.node] = disk
        return disk

    def make_pv(self, extents: int) -> SimPv:
        disk = self.make_disk("home", extents)
        new = replace(disk, content="LVM2_member", probe=Probe(pv_label=True))
        self.host.disks[disk.node] = new
        size = extents * EXTENT
        return SimPv(f"pv-{disk.serial}", disk.serial or "", size, size)

    def vg_at(self, number: int) -> SimVg:
        return self.host.vgs[number % len(self.host.vgs)]

    def pool_at(self, number: int) -> tuple[SimVg, SimPool]:
        pools = [(vg, pool) for vg in self.host.vgs for pool in vg.pools]
        return pools[number % len(pools)]

    def node_at(self, number: int) -> str:
        nodes = list(self.host.disks)
        return nodes[number % len(nodes)] if nodes else "/dev/none"

    @rule()
    def stand_still(self) -> None:
        """Nothing happens any more: what can be cured is cured soon, and then it is quiet."""
        world = self.guarded
        world.rates.clear()
        world.faults = Faults()
        began = len(world.commands)
        world.pass_time(1.0)
        held = [held.until for held in world.memory._backoff.values() if held.until < math.inf]
        world.pass_time(max([0.0, *held], default=0.0) - world.loop.time())
        world.pass_time(world.settings.resync + _SOON_S)
        self.witness.check_cured()
        self.witness.check_history()
        assert len(world.commands) - began < 60, "too many commands"
        # For as long as a rate is taken over, a pool that was just filled is looked at often.
        world.pass_time(WINDOW_S)
        commands, cycles = len(world.commands), len(world.cycles)
        world.pass_time(4 * world.settings.resync)
        assert world.commands[commands:] == [], "it does not come to an end"
        assert len(world.cycles) - cycles < 20, "it looks without an end"
