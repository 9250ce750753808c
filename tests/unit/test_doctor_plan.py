"""What cures a finding around the pools, by which commands, and what has no safe cure."""

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from dmguard.app.render import is_cure
from dmguard.core.actions import (
    Act,
    Action,
    AttachProfile,
    ClearSkip,
    EditFile,
    Extend,
    Monitor,
    Refresh,
    dump_action,
    is_met,
    load_action,
    subject,
)
from dmguard.core.consumers.flags import Flags
from dmguard.core.findings import Finding
from dmguard.core.goals import Examine
from dmguard.core.host import Host
from dmguard.core.lvmprofile import extends, read_settings, with_settings
from dmguard.core.model import Profile, Resource, State, Volume
from dmguard.core.plan import Past, Plan, make_plan
from dmguard.core.plan.grow import make_extend
from dmguard.core.plan.keep import make_refresh
from dmguard.core.plan.profile import choose_profile
from dmguard.core.settings import Settings
from dmguard.core.steps import Lvm, PutFile, digest, every_step
from dmguard.core.units import Amount
from tests.unit.around import (
    DAEMON_JSON,
    GROWS,
    HOST,
    NO_AGENT,
    POOL,
    around,
    conf,
    daemon_json,
    file,
    follows,
)
from tests.unit.builders import (
    EXTENT,
    MIB,
    PLAIN,
    in_kernel,
    in_vg,
    make_pool,
    make_settings,
    make_vg,
    with_profile,
)

BARE = make_pool()
UNWATCHED = replace(HOST, monitored={POOL.lv.uuid: False})
QUIET = "global/wait_for_locks=0 global/notify_dbus=0 activation/monitoring=0"


def plan(state: State, settings: Settings | None = None) -> Plan:
    return make_plan(state, settings or make_settings(), Past(), Examine())


def cure(state: State) -> Action:
    (action,) = plan(state).actions
    return action


def written(state: State, settings: Settings) -> dict[str, int]:
    """What the profile would say that the pool is given."""
    actions = plan(state, settings).actions
    (attachment,) = (action for action in actions if isinstance(action, AttachProfile))
    return dict(read_settings(attachment.text))


def test_where_nothing_is_wrong_nothing_is_done() -> None:
    assert plan(around()) == Plan()


def test_a_pool_without_a_profile_gets_one() -> None:
    action = cure(around(BARE, replace(HOST, profiles={})))
    assert isinstance(action, AttachProfile)
    assert (action.profile, action.was, action.reason) == ("vg-pool", "", "profile-missing")
    assert extends(action.text)
    put, attach = every_step(action)
    assert isinstance(put, PutFile)
    assert put.path == "/etc/lvm/profile/vg-pool.profile"
    assert attach == Lvm(("lvchange", "--metadataprofile", "vg-pool", "--config", QUIET, "vg/pool"))


def test_of_a_profile_of_the_pools_name_that_is_there_all_else_is_kept() -> None:
    text = "# ours\n" + GROWS
    action = cure(around(BARE, replace(HOST, profiles={"vg-pool": text})))
    assert isinstance(action, AttachProfile)
    assert (action.text, action.was) == (text.replace("=80", "=75"), digest(text))


POLICIES = [
    (make_settings(), (75, 20)),
    (make_settings(replace(PLAIN, data_threshold=60, step=Amount(percent=12.5))), (60, 13)),
    (make_settings(vg__pool=replace(PLAIN, data_threshold=90, step=Amount(percent=5.0))), (90, 5)),
    (make_settings(replace(PLAIN, step=Amount(size=1_001 * MIB))), (75, 11)),
    (make_settings(replace(PLAIN, step=Amount(size=1))), (75, 1)),
]


@pytest.mark.parametrize(("settings", "wanted"), POLICIES)
@pytest.mark.parametrize("profiles", [{}, {"vg-pool": GROWS}])
def test_a_profile_says_what_the_policy_of_the_pool_is(
    settings: Settings, wanted: tuple[int, int], profiles: dict[str, str]
) -> None:
    said = written(around(BARE, replace(HOST, profiles=profiles)), settings)
    assert (said["threshold"], said["percent"]) == wanted


