"""`dmguard setup`: what is planned from bare disks, from every half of it, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.actions import (
    Action,
    Activate,
    AttachProfile,
    Claim,
    Configure,
    CreatePool,
    CreateVg,
    DiskRef,
    Monitor,
    WipeDisk,
    dump_action,
    is_met,
    load_action,
)
from dmguard.core.consumers.flags import Flags
from dmguard.core.goals import SetUp
from dmguard.core.host import DockerData, FileText, Host, UnitFacts
from dmguard.core.model import (
    Consumer,
    Disk,
    KernelPool,
    Mode,
    Pool,
    PoolLv,
    Probe,
    Profile,
    State,
    Usage,
    Vg,
    Volume,
    dm_name,
)
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.plan.setup import pool_sizes
from dmguard.core.settings import ConsumerPolicy, OnRecovered, Settings
from dmguard.core.steps import (
    Lvm,
    Proof,
    Prove,
    PutFile,
    Step,
    Unmake,
    Wipe,
    digest,
    every_step,
    finish_for,
    steps_for,
    undo_for,
)
from dmguard.core.units import Amount
from tests.unit.builders import EXTENT, GIB, MIB
from tests.unit.disks import make_disk, pv_on, vg_of

TWO = (make_disk("b"), make_disk("c"))
GOAL = SetUp(disks=("/dev/sdb", "/dev/sdc"), consumer="docker")
DAEMON = "/etc/docker/daemon.json"
HOST = Host(
    programs=frozenset(("dockerd", "docker", "containerd", "ctr")),
    docker_version="20.10.24+dfsg1",
    docker=DockerData("/var/lib/docker", there=False),
    isulad=DockerData("/var/lib/isulad", there=False),
    units={
        "docker.socket": UnitFacts("docker.socket"),
        "docker.service": UnitFacts("docker.service", active="active"),
    },
)
BARE = State((), (), disks=TWO, host=HOST, dmeventd=True)


def plan(state: State = BARE, goal: SetUp = GOAL) -> Plan:
    return make_plan(state, Settings(), Past(), goal)


def kinds(planned: Plan) -> list[type[Action]]:
    return [type(action) for action in planned.actions]


def codes(planned: Plan) -> list[str]:
    assert planned.actions == ()
    return [refusal.code for refusal in planned.refusals]


def with_host(state: State, **changes: object) -> State:
    return replace(state, host=replace(state.host or Host(), **changes))  # type: ignore[arg-type]


def kernel_of(action: CreatePool) -> KernelPool:
    return KernelPool(
        dm_name=f"{action.vg}-{action.lv}",
        vg_uuid=f"uuid-{action.vg}",
        lv_uuid="uuid-pool",
        devno=(253, 2),
        event_nr=0,
        size=action.size,
        chunk=action.chunk,
        low_water=0,
        mode=Mode.RW,
        needs_check=False,
        errors_when_full=False,
        transaction_id=0,
        data=Usage(0, action.size),
        metadata=Usage(0, action.metadata_size),
    )


def done(state: State, action: Action) -> State:
    """The host after an action, as LVM and the consumers would leave it."""
    host = state.host
    assert host is not None
    match action:
        case WipeDisk():
            disks = tuple(
                replace(disk, probe=Probe(data_at=4096), partitions=(), content=None)
                if disk.identity == action.ref.identity
                else disk
                for disk in state.disks
            )
            return replace(state, disks=disks)
        case CreateVg():
            members = [disk for disk in state.disks if DiskRef.of(disk) in action.disks]
            free = tuple(replace(pv, free=pv.size) for pv in map(pv_on, members))
            vg = replace(vg_of(*members, name=action.vg), pvs=free, spare=None)
            return replace(state, vgs=(*state.vgs, replace(vg, size=sum(pv.size for pv in free))))
        case Claim():
            (vg,) = state.vgs
            member = next(disk for disk in state.disks if disk.identity == action.identity)
            pv = pv_on(member)
            return replace(state, vgs=(replace(vg, pvs=(*vg.pvs, replace(pv, free=pv.size))),))
        case CreatePool():
            vg = state.vgs[0]
            lv = PoolLv(
                vg.name,
                action.lv,
                "uuid-pool",
                action.size,
                action.metadata_size,
                action.chunk,
                active=True,
                profile=action.profile,
            )
            pool = Pool(lv, vg, kernel_of(action), Profile(80, 20))
            profiles = {**host.profiles, action.profile: action.text}
            state = replace(state, pools=(pool,))
            return with_host(state, profiles=profiles, monitored={"uuid-pool": action.monitor})
        case Configure():
            texts = {**host.files, action.path: FileText(action.text)}
            serving = {**host.serving, action.consumer: action.dm_name}
            state = replace(state, consumers=(Consumer(action.consumer, action.dm_name),))
            return with_host(state, files=texts, serving=serving)
    raise AssertionError(action)


def carry_out(state: State, goal: SetUp) -> tuple[State, list[Action]]:
    """As the command does it: the first action, a look, and the plan anew."""
    acts: list[Action] = []
    while (planned := plan(state, goal)).actions:
        action = planned.actions[0]
        state = done(state, action)
        assert is_met(action, state), action
        acts.append(action)
    assert planned.refusals == ()
    return state, acts


def test_bare_disks_become_a_group_a_pool_and_a_consumers() -> None:
    state, acts = carry_out(BARE, GOAL)
    assert [type(act) for act in acts] == [CreateVg, CreatePool, Configure]
    assert plan(state) == Plan(), "a second run has nothing to do"


def test_the_whole_way_is_shown_beforehand_as_it_is_then_done() -> None:
    shown = [str(step) for action in plan().actions for step in every_step(action)]
    _, acts = carry_out(BARE, GOAL)
    assert shown == [str(step) for action in acts for step in every_step(action)]


def test_the_commands() -> None:
    """The defaults of Docker's manual, each disk proved before, the pool in one command."""
    make_vg, make_pool, configure = plan().actions
    assert [type(step) for step in steps_for(make_vg)] == [Prove, Prove, Lvm]
    vgcreate = steps_for(make_vg)[-1]
    assert isinstance(vgcreate, Lvm)
    assert (vgcreate.argv[0], vgcreate.argv[-3:]) == (
        "vgcreate",
        ("docker", "/dev/sdb", "/dev/sdc"),
    )
    assert not {"-y", "--yes", "-f", "--force", "-ff"} & set(vgcreate.argv)
    put, lvcreate = steps_for(make_pool)
    assert isinstance(put, PutFile)
    assert put.path == "/etc/lvm/profile/docker-thinpool.profile"
    assert "threshold=80" in put.text
    assert "percent=20" in put.text
    assert isinstance(lvcreate, Lvm)
    words = dict(zip(lvcreate.argv[1:-1:2], lvcreate.argv[2:-1:2], strict=True))
    extents = 2 * ((10 * GIB - MIB) // EXTENT)
    data = extents * 95 // 100 * EXTENT
    assert words["--size"] == f"{data}b"
    assert words["--poolmetadatasize"] == f"{-(-extents // 100) * EXTENT}b"
    assert words["--chunksize"] == f"{512 << 10}b"
    assert (words["--zero"], words["--name"]) == ("n", "thinpool")
    assert words["--metadataprofile"] == "docker-thinpool"
    assert "monitoring=0" not in words["--config"], "LVM hands it to dmeventd, which is there"
    assert isinstance(configure, Configure)
    assert '"dm.thinpooldev=/dev/mapper/docker-thinpool"' in configure.text
    assert '"dm.min_free_space=10%"' in configure.text
    systemctl = [str(step) for step in steps_for(configure) if "systemctl" in str(step)]
    assert systemctl == [
        "systemctl stop docker.socket",
        "systemctl stop docker.service",
        "systemctl reset-failed docker.service",
        "systemctl start docker.service",
    ]


def test_hyphens_are_doubled_for_the_consumer() -> None:
    goal = replace(GOAL, vg="my-vg", pool="thin-pool")
    (*_, configure) = plan(goal=goal).actions
    assert isinstance(configure, Configure)
    assert "dm.thinpooldev=/dev/mapper/my--vg-thin--pool" in configure.text


def test_without_dmeventd_lvm_starts_none() -> None:
    _, make_pool, _ = plan(replace(BARE, dmeventd=False)).actions
    lvcreate = steps_for(make_pool)[-1]
    assert "activation/monitoring=0" in str(lvcreate)


@given(
    sizes=st.lists(st.integers(64, 1 << 22), min_size=1, max_size=5),
    data=st.integers(1, 99),
    metadata=st.integers(1, 20),
)
def test_a_pool_fits_with_its_metadata_and_their_spare(
    sizes: list[int], data: int, metadata: int
) -> None:
    disks = [make_disk(chr(ord("b") + i), size=mib * MIB) for i, mib in enumerate(sizes)]
    free = tuple(replace(pv, free=pv.size) for pv in map(pv_on, disks))
    vg = Vg("vg", "u", 1, sum(pv.size for pv in free), EXTENT, free, ())
    goal = SetUp(data=Amount(percent=float(data)), metadata=Amount(percent=float(metadata)))
    size, of_metadata = pool_sizes(vg, goal)
    assert size % EXTENT == of_metadata % EXTENT == 0
    assert of_metadata >= 4 * MIB
    if size > 0:
        assert size + 2 * of_metadata <= vg.free
        assert size <= vg.free * data / 100 + EXTENT
        assert of_metadata <= 16 * GIB


def test_a_size_that_was_asked_for_is_given_or_refused() -> None:
    for size, pool_size in ((5 * GIB, 5 * GIB), (5 * GIB - 1, 5 * GIB), (1, EXTENT)):
        goal = replace(GOAL, data=Amount(size=size), metadata=Amount(size=100 * MIB))
        pool = next(action for action in plan(goal=goal).actions if isinstance(action, CreatePool))
        assert (pool.size, pool.metadata_size) == (pool_size, 100 * MIB)
    (refusal,) = plan(goal=replace(GOAL, data=Amount(size=500 * GIB))).refusals
    assert refusal.code == "vg-too-small"
    assert "at least 500" in refusal.message


def test_a_disk_that_is_too_small_for_a_pool_is_refused() -> None:
    tiny = make_disk("b", size=9 * MIB)
    state = replace(BARE, disks=(tiny,))
    assert codes(plan(state, replace(GOAL, disks=("/dev/sdb",)))) == ["vg-too-small"]


USED = {
    "disk-signature": make_disk("c", probe=Probe(signatures=("ext4 at 0x438",))),
    "disk-orphan-pv": make_disk("c", probe=Probe(signatures=("LVM2_member",), pv_label=True)),
    "disk-partition-table": make_disk("c", partitions=("sdc1",)),
    "disk-has-data": make_disk("c", probe=Probe(data_at=8192)),
}


@pytest.mark.parametrize("code", USED)
def test_a_disk_with_anything_on_it_is_refused_and_none_is_touched(code: str) -> None:
    state = replace(BARE, disks=(TWO[0], USED[code]))
    assert codes(plan(state)) == [code]
    assert plan(replace(BARE, disks=TWO)).actions, "the same disk, blank"


@pytest.mark.parametrize("word", ["serial-c", "/dev/disk/by-id/scsi-c"])
@pytest.mark.parametrize("code", USED)
def test_what_is_on_it_is_given_up_by_its_serial_number_or_link_alone(code: str, word: str) -> None:
    state = replace(BARE, disks=(TWO[0], USED[code]))
    goal = replace(GOAL, forced=(word,))
    final, acts = carry_out(state, goal)
    wipes = [act for act in acts if isinstance(act, WipeDisk)]
    assert [wipe.disk for wipe in wipes] == ([] if code == "disk-has-data" else ["/dev/sdc"])
    for wipe in wipes:
        proof, step = steps_for(wipe)
        assert isinstance(proof, Prove)
        assert proof.proof is Proof.EXPENDABLE
        assert step == Wipe("/dev/sdc")
    (make_vg,) = (act for act in acts if isinstance(act, CreateVg))
    first, second, _ = steps_for(make_vg)
    assert isinstance(first, Prove)
    assert isinstance(second, Prove)
    assert (first.proof, second.proof) == (Proof.BLANK, Proof.UNSIGNED)
    assert plan(final, goal) == Plan()


@pytest.mark.parametrize("word", ["/dev/sdc", "sdc", "serial", "/dev/disk/by-id/scsi", "*", ""])
def test_force_by_anything_else_is_refused(word: str) -> None:
    state = replace(BARE, disks=(TWO[0], USED["disk-signature"]))
    assert codes(plan(state, replace(GOAL, forced=(word,)))) == [
        "force-matches-nothing",
        "disk-signature",
    ]


@pytest.mark.parametrize(
    ("disk", "code"),
    [
        (make_disk("c", holders=("dm-3",)), "disk-held"),
        (make_disk("c", read_only=True), "disk-read-only"),
        (make_disk("c", probe=Probe(users=("mounted on /srv",))), "disk-in-use"),
        (make_disk("c", probe=Probe(error="I/O error")), "disk-unreadable"),
        (make_disk("c", probe=None), "disk-not-probed"),
    ],
)
def test_force_is_for_content_only(disk: Disk, code: str) -> None:
    state = replace(BARE, disks=(TWO[0], disk))
    assert codes(plan(state, replace(GOAL, forced=("serial-c",)))) == [code]


def test_disks_of_different_sectors_are_no_group() -> None:
    state = replace(BARE, disks=(TWO[0], make_disk("c", sector=4096)))
    assert codes(plan(state)) == ["disk-sector-size"]


def test_a_disk_that_is_not_there_is_told() -> None:
    assert codes(plan(goal=replace(GOAL, disks=("/dev/sdx",)))) == ["no-such-disk"]


def test_the_same_disk_by_two_names_is_one() -> None:
    goal = replace(GOAL, disks=("/dev/sdb", "/dev/disk/by-id/scsi-b"))
    make_vg = plan(goal=goal).actions[0]
    assert isinstance(make_vg, CreateVg)
    assert [ref.disk for ref in make_vg.disks] == ["/dev/sdb"]


def group(*members: Disk) -> Vg:
    pvs = tuple(replace(pv, free=pv.size) for pv in map(pv_on, members))
    return replace(vg_of(*members, name="docker"), pvs=pvs, spare=None)


def test_a_group_of_another_is_not_used_unless_it_is_named() -> None:
    state = replace(BARE, vgs=(group(make_disk("x")),), disks=(*TWO, make_disk("x")))
    assert codes(plan(state)) == ["vg-there"]
    assert kinds(plan(state, replace(GOAL, named=True))) == [Claim, Claim, CreatePool, Configure]
    assert kinds(plan(state, replace(GOAL, disks=(), named=True))) == [CreatePool, Configure]


@pytest.mark.parametrize("named", [False, True])
def test_the_same_words_take_no_other_disk_that_has_the_name_of_one_of_theirs(
    named: bool,  # noqa: FBT001
) -> None:
    """The kernel gives names in the order in which it finds disks: after a boot sdc is another."""
    goal = replace(GOAL, consumer="", named=named)
    state = ready(goal)
    assert plan(state, goal) == Plan()
    other = make_disk("d", name="sdc", links=("/dev/disk/by-id/scsi-d",))
    moved = replace(state, disks=(TWO[0], other))
    planned = plan(moved, goal)
    assert codes(planned) == ["disk-may-be-another"]
    assert "/dev/disk/by-id/scsi-d" in planned.refusals[0].message
    seq = replace(other, links=(*other.links, "/dev/disk/by-diskseq/3"))
    by_seq = replace(goal, disks=("/dev/sdb", "/dev/disk/by-diskseq/3"))
    assert codes(plan(replace(state, disks=(TWO[0], seq)), by_seq)) == ["disk-may-be-another"]
    told = replace(goal, disks=("/dev/sdb", "/dev/disk/by-id/scsi-d"))
    (claim,) = plan(moved, told).actions
    assert isinstance(claim, Claim)
    assert claim.identity == other.identity


def test_a_group_that_is_named_is_made_larger_by_any_disk_while_it_has_no_pool() -> None:
    """One that dmguard made is an exception: it has all disks that it was to have."""
    of_another = group(TWO[0])
    state = replace(BARE, vgs=(of_another,))
    goal = replace(GOAL, consumer="", named=True)
    assert kinds(plan(state, goal)) == [Claim, CreatePool]
    assert codes(plan(state, replace(goal, named=False))) == ["disk-may-be-another"]
    ours = replace(of_another, pvs=tuple(replace(pv, tags=("dmguard",)) for pv in of_another.pvs))
    state = replace(BARE, vgs=(ours,))
    assert codes(plan(state, goal)) == ["disk-may-be-another"]
    lasting = replace(goal, disks=("/dev/sdb", TWO[1].links[0]))
    assert kinds(plan(state, lasting)) == [Claim, CreatePool]


def test_without_disks_the_group_must_be_there() -> None:
    assert codes(plan(goal=replace(GOAL, disks=(), named=True))) == ["vg-unknown"]


def test_a_volume_of_the_pools_name_is_left_alone() -> None:
    state = replace(BARE, vgs=(replace(group(*TWO), volumes=(Volume("thinpool", GIB, "linear"),)),))
    assert codes(plan(state)) == ["name-taken"]


def ready(goal: SetUp = GOAL) -> State:
    return carry_out(BARE, goal)[0]


def changed_pool(state: State, **changes: object) -> State:
    (pool,) = state.pools
    return replace(state, pools=(replace(pool, **changes),))  # type: ignore[arg-type]


def test_a_pool_that_is_there_gets_what_it_lacks() -> None:
    state = ready()
    (pool,) = state.pools
    bare = changed_pool(state, lv=replace(pool.lv, profile=None), profile=None)
    assert kinds(plan(bare)) == [AttachProfile]
    assert kinds(plan(with_host(state, monitored={"uuid-pool": False}))) == [Monitor]
    assert kinds(plan(changed_pool(state, kernel=None))) == [Activate]


def test_a_profile_that_lets_it_grow_is_kept_unless_another_is_asked_for() -> None:
    own = (
        "activation {\n\tthin_pool_autoextend_threshold=70\n\tthin_pool_autoextend_percent=50\n}\n"
    )
    state = with_host(ready(), profiles={"docker-thinpool": own})
    assert plan(state) == Plan()
    (attach,) = plan(state, replace(GOAL, threshold=85)).actions
    assert isinstance(attach, AttachProfile)
    assert attach.was == digest(own)
    assert attach.text == own.replace("70", "85")


def test_a_profile_that_lets_nothing_grow_is_put_right() -> None:
    off = "activation {\n\tthin_pool_autoextend_threshold=100\n}\n"
    state = with_host(ready(), profiles={"docker-thinpool": off})
    (attach,) = plan(state).actions
    assert isinstance(attach, AttachProfile)
    assert "threshold=80" in attach.text
    assert "percent=20" in attach.text


def test_dockers_data_is_not_stranded() -> None:
    data = DockerData("/data/docker", there=True, drivers=frozenset(("overlay2",)))
    state = with_host(BARE, docker=data)
    (refusal,) = plan(state).refusals
    assert refusal.code == "consumer-has-data"
    assert "images of overlay2 in /data/docker" in refusal.message
    (*_, configure) = plan(state, replace(GOAL, move_data=True)).actions
    commands = [str(step) for step in steps_for(configure)]
    assert commands[2] == "# check again: docker.socket, docker.service: stopped"
    assert commands[3] == "mv -T /data/docker /data/docker.before-docker-thinpool"
    assert not any(word in " ".join(commands) for word in ("rm ", "--force"))
    empty = with_host(BARE, docker=replace(data, drivers=frozenset()))
    assert plan(empty).refusals == ()


def unconfigured(state: State) -> State:
    """The pool and its profile without its consumer."""
    return with_host(replace(state, consumers=()), serving={}, files={})


def changed_kernel(state: State, **changes: object) -> State:
    (pool,) = state.pools
    assert pool.kernel is not None
    return changed_pool(state, kernel=replace(pool.kernel, **changes))  # type: ignore[arg-type]


def test_an_empty_pool_is_given_to_a_consumer() -> None:
    assert kinds(plan(unconfigured(ready()))) == [Configure]


@pytest.mark.parametrize("name", ["docker", "containerd", "isulad"])
def test_a_consumer_that_does_not_say_what_it_uses_is_not_stopped(name: str) -> None:
    """It has just been started, or is slow; one that does not run, or uses another, is no such."""
    goal = replace(GOAL, consumer=name)
    state, _ = carry_out(with_host(BARE, programs=HOST.programs | {"isulad"}), goal)
    assert plan(state, goal) == Plan()
    silent = plan(with_host(state, serving={name: None}), goal)
    assert codes(silent) == ["consumer-silent"]
    assert silent.actions == ()
    for serving in ({}, {name: ""}, {name: "vg-old"}):
        assert kinds(plan(with_host(state, serving=serving), goal)) == [Configure], serving


def test_a_silent_consumer_with_another_configuration_is_configured_if_it_loses_nothing() -> None:
    state = with_host(unconfigured(ready()), serving={"docker": None})
    assert kinds(plan(state)) == [Configure]
    data = DockerData("/var/lib/docker", there=True, drivers=frozenset({"overlay2"}))
    assert codes(plan(with_host(state, docker=data))) == ["consumer-has-data"]


def test_images_of_a_driver_that_still_runs_are_not_hidden_by_a_file_that_was_edited() -> None:
    data = DockerData("/var/lib/docker", there=True, drivers=frozenset({"overlay2"}))
    state = with_host(ready(), docker=data, serving={"docker": ""})
    assert codes(plan(state)) == ["consumer-has-data"]


@pytest.mark.parametrize(
    ("active", "is_started_again"),
    [("active", True), ("activating", True), ("reloading", True), ("inactive", False)],
)
def test_a_consumer_that_ran_or_was_to_run_is_started_again(
    active: str,
    is_started_again: bool,  # noqa: FBT001
) -> None:
    units = {"containerd.service": UnitFacts("containerd.service", active=active)}
    (configure,) = plan(with_host(unconfigured(ready(CONTAINERD)), units=units), CONTAINERD).actions
    assert isinstance(configure, Configure)
    assert configure.ran_before is is_started_again


CONTAINERD = replace(GOAL, consumer="containerd")


@pytest.mark.parametrize(
    "changes",
    [{"consumers": (Consumer("docker", "docker-thinpool"),)}, {"serving": "docker-thinpool"}],
    ids=str,
)
def test_a_pool_of_another_consumer_is_refused(changes: dict[str, object]) -> None:
    state = unconfigured(ready())
    if "serving" in changes:
        state = with_host(state, serving={"docker": changes["serving"]})
    else:
        state = replace(state, **changes)  # type: ignore[arg-type]
    planned = plan(state, CONTAINERD)
    assert codes(planned) == ["pool-has-consumer"]
    assert "(docker)" in planned.refusals[0].message
    assert plan(state, replace(GOAL, consumer="")).refusals == (), "no consumer is put on it"


def test_a_pool_that_another_is_configured_for_is_its_own_before_it_is_there() -> None:
    state = replace(BARE, consumers=(Consumer("docker", "docker-thinpool"),))
    assert codes(plan(state, CONTAINERD)) == ["pool-has-consumer"]


def test_a_pool_with_volumes_of_lvms_is_refused() -> None:
    state = unconfigured(ready())
    (pool,) = state.pools
    full = changed_pool(state, lv=replace(pool.lv, thin_count=2))
    assert codes(plan(full)) == ["pool-has-volumes"]
    assert plan(full, replace(GOAL, consumer="")) == Plan()


@pytest.mark.parametrize(
    "changes",
    [{"data": Usage(1 << 20, GIB)}, {"transaction_id": 3}, {"transaction_id": None}],
    ids=str,
)
def test_a_pool_in_which_something_is_goes_to_nobody_but_its_own_consumer(
    changes: dict[str, object],
) -> None:
    state = changed_kernel(unconfigured(ready()), **changes)
    assert codes(plan(state)) == ["pool-in-use"]
    begun = replace(
        with_host(state, files=(ready().host or Host()).files),
        consumers=(Consumer("docker", "docker-thinpool"),),
    )
    assert kinds(plan(begun)) == [Configure], "a set-up that was interrupted goes on"
    assert plan(state, replace(GOAL, consumer="")) == Plan()


@pytest.mark.parametrize("move", [True, False])
def test_data_that_cannot_be_looked_at_is_not_taken_for_none(
    move: bool,  # noqa: FBT001
) -> None:
    state = with_host(BARE, docker=None)
    assert codes(plan(state, replace(GOAL, move_data=move))) == ["consumer-has-data"]


def test_devices_of_another_pool_are_not_stranded() -> None:
    data = DockerData("/var/lib/docker", there=True, devices=True)
    (refusal,) = plan(with_host(BARE, docker=data)).refusals
    assert refusal.code == "consumer-has-data"
    assert "devices of another pool" in refusal.message
    (configure,) = plan(with_host(ready(), docker=data, serving={})).actions
    assert isinstance(configure, Configure)
    assert configure.aside == ""


def test_docker_that_still_runs_with_another_pool_has_data_to_lose() -> None:
    data = DockerData("/var/lib/docker", there=True, devices=True)
    state = with_host(ready(), docker=data, serving={"docker": "vg-old"})
    assert [refusal.code for refusal in plan(state).refusals] == ["consumer-has-data"]


def test_isulads_data_is_not_stranded() -> None:
    data = DockerData("/var/lib/isulad", there=True, drivers=frozenset(("overlay",)))
    state = with_host(BARE, isulad=data, programs=frozenset(("isulad",)))
    goal = replace(GOAL, consumer="isulad")
    assert codes(plan(state, goal)) == ["consumer-has-data"]
    (*_, configure) = plan(state, replace(goal, move_data=True)).actions
    assert isinstance(configure, Configure)
    assert configure.data == "/var/lib/isulad"
    run = with_host(state, isulad=replace(data, containers=True))
    assert codes(plan(run, replace(goal, move_data=True))) == ["data-not-movable"]


OVERLAY = DockerData("/var/lib/docker", there=True, drivers=frozenset(("overlay2",)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"is_link": True}, "/var/lib/docker is a symbolic link"),
        ({"mounts": (".",)}, "/var/lib/docker is a mount point"),
        ({"mounts": ("volumes",)}, "/var/lib/docker/volumes is a mount point"),
        ({"mounts": ("overlay2",)}, "/var/lib/docker/overlay2 is a mount point"),
        ({"mounts": ("volumes/a/_data",)}, "volumes/a/_data is a mount point"),
        ({"mounts": None}, "is not known"),
    ],
    ids=str,
)
def test_a_folder_that_another_name_does_not_move_is_refused(
    changes: dict[str, object], told: str
) -> None:
    data = replace(OVERLAY, **changes)  # type: ignore[arg-type]
    planned = plan(with_host(BARE, docker=data), replace(GOAL, move_data=True))
    assert codes(planned) == ["data-not-movable"]
    assert told in planned.refusals[0].message


