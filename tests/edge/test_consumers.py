"""Which programs of a host have a pool: the files of a root folder."""

from pathlib import Path

import pytest

from dmguard.core.consumers import DAEMONS
from dmguard.core.model import Consumer
from dmguard.core.settings import ConsumerPolicy, OnRecovered
from dmguard.edge.consumers import (
    read_consumers,
    read_containerd_path,
    read_flags,
    read_imports,
)

OPTIONS = "--storage-driver devicemapper --storage-opt dm.thinpooldev=/dev/mapper/vg-{}"
JSON = '{{"storage-driver": "devicemapper", "storage-opts": ["dm.thinpooldev=vg-{}"]}}'
UNIT = "[Service]\nExecStart=/usr/bin/dockerd {}\n"
DROP_IN = "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd {}\n"


def put(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "pool"),
    [
        ({"etc/docker/daemon.json": JSON.format("a")}, "vg-a"),
        ({"etc/sysconfig/docker-storage": f"X={OPTIONS.format('b')}"}, "vg-b"),
        ({"usr/lib/systemd/system/docker.service": UNIT.format(OPTIONS.format("c"))}, "vg-c"),
        (
            {
                "lib/systemd/system/docker.service": "[Service]\nEnvironmentFile=-/etc/default/x\n"
                "ExecStart=/usr/bin/dockerd $DOCKER_STORAGE_OPTIONS\n",
                "etc/default/x": f'DOCKER_STORAGE_OPTIONS="{OPTIONS.format("d")}"',
                # The unit does not read it.
                "etc/sysconfig/docker-storage": f"X={OPTIONS.format('not')}",
            },
            "vg-d",
        ),
        (
            {
                "etc/systemd/system/docker.service": UNIT.format(OPTIONS.format("e")),
                "usr/lib/systemd/system/docker.service": UNIT.format(OPTIONS.format("not")),
            },
            "vg-e",
        ),
        (
            {
                "usr/lib/systemd/system/docker.service": UNIT.format(""),
                "etc/systemd/system/docker.service.d/20-b.conf": DROP_IN.format(
                    OPTIONS.format("f")
                ),
                "usr/lib/systemd/system/docker.service.d/10-a.conf": DROP_IN.format("-s overlay2"),
                "run/systemd/system/docker.service.d/30-c": DROP_IN.format("-s overlay2"),
            },
            "vg-f",
        ),
        (
            {
                "usr/lib/systemd/system/docker.service": UNIT.format(OPTIONS.format("g")),
                # An empty one of the same name hides it.
                "etc/systemd/system/docker.service.d/10-a.conf": "",
                "usr/lib/systemd/system/docker.service.d/10-a.conf": DROP_IN.format("-s overlay2"),
            },
            "vg-g",
        ),
        (
            {
                "usr/lib/systemd/system/docker.service": UNIT.format("--config-file /srv/d.json"),
                "srv/d.json": JSON.format("h"),
                "etc/docker/daemon.json": JSON.format("not"),
            },
            "vg-h",
        ),
        (
            {
                "usr/lib/systemd/system/docker.service": UNIT.format("--storage-driver=overlay2"),
                "etc/docker/daemon.json": JSON.format("not"),
            },
            None,
        ),
        ({}, None),
    ],
)
def test_dockers_pool_is_found_wherever_it_is_named(
    tmp_path: Path, files: dict[str, str], pool: str | None
) -> None:
    put(tmp_path, files)
    assert read_consumers(root=tmp_path) == ((Consumer("docker", pool),) if pool else ())


def test_every_program_is_found(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "etc/docker/daemon.json": JSON.format("a"),
            "etc/isulad/daemon.json": JSON.format("b"),
            "etc/containerd/config.toml": "[plugins.devmapper]\npool_name = 'vg-c'\n",
        },
    )
    assert set(read_consumers(root=tmp_path)) == {
        Consumer("docker", "vg-a"),
        Consumer("isulad", "vg-b"),
        Consumer("containerd", "vg-c"),
    }