def test_where_a_pool_has_a_ceiling_no_profile_lets_dmeventd_grow_it() -> None:
    capped = make_settings(replace(PLAIN, max_size=20_000 * MIB))
    states = (
        around(BARE),
        around(BARE, NO_AGENT),
        around(POOL, UNWATCHED),
        around(POOL, replace(HOST, profiles={})),
        around(with_profile(POOL, 80, 0)),
    )
    for state in states:
        assert plan(state, capped).actions == ()


def test_a_profile_whose_file_is_gone_is_written_anew() -> None:
    action = cure(around(POOL, replace(HOST, profiles={})))
    assert isinstance(action, AttachProfile)
    assert (action.profile, action.was, action.reason) == ("vg-pool", "", "profile-lost")
    assert read_settings(action.text) == {"threshold": 80, "percent": 20}
    lost = around(follows(BARE, "vg-pool"), replace(HOST, profiles={}))
    sooner = make_settings(replace(PLAIN, data_threshold=60))
    assert written(lost, sooner) == {"threshold": 60, "percent": 20}


def test_of_a_half_set_profile_all_else_is_kept() -> None:
    text = "# ours\nallocation {\n\tthin_pool_zero=0\n}\n" + GROWS.replace("=20", "=0")
    half = with_profile(POOL, 80, 0)
    action = cure(around(half, replace(HOST, profiles={"vg-pool": text})))
    assert isinstance(action, AttachProfile)
    assert action.text == text.replace("percent=0", "percent=20")
    assert (action.was, action.reason) == (digest(text), "autoextend-half-set")


HALF = "# ours\n" + GROWS.replace("=20", "=0")


def half_set(name: str, others: Mapping[str, str], **vg: object) -> State:
    """The pool follows a profile that does not let it grow, in a VG with this about it."""
    pool = in_vg(follows(with_profile(POOL, 80, 0), name), **vg)
    return around(pool, replace(HOST, profiles={name: HALF, **others}))


def attached(state: State) -> AttachProfile:
    action = cure(state)
    assert isinstance(action, AttachProfile)
    return action


FOLLOWERS: list[dict[str, object]] = [
    {"volumes": (Volume("home", MIB, "thin", "shared"),)},
    {"profile": "shared"},
]


@pytest.mark.parametrize("vg", FOLLOWERS)
def test_a_profile_that_others_follow_is_left_as_it_is(vg: dict[str, object]) -> None:
    alone = attached(half_set("shared", {}, volumes=(Volume("home", MIB, "thin", "other"),)))
    assert (alone.profile, alone.was) == ("shared", digest(HALF)), "where nobody else follows it"
    action = attached(half_set("shared", {}, **vg))
    assert (action.profile, action.was) == ("vg-pool", "")
    assert action.path == "/etc/lvm/profile/vg-pool.profile"
    assert action.text == alone.text == HALF.replace("percent=0", "percent=20")


def test_neither_is_one_that_another_pool_follows() -> None:
    state = half_set("shared", {})
    (pool,) = state.pools
    other = in_vg(follows(make_pool(name="other"), "shared"))
    both = replace(state, pools=(pool, other))
    wanted = choose_profile("vg/pool", both, 70, 30)
    assert (wanted.name, wanted.was) == ("vg-pool", "")
    assert dict(read_settings(wanted.text)) == {"threshold": 70, "percent": 30}
    assert choose_profile("vg/pool", state, 70, 30).name == "shared"
    grows = replace(HOST, profiles={"shared": GROWS})
    assert choose_profile("vg/pool", replace(both, host=grows), None, None).name == "shared"


def test_a_name_that_is_anothers_is_not_taken_for_the_profile_of_its_own() -> None:
    """a-b/c and a/b-c have the same name for theirs."""
    text = HALF.replace("percent=0", "percent=20")
    followed = Volume("home", MIB, "thin", "vg-pool")
    for profiles, name in (
        ({"vg-pool": "# another's\n"}, "vg-pool-2"),
        ({"vg-pool": text}, "vg-pool"),  # written before a crash, and not attached yet
        ({"vg-pool": "# another's\n", "vg-pool-2": "# its\n"}, "vg-pool-3"),
    ):
        assert attached(half_set("shared", profiles, profile="shared")).profile == name
    bare = around(in_vg(BARE, volumes=(followed,)), replace(HOST, profiles={"vg-pool": HALF}))
    assert attached(bare).profile == "vg-pool-2"