def test_what_docker_mounts_for_containers_that_run_is_no_obstacle() -> None:
    mounts = (
        "devicemapper/mnt/0a1b",
        "overlay2/0a1b/merged",
        "100000.100000/overlay2/0a1b/merged",
        "containers/0a1b/mounts/shm",
        "netns/default",
    )
    state = with_host(BARE, docker=replace(OVERLAY, mounts=mounts))
    assert plan(state, replace(GOAL, move_data=True)).refusals == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {DAEMON: FileText('{"live-restore": true}')}},
        {"flags": {"docker": Flags(live_restore=True)}},
    ],
    ids=str,
)
def test_containers_that_run_on_without_docker_keep_their_folder(
    changes: dict[str, object],
) -> None:
    state = with_host(BARE, docker=OVERLAY, **changes)
    assert codes(plan(state, replace(GOAL, move_data=True))) == ["data-not-movable"]
    assert plan(with_host(BARE, **changes)).refusals == (), "there is nothing to be moved"


def test_a_file_that_containerd_imports_is_not_overruled() -> None:
    state = with_host(BARE, imports={"/etc/containerd/conf.d/a.toml": "vg-old"})
    planned = plan(state, CONTAINERD)
    assert codes(planned) == ["consumer-configured-elsewhere"]
    assert "/etc/containerd/conf.d/a.toml" in planned.refusals[0].message
    assert plan(state).refusals == (), "it is none of Docker's"
    same = with_host(BARE, imports={"/etc/containerd/conf.d/a.toml": "docker-thinpool"})
    assert plan(same, CONTAINERD).refusals == ()