@pytest.mark.parametrize(
    ("imports", "pool"),
    [
        ("'/etc/containerd/conf.d/*.toml'", "vg-b"),
        ("'conf.d/a.toml'", "vg-a"),
        ("'conf.d/b.toml', '/etc/containerd/conf.d/a.toml'", "vg-a"),
        ("'/etc/**/c.toml', '', '/', 3", "vg-main"),
        ("", "vg-main"),
    ],
)
def test_containerds_imports_come_before_its_file(tmp_path: Path, imports: str, pool: str) -> None:
    section = (
        "version = 3\n[plugins.'io.containerd.snapshotter.v1.devmapper']\npool_name = 'vg-{}'\n"
    )
    put(
        tmp_path,
        {
            "etc/containerd/config.toml": f"imports = [{imports}]\n{section.format('main')}",
            "etc/containerd/conf.d/a.toml": section.format("a"),
            "etc/containerd/conf.d/b.toml": section.format("b"),
            "etc/containerd/conf.d/c.toml": section.format("c"),
            "etc/containerd/conf.d/d.toml": "version = 3\n",
        },
    )
    if "*.toml" in imports:
        (tmp_path / "etc/containerd/conf.d/c.toml").unlink()
    assert read_consumers(root=tmp_path) == (Consumer("containerd", pool),)
    found = list(read_imports(tmp_path).values())
    assert found[-1:] == ([] if pool == "vg-main" else [pool])


def test_an_import_is_told_by_its_file(tmp_path: Path) -> None:
    file = "/etc/containerd/conf.d/a.toml"
    put(
        tmp_path,
        {
            "etc/containerd/config.toml": "imports = ['conf.d/*.toml', '*.toml']\nversion = 2\n"
            "[plugins.devmapper]\npool_name = 'vg-own'\n",
            file[1:]: "version = 2\n[plugins.devmapper]\npool_name = 'vg-a'\n",
        },
    )
    assert read_imports(tmp_path) == {file: "vg-a"}


SNAPSHOTTER = "[plugins.devmapper]\npool_name = 'vg-{}'\n"


@pytest.mark.parametrize(
    ("files", "found"),
    [
        # What is imported imports in its turn, from its own folder, after the others.
        (
            {
                "config": "imports = ['conf.d/a.toml', '/srv/c.toml']\n",
                "conf.d/a": "imports = ['more/*.toml']\n" + SNAPSHOTTER.format("a"),
                "conf.d/more/b": SNAPSHOTTER.format("b"),
                "../../srv/c": SNAPSHOTTER.format("c"),
            },
            {
                "/etc/containerd/conf.d/a.toml": "vg-a",
                "/srv/c.toml": "vg-c",
                "/etc/containerd/conf.d/more/b.toml": "vg-b",
            },
        ),
        # None is read twice, by whatever way it is named: where it came first it stays.
        (
            {
                "config": "imports = ['a.toml', 'b.toml', '../containerd/a.toml', 'config.toml']\n",
                "a": "imports = ['b.toml']\n" + SNAPSHOTTER.format("a"),
                "b": "imports = ['a.toml', './config.toml']\n" + SNAPSHOTTER.format("b"),
            },
            {"/etc/containerd/a.toml": "vg-a", "/etc/containerd/b.toml": "vg-b"},
        ),
        # Without an asterisk it is no pattern.
        (
            {"config": "imports = ['[a].toml', '?.toml', 'n.toml', '.']\n", "a": SNAPSHOTTER},
            {},
        ),
        (
            {"config": "imports = ['[a]*.toml']\n", "a": SNAPSHOTTER},
            {"/etc/containerd/a.toml": "vg-{}"},
        ),
    ],
)
def test_imports_are_followed_as_containerd_does(
    tmp_path: Path, files: dict[str, str], found: dict[str, str]
) -> None:
    own = tmp_path / "etc/containerd"
    put(own, {f"{name}.toml": text for name, text in files.items()})
    assert list(read_imports(tmp_path).items()) == list(found.items())


def test_imports_without_an_end_come_to_one(tmp_path: Path) -> None:
    own = tmp_path / "etc/containerd"
    put(own, {"config.toml": "imports = ['x/*.toml', 'y/*.toml']\n"})
    put(own, {"a.toml": "imports = ['x/*.toml', 'y/*.toml']\n" + SNAPSHOTTER.format("a")})
    (own / "x").symlink_to(".")
    (own / "y").symlink_to(".")
    assert set(read_imports(tmp_path).values()) == {"vg-a"}


