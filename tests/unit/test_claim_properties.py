"""What holds for the claims on any host, and while it changes."""

from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dmguard.core.actions import Claim, is_met
from dmguard.core.ledger import Ledger, keep_books
from dmguard.core.model import Disk, DiskKind, Probe, State, Vg
from dmguard.core.plan import Past, make_plan
from dmguard.core.settings import ClaimMode, ClaimRule, Match, Settings
from dmguard.loop.memory import Memory
from tests.unit.builders import MIB, make_pool, make_state
from tests.unit.disks import make_disk, pv_on, vg_of

LETTERS = "bcdefgh"
FLAWS: list[dict[str, object]] = [
    {"ready": False},
    {"kind": DiskKind.LOOP},
    {"removable": True},
    {"read_only": True},
    {"zoned": True},
    {"multipath_leg": True},
    {"partitions": ("sdx1",)},
    {"holders": ("dm-1",)},
    {"slaves": ("sdx",)},
    {"content": "xfs"},
    {"content": "gpt"},
    {"sector": 4096},
    {"size": MIB},
    {"probe": None},
    {"probe": Probe(error="Input/output error")},
    {"probe": Probe(signatures=("xfs at 0",))},
    {"probe": Probe(tables=("gpt",))},
    {"probe": Probe(pv_label=True)},
    {"probe": Probe(data_at=0)},
    {"probe": Probe(users=("pid 7",))},
    {"probe": Probe(mentions=("/etc/fstab",))},
]
BUSES = ["pci-0", "pci-1", "pci-2", "usb-0", None]


def any_rule(rng: Random) -> ClaimRule:
    return ClaimRule(
        rng.choice([*["vg"] * 8, "other", "absent"]),
        Match(path=rng.choice(["pci-*", "pci-*", "pci-*", "pci-0", "usb-*"])),
        rng.choice([None, 1, 2, 3, 4, 5]),
        rng.choice([*[ClaimMode.AUTO] * 6, ClaimMode.ASK]),
        rng.choice([0.0, 5.0, 5.0, 60.0]),
    )


def any_disk(rng: Random, letter: str) -> Disk:
    """Blank and unused, or with one flaw; perhaps the twin of another."""
    flaw = rng.choice(FLAWS) if rng.random() < 0.3 else {}
    serial = "twin" if rng.random() < 0.1 else f"serial-{letter}"
    return make_disk(letter, **{"path": rng.choice(BUSES), "serial": serial} | flaw)


def any_group(rng: Random, name: str, members: list[Disk]) -> Vg:
    vg = vg_of(*members, name=name)
    match rng.randint(0, 12):
        case 0:
            return replace(vg, exported=True)
        case 1:
            return replace(vg, pvs=(replace(vg.pvs[0], missing=True), *vg.pvs[1:]))
        case 2:
            return replace(vg, writeable=False)
    return vg


def any_world(rng: Random) -> tuple[State, Settings, Past]:
    disks = [any_disk(rng, letter) for letter in LETTERS[: rng.randint(1, len(LETTERS))]]
    homes = (make_disk("a"), make_disk("z", path="usb-9"))
    # LVM mixes no sector sizes of itself, and in a mixed group either of them belongs.
    fits = [disk for disk in disks if disk.sector == homes[0].sector]
    inside = [disk for disk in fits if rng.random() < 0.15]
    groups = (
        any_group(rng, "vg", [homes[0], *inside]),
        any_group(rng, "other", [homes[1]]),
    )
    identities = [disk.identity for disk in disks]
    ledger = Ledger(
        ignored=frozenset(x for x in identities if rng.random() < 0.05),
        taken_out=frozenset(x for x in identities if rng.random() < 0.05),
        unreadable=rng.random() < 0.05,
    )
    state = make_state(*(make_pool(vg=group) for group in groups))
    state = replace(state, disks=(*homes, *disks), ledger=ledger)
    rules = tuple(any_rule(rng) for _ in range(rng.choice([0, 1, 1, 1, 2, 3])))
    steady = {disk.node: rng.choice([0.0, 4.9, 5.0, 59.0, 600.0, 600.0]) for disk in disks}
    return state, Settings(claims=rules), Past(steady=steady)


def is_spotless(disk: Disk) -> bool:
    """Said without the code that is tested: as make_disk makes it, in all that matters."""
    clean = make_disk(disk.name[-1], path=disk.path, serial=disk.serial)
    return disk == clean