def test_data_of_this_very_pool_is_not_moved() -> None:
    data = DockerData("/var/lib/docker", there=True, drivers=frozenset(("devicemapper",)))
    state = with_host(ready(), docker=data, serving={})
    (configure,) = plan(state).actions
    assert isinstance(configure, Configure)
    assert (configure.aside, configure.text) == ("", configure.old)


@pytest.mark.parametrize("version", ["25.0.0", "26.1.5+dfsg1", "100.0"])
def test_a_docker_without_the_driver_is_refused_with_the_name_of_containerd(version: str) -> None:
    state = with_host(BARE, docker_version=version)
    (refusal,) = plan(state).refusals
    assert refusal.code == "docker-without-driver"
    assert version in refusal.message
    assert kinds(plan(state, replace(GOAL, consumer="containerd"))) == [
        CreateVg,
        CreatePool,
        Configure,
    ]


@pytest.mark.parametrize(
    ("programs", "version", "chosen"),
    [
        (("dockerd", "docker", "containerd"), "20.10.24", "docker"),
        (("dockerd", "docker", "containerd"), "26.0.0", None),
        (("dockerd", "docker", "isulad"), "20.10.24", None),
        (("dockerd", "docker", "containerd", "isulad"), "20.10.24", None),
        (("containerd", "ctr"), None, "containerd"),
        (("containerd", "isulad"), None, None),
        (("isulad",), None, "isulad"),
        ((), None, ""),
    ],
)
def test_the_consumer_is_whoever_is_installed_if_that_is_clear(
    programs: tuple[str, ...], version: str | None, chosen: str | None
) -> None:
    state = with_host(BARE, programs=frozenset(programs), docker_version=version)
    planned = plan(state, replace(GOAL, consumer="auto"))
    if chosen is None:
        assert codes(planned) == ["consumer-unclear"]
    else:
        found = [act.consumer for act in planned.actions if isinstance(act, Configure)]
        assert found == ([chosen] if chosen else [])