def test_the_service_that_the_configuration_names_is_read(tmp_path: Path) -> None:
    folder = "etc/systemd/system"
    put(
        tmp_path,
        {
            f"{folder}/docker.service": UNIT.format(OPTIONS.format("not")),
            f"{folder}/docker@.service": UNIT.format(OPTIONS.format("not")),
            f"{folder}/docker@.service.d/a.conf": DROP_IN.format(OPTIONS.format("not")),
            f"{folder}/docker@main.service.d/a.conf": DROP_IN.format(OPTIONS.format("b")),
        },
    )
    policy = ConsumerPolicy("docker@main.service", OnRecovered.NONE)
    assert read_consumers({"docker": policy}, tmp_path) == (Consumer("docker", "vg-b"),)
    assert read_consumers({}, tmp_path) == (Consumer("docker", "vg-not"),)


@pytest.mark.parametrize(
    ("drop_ins", "pool"),
    [
        ({"service.d/a.conf": "b"}, "vg-b"),
        ({"my-.service.d/a.conf": "b", "service.d/b.conf": "c"}, "vg-c"),
        ({"my-docker-.service.d/a.conf": "b", "my-.service.d/a.conf": "not"}, "vg-b"),
        ({"my-docker-a.service.d/a.conf": "b", "service.d/a.conf": "not"}, "vg-b"),
        ({"docker-.service.d/a.conf": "not", "socket.d/a.conf": "not"}, "vg-unit"),
    ],
)
def test_drop_ins_for_several_services_are_read(
    tmp_path: Path, drop_ins: dict[str, str], pool: str
) -> None:
    unit = "my-docker-a.service"
    put(
        tmp_path / "etc/systemd/system",
        {unit: UNIT.format(OPTIONS.format("unit"))}
        | {name: DROP_IN.format(OPTIONS.format(vg)) for name, vg in drop_ins.items()},
    )
    policy = ConsumerPolicy(unit, OnRecovered.NONE)
    assert read_consumers({"docker": policy}, tmp_path) == (Consumer("docker", pool),)


def test_a_masked_service_has_no_options(tmp_path: Path) -> None:
    put(tmp_path, {"etc/sysconfig/docker-storage": f"X={OPTIONS.format('not')}"})
    unit = tmp_path / "etc/systemd/system/docker.service"
    unit.parent.mkdir(parents=True)
    unit.symlink_to("/dev/null")
    assert read_flags(tmp_path, DAEMONS["docker"]).options == ()


def test_what_is_no_file_names_no_pool(tmp_path: Path) -> None:
    for name in ("etc/docker/daemon.json", "etc/containerd/config.toml"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/isulad").mkdir()
    (tmp_path / "etc/isulad/daemon.json").write_bytes(b"\xff\xfe{")
    assert read_consumers(root=tmp_path) == ()


TOML = 'version = 2\n[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name = "vg-{}"\n'


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("", "/etc/containerd/config.toml"),
        ("--log-level debug", "/etc/containerd/config.toml"),
        ("--config", "/etc/containerd/config.toml"),
        ("--config /srv/c.toml", "/srv/c.toml"),
        ("--config=/srv/c.toml -l debug", "/srv/c.toml"),
        ("-c /srv/not.toml -config srv/c.toml", "/srv/c.toml"),
        ("--configs /srv/not.toml", "/etc/containerd/config.toml"),
    ],
)
def test_containerd_reads_the_file_that_its_command_line_names(
    tmp_path: Path, words: str, path: str
) -> None:
    put(
        tmp_path,
        {
            "lib/systemd/system/containerd.service": f"[Service]\nExecStart=containerd {words}\n",
            "etc/containerd/config.toml": TOML.format("not"),
            "srv/not.toml": TOML.format("not"),
        },
    )
    put(tmp_path, {path.lstrip("/"): TOML.format("a")})
    assert read_containerd_path(tmp_path) == path
    assert read_consumers(root=tmp_path) == (Consumer("containerd", "vg-a"),)