def test_an_attachment_is_met_by_the_name_and_the_text() -> None:
    action = cure(around(BARE))
    assert isinstance(action, AttachProfile)
    done = replace(HOST, profiles={action.profile: action.text})
    assert is_met(action, around(follows(BARE, action.profile), done)) is True
    assert is_met(action, around(BARE, done)) is False
    assert (
        is_met(action, around(follows(BARE, action.profile), replace(HOST, profiles={}))) is False
    )
    assert is_met(action, replace(around(), host=None)) is None


def test_a_pool_that_is_not_watched_is_handed_to_dmeventd() -> None:
    action = cure(around(POOL, UNWATCHED))
    assert isinstance(action, Monitor)
    assert is_met(action, around(POOL, UNWATCHED)) is False
    assert is_met(action, around()) is True
    assert is_met(action, around(POOL, replace(HOST, monitored={}))) is None


def test_without_an_agent_lvm_is_told_to_extend_where_it_can() -> None:
    action = cure(around(BARE, NO_AGENT, consumer=None))
    assert isinstance(action, AttachProfile)
    assert action.reason == "autoextend-off"
    unable = replace(NO_AGENT, dmeventd=False)
    assert plan(around(BARE, unable, consumer=None)).actions == ()


def test_a_mark_that_is_not_live_is_loaded() -> None:
    action = cure(around(in_kernel(POOL, low_water=0), NO_AGENT))
    assert isinstance(action, Refresh)
    assert (action.threshold, action.reason) == (80, "mark-not-live")


def test_metadata_grows_to_what_lvm_would_have_given_it() -> None:
    action = cure(around(make_pool(metadata_size=4), consumer=None))
    assert isinstance(action, Extend)
    assert (action.resource, action.target) == (Resource.METADATA, 12 * MIB)
    assert action.reason == "metadata-small"


def test_a_spare_is_made_by_one_extent_more_of_metadata() -> None:
    action = cure(around(in_vg(BARE, spare=None), consumer=None))
    assert isinstance(action, Extend)
    assert (action.act, action.target) == (Act.EXTEND_METADATA, 100 * MIB + EXTENT)
    assert action.reason == "spare-short"


def test_without_room_for_the_spare_metadata_is_left_alone() -> None:
    enough = make_pool(vg=replace(make_vg(free=108), spare=None))
    assert isinstance(cure(around(enough, consumer=None)), Extend)
    short = make_pool(vg=replace(make_vg(free=104), spare=None))
    assert plan(around(short, consumer=None)).actions == ()


def test_a_skip_flag_is_taken_away_of_a_pool_that_is_used() -> None:
    skips = replace(POOL, lv=replace(POOL.lv, skips_activation=True))
    action = cure(around(skips))
    assert isinstance(action, ClearSkip)
    assert every_step(action) == (
        Lvm(("lvchange", "--setactivationskip", "n", "--config", QUIET, "vg/pool")),
    )
    assert is_met(action, around(skips)) is False
    assert is_met(action, around()) is True
    assert is_met(action, State((), ())) is None


def docker(*options: str, **other: str) -> Host:
    return file(DAEMON_JSON, daemon_json(*options, **other))


def options(action: Action) -> list[str]:
    assert isinstance(action, EditFile)
    found: list[str] = json.loads(action.text)["storage-opts"]
    return found


def test_a_percentage_gets_its_sign() -> None:
    host = docker("dm.thinpooldev=/dev/mapper/vg-pool", "dm.min_free_space=10")
    action = cure(around(POOL, host))
    assert isinstance(action, EditFile)
    assert "dm.min_free_space=10%" in options(action)
    assert (action.path, action.backup) == (DAEMON_JSON, f"{DAEMON_JSON}.before-dmguard")
    assert action.was == digest(host.text(DAEMON_JSON) or "")
    assert is_met(action, around(POOL, host)) is False
    assert is_met(action, around(POOL, file(DAEMON_JSON, action.text))) is True
    assert subject(action) == DAEMON_JSON
    (put,) = every_step(action)
    assert isinstance(put, PutFile)
    assert put.backup == action.backup