@pytest.mark.parametrize(
    ("consumer", "programs", "missing"),
    [
        ("isulad", HOST.programs, "isulad"),
        ("docker", HOST.programs - {"dockerd"}, "dockerd"),
        ("containerd", HOST.programs - {"ctr"}, "ctr"),
    ],
)
def test_a_consumer_or_its_client_that_is_not_installed_is_told(
    consumer: str, programs: frozenset[str], missing: str
) -> None:
    planned = plan(with_host(BARE, programs=programs), replace(GOAL, consumer=consumer))
    assert codes(planned) == ["consumer-missing"]
    assert f"({missing})" in planned.refusals[0].message


def test_isulads_configuration_tells_its_pool_without_a_client() -> None:
    state = with_host(BARE, programs=frozenset(("isulad",)))
    assert kinds(plan(state, replace(GOAL, consumer="isulad")))[-1] is Configure


@pytest.mark.parametrize("consumer", ["docker", "auto"])
@pytest.mark.parametrize("version", [None, "", "dev"])
def test_a_docker_of_unknown_version_is_not_taken_for_one_with_the_driver(
    version: str | None, consumer: str
) -> None:
    state = with_host(BARE, docker_version=version)
    assert codes(plan(state, replace(GOAL, consumer=consumer))) == ["docker-version-unknown"]


