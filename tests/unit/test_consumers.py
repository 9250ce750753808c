"""The pool that a program's configuration names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers import FILES, PARSERS
from dmguard.core.consumers.containerd import is_broken
from dmguard.core.consumers.containerd import pool_in as containerd
from dmguard.core.consumers.docker import pool_in as docker

POOL = "dm.thinpooldev=/dev/mapper/docker-thinpool"


def daemon(*options: object, **other: object) -> str:
    return json.dumps({"storage-driver": "devicemapper", "storage-opts": [*options]} | other)


DOCKER: list[tuple[str, str | None]] = [
    (daemon(POOL, "dm.use_deferred_removal=true"), "docker-thinpool"),
    (daemon("dm.fs=xfs", POOL), "docker-thinpool"),
    (daemon("dm.thinpooldev=docker-thinpool"), "docker-thinpool"),
    (daemon("devicemapper.thinpooldev=/dev/mapper/my--vg-a"), "my--vg-a"),
    (daemon(POOL, **{"storage-driver": "overlay2"}), None),
    (json.dumps({"storage-opts": [POOL]}), "docker-thinpool"),
    (daemon("dm.thinpooldev=/dev/docker/thinpool"), None),
    (daemon("dm.thinpooldev="), None),
    (daemon("dm.basesize=20G"), None),
    (daemon(1, None, [], POOL), "docker-thinpool"),
    (json.dumps({"storage-opts": POOL}), None),
    ("{}", None),
    ("[]", None),
    ("null", None),
    ("", None),
    (f'DOCKER_STORAGE_OPTIONS="--storage-opt {POOL} --storage-opt dm.fs=xfs"', "docker-thinpool"),
    (f'# --storage-opt {POOL}\nDOCKER_STORAGE_OPTIONS=""', None),
    (f"# old\n  # --storage-opt {POOL}2\nOPTIONS='--storage-opt {POOL}'\n", "docker-thinpool"),
    ('{"storage-driver": "devicemapper", // a comment\n', None),
]


@pytest.mark.parametrize(("text", "pool"), DOCKER)
def test_docker_names_its_pool_in_each_of_its_forms(text: str, pool: str | None) -> None:
    assert docker(text) == pool


KEY = "io.containerd.snapshotter.v1.devmapper"
CONTAINERD: list[tuple[str, str | None]] = [
    ('[plugins.devmapper]\npool_name = "vg-pool"\n', "vg-pool"),
    ('version = 1\n[plugins.devmapper]\npool_name = "vg-pool"\n', "vg-pool"),
    (f'version = 2\n[plugins]\n[plugins."{KEY}"]\npool_name = "vg-pool"\n', "vg-pool"),
    (f"version = 3\n[plugins.'{KEY}']\npool_name = 'my--vg-a'\nroot_path = '/x'\n", "my--vg-a"),
    (f'[plugins."{KEY}"]\nroot_path = "/x"\n', None),
    (f'[plugins."{KEY}"]\npool_name = ""\n', None),
    (f'[plugins."{KEY}"]\npool_name = "/dev/mapper/x"\n', None),
    (f'[plugins."{KEY}"]\npool_name = 7\n', None),
    ('[plugins]\ndevmapper = "x"\n', None),
    ("plugins = 3\n", None),
    ("version = 2\n", None),
    ("[plugins", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "pool"), CONTAINERD)
def test_containerd_names_its_pool_in_each_version(text: str, pool: str | None) -> None:
    assert containerd(text) == pool


WORDS = st.sampled_from(
    ["plugins", KEY, "devmapper", "pool_name", "storage-opts", "storage-driver", POOL, "x", ""]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.text() | VALUES.map(json.dumps), st.sampled_from(sorted(PARSERS)))
def test_whatever_stands_in_a_file_is_a_name_or_none(text: str, program: str) -> None:
    name = PARSERS[program](text)
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
        (LISTING.format("skip"), False),
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


def test_each_program_has_a_parser_for_its_files() -> None:
    assert set(FILES) == set(PARSERS)
