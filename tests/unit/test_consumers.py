"""The pool that a program's configuration names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers import DAEMONS
from dmguard.core.consumers.containerd import PLUGIN, Containerd, is_broken, read
from dmguard.core.consumers.containerd import pool_in as containerd
from dmguard.core.consumers.daemon import Daemon, read_options
from dmguard.core.consumers.daemon import read as read_daemon
from dmguard.core.consumers.flags import Flags, flags_in
from dmguard.core.settings import CONSUMERS

POOL = "dm.thinpooldev=/dev/mapper/docker-thinpool"
DRIVER = {"storage-driver": "devicemapper"}


def daemon(*options: object, **other: object) -> str:
    return json.dumps(DRIVER | {"storage-opts": [*options]} | other)


DOCKER: list[tuple[str, str | None]] = [
    (daemon(POOL, "dm.use_deferred_removal=true"), "docker-thinpool"),
    (daemon("dm.fs=xfs", POOL), "docker-thinpool"),
    (daemon("dm.thinpooldev=docker-thinpool"), "docker-thinpool"),
    (daemon("DM.ThinPoolDev = docker-thinpool"), "docker-thinpool"),
    (daemon("devicemapper.thinpooldev=/dev/mapper/my--vg-a"), "my--vg-a"),
    (daemon("dm.thinpooldev=old", POOL), "docker-thinpool"),
    (daemon(POOL, **{"storage-driver": "overlay2"}), None),
    (json.dumps({"storage-opts": [POOL]}), "docker-thinpool"),
    (daemon("dm.thinpooldev=/dev/docker/thinpool"), None),
    (daemon("dm.thinpooldev="), None),
    (daemon("dm.thinpooldev"), None),
    (daemon("dm.basesize=20G"), None),
    (daemon(1, None, [], POOL), "docker-thinpool"),
    (json.dumps({"storage-opts": POOL}), None),
    ('{"big": ' + "9" * 5000 + f', "storage-opts": ["{POOL}"]}}', "docker-thinpool"),
    ("[" * 100_000, None),
    ("\ufeff" + daemon(POOL), "docker-thinpool"),
    ("{}", None),
    ("[]", None),
    ("null", None),
    ("", None),
    ('{"storage-driver": "devicemapper", // a comment\n', None),
]


@pytest.mark.parametrize(("text", "pool"), DOCKER)
def test_docker_names_its_pool_in_each_of_its_forms(text: str, pool: str | None) -> None:
    assert DAEMONS["docker"].pool_in(text, Flags()) == pool


OPTIONS: list[tuple[str, str | None]] = [
    (f'DOCKER_STORAGE_OPTIONS="--storage-opt {POOL} --storage-opt dm.fs=xfs"', "docker-thinpool"),
    (f"DOCKER_STORAGE_OPTIONS=-s devicemapper --storage-opt={POOL}\n", "docker-thinpool"),
    (f"DOCKER_STORAGE_OPTIONS=-s overlay2 --storage-opt={POOL}\n", None),
    (f'# --storage-opt {POOL}\nDOCKER_STORAGE_OPTIONS=""', None),
    (f"# old\n  # --storage-opt {POOL}2\nOPTIONS='--storage-opt {POOL}'\n", "docker-thinpool"),
    (f'OPTIONS="--debug \\\n  --storage-opt {POOL}"\n', "docker-thinpool"),
    (f"not an assignment --storage-opt {POOL}\n", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "pool"), OPTIONS)
def test_a_file_of_options_names_the_pool(text: str, pool: str | None) -> None:
    assert DAEMONS["docker"].pool_in("", read_options(text)) == pool


@pytest.mark.parametrize(
    ("text", "words", "pool"),
    [
        (daemon(POOL), "", "docker-thinpool"),
        (json.dumps({"storage-opts": [POOL]}), "", None),
        (json.dumps({"storage-opts": [POOL]}), "-s devicemapper", "docker-thinpool"),
        ("", f"-s devicemapper --storage-opt {POOL}", "docker-thinpool"),
        ("", f"--storage-opt {POOL}", None),
        (daemon(POOL), "--storage-driver overlay2", None),
    ],
)
def test_isulad_takes_its_pool_only_for_the_driver(text: str, words: str, pool: str | None) -> None:
    assert DAEMONS["isulad"].pool_in(text, flags_in(words.split())) == pool


def test_what_a_daemon_says_of_storage_is_read() -> None:
    text = daemon(POOL, "dm.fs=xfs", **{"data-root": "/srv/docker"})
    options = {"dm.thinpooldev": "/dev/mapper/docker-thinpool", "dm.fs": "xfs"}
    assert read_daemon(text) == Daemon("devicemapper", "/srv/docker", options)
    assert read_daemon('{"graph": "/old", "storage-driver": ""}') == Daemon(None, "/old")
    assert read_daemon(" \n") == Daemon()
    assert read_daemon('{"live-restore": true}') == Daemon(live_restore=True)
    assert read_daemon("[]") is None


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("-H fd:// -s devicemapper", Flags("devicemapper")),
        ("-sdevicemapper --graph /srv", Flags("devicemapper", (), "/srv")),
        ("--storage-driver=a --storage-driver b", Flags("b")),
        ("--storage-opt a=1 --debug --storage-opt=b=2", Flags(None, ("a=1", "b=2"))),
        ("--data-root=/x -g /y", Flags(None, (), "/y")),
        ("--config-file=/etc/d.json", Flags(None, (), None, "/etc/d.json")),
        ("--storage-driver", Flags("")),
        ("--live-restore -s devicemapper", Flags("devicemapper", live_restore=True)),
        ("--live-restore=true", Flags(live_restore=True)),
        ("--live-restore=false", Flags()),
        ("daemon --selinux-enabled --log-driver=journald", Flags()),
    ],
)
def test_a_command_line_says_what_it_says_of_storage(words: str, flags: Flags) -> None:
    assert flags_in(words.split()) == flags


def test_what_a_command_line_has_may_not_stand_in_the_file() -> None:
    assert flags_in(["-s", "devicemapper"]).conflicts == ("storage-driver",)
    assert flags_in(["--storage-opt", POOL]).conflicts == ("storage-opts",)
    assert flags_in(["--debug"]).conflicts == ()


CONTAINERD: list[tuple[str, str | None]] = [
    ('[plugins.devmapper]\npool_name = "vg-pool"\n', "vg-pool"),
    ('version = 1\n[plugins.devmapper]\npool_name = "vg-pool"\n', "vg-pool"),
    (f'version = 2\n[plugins]\n[plugins."{PLUGIN}"]\npool_name = "vg-pool"\n', "vg-pool"),
    (f"version = 3\n[plugins.'{PLUGIN}']\npool_name = 'my--vg-a'\nroot_path = '/x'\n", "my--vg-a"),
    (f'[plugins."{PLUGIN}"]\nroot_path = "/x"\n', None),
    (f'[plugins."{PLUGIN}"]\npool_name = ""\n', None),
    (f'[plugins."{PLUGIN}"]\npool_name = "/dev/mapper/x"\n', None),
    (f'[plugins."{PLUGIN}"]\npool_name = 7\n', None),
    ('[plugins]\ndevmapper = "x"\n', None),
    ("plugins = 3\n", None),
    ("version = 2\n", None),
    ("\ufeff[plugins.devmapper]\npool_name = 'vg-pool'\n", "vg-pool"),
    ("[plugins", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "pool"), CONTAINERD)
def test_containerd_names_its_pool_in_each_version(text: str, pool: str | None) -> None:
    assert containerd(text) == pool


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Containerd(1)),
        ("version = 3\n", Containerd(3)),
        ('version = "x"\n', Containerd(0)),
        (f'version = 2\ndisabled_plugins = ["{PLUGIN}"]\n', Containerd(2, is_disabled=True)),
        ('disabled_plugins = ["cri"]\n', Containerd(1)),
        (
            (
                'version = 2\n[plugins."io.containerd.grpc.v1.cri".containerd]\n'
                'snapshotter = "devmapper"\n'
            ),
            Containerd(2, is_default=True),
        ),
        (
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.kata]\n"
                "snapshotter = 'devmapper'\n"
            ),
            Containerd(3, is_default=True),
        ),
        (
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = 'overlayfs'\n"
                f"[plugins.'{PLUGIN}']\npool_name = 'a-b'\nroot_path = '/x'\n"
                "base_image_size = '8GB'\n"
            ),
            Containerd(3, "a-b", "/x", "8GB"),
        ),
        ("plugins = 1\n", Containerd(1)),
        ("=", None),
    ],
)
def test_what_containerd_says_of_the_snapshotter_is_read(
    text: str, found: Containerd | None
) -> None:
    assert read(text) == found


WORDS = st.sampled_from(
    ["plugins", PLUGIN, "devmapper", "pool_name", "storage-opts", "storage-driver", POOL, "x", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | VALUES.map(json.dumps), st.lists(WORDS))
def test_whatever_stands_in_a_file_is_a_name_or_none(text: str, words: list[str]) -> None:
    names = [program.pool_in(text, flags_in(words)) for program in DAEMONS.values()]
    names += [program.pool_in("", read_options(text)) for program in DAEMONS.values()]
    for name in (*names, containerd(text)):
        assert name is None or (name and "/" not in name)


LISTING = """\
TYPE                            ID                       PLATFORMS      STATUS
io.containerd.content.v1        content                  -              ok
io.containerd.snapshotter.v1    btrfs                    linux/amd64    skip
io.containerd.snapshotter.v1    devmapper                linux/amd64    {}
io.containerd.snapshotter.v1    overlayfs                linux/amd64    error
"""


@pytest.mark.parametrize(
    ("listing", "broken"),
    [
        (LISTING.format("error"), True),
        (LISTING.format("ok"), False),
        (LISTING.format("skip"), None),
        ("io.containerd.snapshotter.v1 overlayfs - error\n", None),
        ("io.containerd.grpc.v1 devmapper - error\n", None),
        ("", None),
    ],
)
def test_the_plugins_state_is_told_by_its_own_line(
    listing: str,
    broken: bool | None,  # noqa: FBT001 - a table
) -> None:
    assert is_broken(listing) is broken


@given(st.text())
def test_no_listing_raises(listing: str) -> None:
    assert is_broken(listing) in (True, False, None)


def test_each_program_that_is_read_has_its_policy() -> None:
    assert {*DAEMONS, "containerd"} == set(CONSUMERS)
    assert {name: CONSUMERS[name].unit for name in DAEMONS} == {
        name: program.unit for name, program in DAEMONS.items()
    }