def test_the_unit_is_the_one_that_settings_name() -> None:
    policy = ConsumerPolicy("mine.service", OnRecovered.NONE)
    units = {name: UnitFacts(name) for name in ("docker.socket", "mine.socket", "mine.service")}
    settings = replace(Settings(), consumers={"docker": policy})
    (*_, configure) = make_plan(with_host(BARE, units=units), settings, Past(), GOAL).actions
    assert isinstance(configure, Configure)
    assert configure.units == ("mine.socket", "mine.service")
    units["mine.socket"] = UnitFacts("mine.socket", load="not-found")
    (*_, configure) = make_plan(with_host(BARE, units=units), settings, Past(), GOAL).actions
    assert isinstance(configure, Configure)
    assert configure.units == ("mine.service",)


@pytest.mark.parametrize(
    "name",
    [
        *("-f", "--yes", ".", "..", "", "a/b", "a b", "ä", "x" * 128),
        *("lvol0", "snapshot1", "pvmove0", "x_tdata", "a_tmeta_b", "_tpool"),
    ],
)
def test_a_name_that_lvm_does_not_take_is_refused(name: str) -> None:
    assert codes(plan(goal=replace(GOAL, pool=name))) == ["name-invalid"]


@pytest.mark.parametrize("name", ["-f", ".", "..", "a/b", ""])
def test_neither_for_a_group(name: str) -> None:
    assert codes(plan(goal=replace(GOAL, vg=name, named=True))) == ["name-invalid"]