def test_a_pool_that_is_named_by_lvms_path_gets_its_mapper_name() -> None:
    action = cure(around(POOL, docker("dm.thinpooldev=/dev/vg/pool"), consumer=None))
    assert options(action)[0] == "dm.thinpooldev=/dev/mapper/vg-pool"


@pytest.mark.parametrize(
    "host",
    [
        docker("dm.thinpooldev=/dev/vg/other"),
        docker("dm.thinpooldev=/dev/mapper/vg-pool", "dm.min_free_space=a"),
        docker("dm.thinpooldev=/dev/mapper/vg-pool", "dm.min_free_space=100"),
        docker("dm.min_free_space=10"),
        replace(
            docker("dm.thinpooldev=/dev/vg/pool"),
            flags={"docker": Flags(options=("dm.fs=xfs",))},
        ),
    ],
)
def test_what_cannot_be_told_for_certain_is_not_edited(host: Host) -> None:
    found = plan(around(POOL, host, consumer=None))
    assert [finding.subject for finding in found.findings] == [DAEMON_JSON]
    assert found.actions == ()


def test_what_is_to_be_done_anyway_is_done_once() -> None:
    full = replace(in_vg(make_pool(metadata=80, metadata_size=100), spare=None), profile=None)
    state = around(full, conf(), consumer=None)
    kinds = [action.act for action in plan(state).actions]
    assert kinds.count(Act.EXTEND_METADATA) == 1


def test_of_a_pool_that_must_not_be_changed_nothing_is_cured() -> None:
    pool = in_kernel(BARE, needs_check=True)
    found = plan(around(pool))
    assert {finding.code for finding in found.findings} == {"pool-needs-check", "profile-missing"}
    assert found.actions == ()


@pytest.mark.parametrize(
    "action",
    [
        ClearSkip("vg", "pool", "u"),
        EditFile("/etc/f", "new", "old", "/etc/f.was", "min-free-invalid"),
        Monitor("vg", "pool", "u"),
        AttachProfile("vg", "pool", "u", "p", "/etc/p", "text", ""),
    ],
)
def test_a_cure_survives_the_intent_file(action: Action) -> None:
    assert load_action(json.loads(json.dumps(dump_action(action)))) == action


APPENDED = (
    "activation {\n\tthin_pool_autoextend_threshold=70\n\tthin_pool_autoextend_percent=30\n}\n"
)
SLASHED = (
    "activation/thin_pool_autoextend_threshold = 90\nactivation/thin_pool_autoextend_percent=1"
)
OTHERS = "# thin_pool_autoextend_percent=5\nactivation { thin_pool_zero=0 }\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", APPENDED),
        (GROWS, GROWS.replace("80", "70").replace("20", "30")),
        (SLASHED, SLASHED.replace("90", "70").replace("=1", "=30")),
        (OTHERS, OTHERS + APPENDED),
        ("# mine", "# mine\n" + APPENDED),
    ],
)
def test_settings_are_put_into_a_profile_in_their_place(text: str, wanted: str) -> None:
    assert with_settings(text, Profile(70, 30)) == wanted
    assert with_settings(wanted, Profile(70, 30)) == wanted
    assert read_settings(wanted) == {"threshold": 70, "percent": 30}
    assert extends(wanted)


def test_what_does_not_extend() -> None:
    assert not extends("")
    assert not extends(GROWS.replace("80", "100"))
    assert not extends(GROWS.replace("20", "0"))


def test_to_keep_a_mark_cures_nothing_that_is_told() -> None:
    assert POOL.kernel is not None
    dry, other = Finding("vg-dry", "vg/pool", ""), Finding("vg-dry", "vg/other", "")
    kept = make_refresh(POOL, POOL.kernel, make_settings(), "low-water")
    policy = make_settings().policy
    grown = make_extend(POOL, policy, Resource.DATA, EXTENT, reason="above-threshold")
    assert not is_cure(kept, dry)
    assert is_cure(replace(kept, reason="kernel-behind"), dry)
    assert is_cure(grown, dry)
    assert not is_cure(grown, other)
    # It grows all the same, and is not mended by that.
    assert not is_cure(grown, replace(dry, code="transaction-id-mismatch"))