def check(claim: Claim, state: State, settings: Settings, past: Past) -> None:
    (disk,) = (disk for disk in state.disks if disk.node == claim.disk)
    assert is_spotless(disk)
    assert all(pv.devno != disk.devno for vg in state.vgs for pv in vg.pvs)
    assert [other.serial for other in state.disks].count(disk.serial) == 1
    rules = [rule for rule in settings.claims if rule.match.takes(disk)]
    assert {rule.vg for rule in rules} == {claim.vg}
    assert all(rule.mode is ClaimMode.AUTO for rule in rules)
    assert past.steady.get(disk.node, 0.0) >= min(rule.settle for rule in rules)
    ledger = state.ledger
    assert not ledger.unreadable
    assert disk.identity not in ledger.ignored | ledger.taken_out
    (vg,) = (vg for vg in state.vgs if vg.uuid == claim.vg_uuid)
    assert vg.name == claim.vg
    assert vg.writeable
    assert not vg.exported
    assert not vg.missing
    assert (claim.identity, claim.devno, claim.diskseq, claim.size) == (
        disk.identity,
        disk.devno,
        disk.diskseq,
        disk.size,
    )


def within_limits(claims: list[Claim], state: State, settings: Settings) -> bool:
    """Is there room for each in its group, by every rule that is for it, after those before it?"""
    size = {vg.uuid: len(vg.pvs) for vg in state.vgs}
    for claim in claims:
        (disk,) = (disk for disk in state.disks if disk.node == claim.disk)
        size[claim.vg_uuid] += 1
        limits = (rule.limit for rule in settings.claims if rule.match.takes(disk))
        if any(limit is not None and size[claim.vg_uuid] > limit for limit in limits):
            return False
    return True


SLOW = hypothesis_settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
RANDOMS = st.randoms(use_true_random=True)


@SLOW
@given(RANDOMS)
def test_only_a_disk_that_nothing_speaks_against_is_claimed_and_never_too_many(
    rng: Random,
) -> None:
    state, settings, past = any_world(rng)
    claims = [a for a in make_plan(state, settings, past).actions if isinstance(a, Claim)]
    assert len({claim.disk for claim in claims}) == len(claims)
    for claim in claims:
        check(claim, state, settings, past)
    assert within_limits(claims, state, settings)


def apply(state: State, claim: Claim) -> State:
    """What LVM makes of a claim."""
    (disk,) = (disk for disk in state.disks if disk.node == claim.disk)
    used = replace(disk, content="LVM2_member", stamp=disk.stamp + 1, probe=None)
    disks = tuple(used if other is disk else other for other in state.disks)
    old = next(vg for vg in state.vgs if vg.uuid == claim.vg_uuid)
    new = replace(old, pvs=(*old.pvs, pv_on(used)), seqno=old.seqno + 1)
    vgs = tuple(new if vg is old else vg for vg in state.vgs)
    pools = tuple(replace(p, vg=new) if p.vg.uuid == new.uuid else p for p in state.pools)
    return replace(state, vgs=vgs, pools=pools, disks=disks)


@SLOW
@given(RANDOMS)
def test_claims_come_to_an_end_each_is_met_and_no_group_exceeds_its_limit(rng: Random) -> None:
    state, settings, _ = any_world(rng)
    memory = Memory()
    for number in range(12):
        memory.sample(state, 100.0 * number)
        state = replace(state, ledger=keep_books(state.ledger, state))
        claims = [
            action
            for action in make_plan(state, settings, memory.past).actions
            if isinstance(action, Claim)
        ]
        assert within_limits(claims, state, settings)
        for claim in claims:
            check(claim, state, settings, memory.past)
            assert is_met(claim, state) is False
        for claim in claims:
            state = apply(state, claim)
            assert is_met(claim, state) is True
        if number > 2 and not claims:
            break
    else:
        raise AssertionError("claims without an end")


def test_the_worlds_are_such_that_something_is_claimed() -> None:
    rng, claimed, left = Random(7), 0, 0
    for _ in range(300):
        state, settings, past = any_world(rng)
        claims = sum(isinstance(a, Claim) for a in make_plan(state, settings, past).actions)
        claimed += claims
        left += len(state.disks) - claims
    assert claimed > 50
    assert left > 500