def test_of_two_wrong_names_both_are_told() -> None:
    refusals = plan(goal=replace(GOAL, vg="a/b", pool="lvol0", named=True)).refusals
    assert [refusal.subject for refusal in refusals] == ["'a/b'", "'lvol0'"]


def test_two_names_are_refused_that_the_device_mapper_does_not_take_together() -> None:
    """Hyphens count twice, and LVM adds six characters for what is below the pool."""
    for vg, pool in (("v" * 60, "p" * 60), ("v" * 20, "-".join("p" * 34))):
        fits = replace(GOAL, vg=vg, pool=pool)
        assert len(dm_name(vg, pool)) == 121
        assert kinds(plan(goal=fits)) == [CreateVg, CreatePool, Configure]
        assert codes(plan(goal=replace(fits, pool=f"{pool}p"))) == ["name-invalid"]


def test_a_pool_that_is_smaller_than_its_chunk_is_refused() -> None:
    goal = replace(GOAL, consumer="", chunk=GIB)
    assert kinds(plan(goal=replace(goal, data=Amount(size=GIB)))) == [CreateVg, CreatePool]
    small = replace(BARE, disks=(make_disk("b", size=GIB),))
    refused = plan(small, replace(goal, disks=("/dev/sdb",)))
    assert codes(refused) == ["vg-too-small"]


def test_names_that_lvm_takes_are_taken() -> None:
    for name in ("thin-pool", "data.1", "_x", "+", "lvolume", "lvol0a", "my_pool"):
        assert kinds(plan(goal=replace(GOAL, pool=name))) == [CreateVg, CreatePool, Configure]


@pytest.mark.parametrize("text", ["{", "[]", '{"storage-opts": 1}', '{"a": 1, "a": 2}'])
def test_a_configuration_that_is_none_is_refused_before_anything_is_done(text: str) -> None:
    assert codes(plan(with_host(BARE, files={DAEMON: FileText(text)}))) == ["config-unclear"]


def test_a_pool_that_the_command_line_names_is_not_overruled() -> None:
    state = replace(BARE, consumers=(Consumer("docker", "vg-other"),))
    assert codes(plan(state)) == ["consumer-configured-elsewhere"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (Flags(driver="overlay2"), "it has storage-driver"),
        (Flags(options=("dm.fs=xfs",)), "it has storage-opts"),
        (Flags(config_file="/srv/docker.json"), "it has config-file"),
    ],
)
def test_what_the_command_line_has_is_not_said_again(flags: Flags, told: str) -> None:
    (refusal,) = plan(with_host(BARE, flags={"docker": flags})).refusals
    assert refusal.code == "consumer-configured-elsewhere"
    assert told in refusal.message


def test_a_containerd_that_reads_another_file_is_not_configured_in_vain() -> None:
    flags = {"containerd": Flags(config_file="/srv/c.toml")}
    (refusal,) = plan(with_host(BARE, flags=flags), CONTAINERD).refusals
    assert refusal.code == "consumer-configured-elsewhere"
    assert "it has config-file" in refusal.message
    own = {"containerd": Flags(config_file="/etc/containerd/config.toml")}
    assert plan(with_host(BARE, flags=own), CONTAINERD).refusals == ()


@pytest.mark.parametrize("moves", [False, True])
def test_containerds_snapshots_are_not_left_behind_in_another_pool(
    moves: bool,  # noqa: FBT001 - a table
) -> None:
    """metadata.db of a root_path names devices of the pool that it was made with."""
    path = "/etc/containerd/config.toml"
    text = 'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name = "{}"\n'
    goal = replace(CONTAINERD, move_data=moves)

    def planned(pool: str) -> Plan:
        state = replace(BARE, consumers=(Consumer("containerd", pool),))
        return plan(with_host(state, files={path: FileText(text.format(pool))}), goal)

    (refusal,) = planned("vg-old").refusals
    assert (refusal.code, "vg-old" in refusal.message) == ("consumer-has-data", True)
    assert planned("docker-thinpool").refusals == ()


def test_a_command_line_without_storage_is_no_obstacle() -> None:
    flags = Flags(data_root="/srv/docker", config_file=DAEMON)
    assert plan(with_host(BARE, flags={"docker": flags})).refusals == ()


def action_of(kind: type[Action], state: State = BARE) -> Action:
    return next(action for action in plan(state).actions if isinstance(action, kind))


def test_a_group_that_was_half_made_is_taken_back_and_made_anew() -> None:
    make_vg = action_of(CreateVg)
    moved = replace(BARE, disks=(TWO[0], replace(TWO[1], name="sdq", devno=(8, 99), diskseq=7)))
    assert finish_for(make_vg, 1, moved) == (), "it was not begun"
    undo = undo_for(make_vg, 2, moved)
    first, unmake, second, unmake_second = undo
    assert isinstance(first, Prove)
    assert isinstance(second, Prove)
    assert first.proof is second.proof is Proof.HALF_PV
    assert (second.disk, second.devno, second.diskseq) == ("/dev/sdq", (8, 99), 7)
    assert unmake == Unmake("/dev/sdb", TWO[0].devno, TWO[0].size)
    assert unmake_second == Unmake("/dev/sdq", (8, 99), TWO[1].size)
    *taken_back, blank, _, vgcreate = finish_for(make_vg, 2, moved)
    assert tuple(taken_back) == undo
    assert isinstance(blank, Prove)
    assert blank.proof is Proof.BLANK
    assert isinstance(vgcreate, Lvm)
    assert vgcreate.argv[-2:] == ("/dev/sdb", "/dev/sdq")


def test_a_half_made_group_is_left_while_a_disk_is_away_that_may_have_it_whole() -> None:
    make_vg = action_of(CreateVg)
    away = replace(BARE, disks=TWO[:1])
    assert finish_for(make_vg, 2, away) == undo_for(make_vg, 2, away) == ()
    assert len(undo_for(make_vg, 2, BARE)) == 4
    assert undo_for(make_vg, 1, BARE) == (), "not all were proved"


def test_of_a_disk_whose_data_was_given_up_only_a_half_made_label_is_taken() -> None:
    make_vg = action_of(CreateVg)
    assert isinstance(make_vg, CreateVg)
    given_up = replace(make_vg, expendable=(TWO[1].identity,))
    proofs = [step.proof for step in undo_for(given_up, 2, BARE) if isinstance(step, Prove)]
    assert proofs == [Proof.HALF_PV, Proof.UNSIGNED_HALF_PV]
    last = [step.proof for step in finish_for(given_up, 2, BARE) if isinstance(step, Prove)]
    assert last == [*proofs, Proof.BLANK, Proof.UNSIGNED]


HALVES = [
    (),
    (Volume("lvol0", 0, "linear"),),
    (Volume("lvol0", 0, "linear"), Volume("thinpool", 1, "linear")),
]


@pytest.mark.parametrize("half", HALVES, ids=len)
def test_a_pool_that_was_half_made_is_taken_away_and_made_anew(half: tuple[Volume, ...]) -> None:
    make_pool = action_of(CreatePool)
    assert isinstance(make_pool, CreatePool)
    sizes = (make_pool.metadata_size, make_pool.size)
    volumes = tuple(replace(volume, size=sizes[volume.size]) for volume in half)
    state = replace(BARE, vgs=(replace(group(*TWO), volumes=volumes),))
    finish = finish_for(make_pool, 1, state)
    assert finish[-2:] == steps_for(make_pool)
    undo = undo_for(make_pool, 1, state)
    assert finish == (*undo, *steps_for(make_pool))
    names = [f"docker/{volume.name}" for volume in half]
    assert [step.argv[0] for step in lvm(undo)] == (["lvchange", "lvremove"] if half else [])
    for step in lvm(undo):
        assert list(step.argv[-len(names) :]) == names
        assert not {"-y", "--yes", "-f", "--force"} & set(step.argv)


def lvm(steps: tuple[Step, ...]) -> list[Lvm]:
    return [step for step in steps if isinstance(step, Lvm)]


@pytest.mark.parametrize(
    "stranger",
    [
        Volume("lvol0", 4 * GIB, "linear"),
        Volume("thinpool", 123 * MIB, "linear"),
        Volume("data", GIB, "linear"),
        Volume("lvol0", 0, "thin"),
    ],
)
def test_a_volume_that_it_did_not_make_is_never_removed(stranger: Volume) -> None:
    make_pool = action_of(CreatePool)
    assert isinstance(make_pool, CreatePool)
    half = Volume("lvol1", make_pool.metadata_size, "linear")
    if not stranger.size:
        stranger = replace(stranger, size=make_pool.metadata_size)
    both = replace(BARE, vgs=(replace(group(*TWO), volumes=(half, stranger)),))
    assert undo_for(make_pool, 1, both) == finish_for(make_pool, 1, both) == ()
    alone = replace(BARE, vgs=(replace(group(*TWO), volumes=(half,)),))
    assert undo_for(make_pool, 1, alone) != ()
    known = replace(make_pool, before=("lvol1",))
    assert undo_for(known, 1, alone) == (), "it was there before"
    assert undo_for(make_pool, 0, alone) == (), "lvcreate was not begun"


def test_a_consumer_that_does_not_start_is_put_back_as_it_was() -> None:
    old = '{"debug": true}'
    data = DockerData("/var/lib/docker", there=True, drivers=frozenset(("overlay2",)))
    state = with_host(BARE, docker=data, files={DAEMON: FileText(old)})
    (*_, configure) = plan(state, replace(GOAL, move_data=True)).actions
    assert isinstance(configure, Configure)
    commands = [str(step) for step in undo_for(configure, len(steps_for(configure)) - 1, state)]
    aside = "/var/lib/docker.before-docker-thinpool"
    assert commands[2] == "# check again: docker.socket, docker.service: stopped"
    assert commands[3].splitlines() == [f"write {DAEMON}:", f"        | {old}"]
    assert commands[4] == f"# if it is there: mv -T {aside} /var/lib/docker"
    assert commands[-1] == "systemctl start docker.service"
    assert undo_for(configure, 3, state) == undo_for(configure, 5, state), "it sees for itself"
    assert [str(step) for step in undo_for(configure, 2, state)] == commands[-2:], "only stopped"
    quiet = undo_for(replace(configure, ran_before=False), 5, state)
    assert not any("start" in str(step) for step in quiet), "it did not run before"


def test_data_is_moved_to_a_name_that_nothing_has() -> None:
    aside = "/var/lib/docker.before-docker-thinpool"
    data = DockerData(
        "/var/lib/docker",
        there=True,
        drivers=frozenset(("overlay2",)),
        siblings=frozenset((aside, f"{aside}.2")),
    )
    (*_, configure) = plan(with_host(BARE, docker=data), replace(GOAL, move_data=True)).actions
    assert isinstance(configure, Configure)
    assert configure.aside == f"{aside}.3"


def test_actions_of_a_set_up_are_the_same_after_the_intent_file() -> None:
    state = replace(BARE, disks=(TWO[0], USED["disk-signature"]))
    for action in plan(state, replace(GOAL, forced=("serial-c",))).actions:
        assert load_action(dump_action(action)) == action


def test_a_configuration_that_cannot_be_read_is_not_taken_for_none() -> None:
    state = with_host(BARE, unreadable=frozenset((DAEMON,)))
    planned = plan(state)
    assert codes(planned) == ["config-unclear"]
    assert DAEMON in planned.refusals[0].message
    assert plan(state, CONTAINERD).refusals == (), "it is none of containerd's"
