"""Configuration of the programs that use a pool: read, and written where only ours may change."""

from __future__ import annotations

import tomllib
from typing import Any

from dmguard.core.consumers import containerd, daemon, daemonjson
from dmguard.core.consumers.edit import EditError
from dmguard.core.consumers.flags import Flags, flags_in
from dmguard.core.consumers.unitfile import read_environment, read_service
from tests.fuzz.dice import either
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, mutated_text

_DAEMON = {
    "storage-driver": "devicemapper",
    "storage-opts": ["dm.thinpooldev=/dev/mapper/old", "dm.fs=xfs", "overlay2.size=1G"],
    "data-root": "/srv/docker",
    "live-restore": True,
    "log-opts": {"max-size": "10m"},
    "x": 12345678901234567890,
}
_DAEMONS = [_DAEMON, {}, {"graph": "/g", "storage-opts": []}, {"storage-driver": "overlay2"}]
_DAEMON_TEXT = (
    '{\n    "hosts": ["fd://"],\n    "storage-opts": [\n        "dm.fs=xfs"\n    ]\n}\n',
    '{"a":1,"storage-opts":["dm.thinpooldev=x"],"b":[{"c":"d"}]}',
    '{\r\n  "a" : 1.0\r\n}\r\n',
)
_WANTED = daemonjson.Wanted("docker-thinpool", min_free_space=10)

_PLUGIN = containerd.PLUGIN
_CONTAINERD = (
    f"""\
version = 2
disabled_plugins = []
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins]
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "devmapper"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.kata]
      snapshotter = "overlayfs"
  [plugins."{_PLUGIN}"]
    pool_name = "old"
    root_path = ""
    discard_blocks = false
[timeouts]
  "a.b" = "0s"
""",
    f'version = 3\nplugins."{_PLUGIN}".pool_name="x"\nlist = [\n  "a",\n]\nnote = """\nx\n"""\n',
    "version = 3\n[[stream]]\na = 1\n",
)
_SNAP = containerd.Wanted("vg-pool", "/srv/snap", "10GB", discard_blocks=True)

_UNIT = """\
[Unit]
Description=Docker
[Service]
EnvironmentFile=-/etc/sysconfig/docker
Environment="OPTIONS=-D -s x" ROOT=/r
ExecStart=/usr/bin/dockerd -H fd:// \\
# between
          $OPTIONS --storage-opt dm.thinpooldev=/dev/mapper/p --data-root=${ROOT}/docker
[Install]
WantedBy=multi-user.target
"""
_LISTING = "TYPE ID PLATFORMS STATUS\nio.containerd.snapshotter.v1 devmapper linux/amd64 ok\n"


def check_daemon(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    found = daemon.read(text)
    if found is not None:
        found.under(Flags(driver="x", options=("dm.fs=ext4",)))
        assert found.driver is None or isinstance(found.driver, str)
        assert all(isinstance(v, str) for pair in found.options.items() for v in pair)
        daemon.min_free(found.options.get("dm.min_free_space", ""))
    try:
        edit = daemonjson.configure(text, _WANTED)
    except EditError as error:
        assert str(error).encode()
        return
    after = daemon.read(edit.text)
    assert after is not None
    assert after.driver == "devicemapper"
    assert daemon.pool_name(after.options["dm.thinpooldev"]) == "docker-thinpool"
    assert after.options["dm.min_free_space"] == "10%"
    again = daemonjson.configure(edit.text, _WANTED)
    assert (again.text, again.changes) == (edit.text, ())


def _others(text: str) -> Any:
    document = tomllib.loads(text)
    plugins = document.get("plugins", {})
    section = plugins.get(_PLUGIN, {})
    for key in _SNAP.values():
        section.pop(key, None)
    if not section:
        plugins.pop(_PLUGIN, None)
    if not plugins:
        document.pop("plugins", None)
    return document


def check_containerd(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    found = containerd.read(text)
    containerd.imports_in(text)
    containerd.is_broken(text)
    try:
        edit = containerd.configure(text, _SNAP)
    except EditError as error:
        assert str(error).encode()
        return
    after = containerd.read(edit.text)
    assert after is not None
    assert (after.pool, after.root_path) == ("vg-pool", "/srv/snap")
    assert found is not None
    assert containerd.configure(edit.text, _SNAP).text == edit.text
    if text.strip():
        assert _others(text) == _others(edit.text)


def check_unit(data: bytes) -> None:
    text = data.decode(errors="replace")
    read_environment(text)
    words = read_service([text, text]).words(lambda _: text)
    assert all(isinstance(word, str) for word in words)
    found = flags_in(words)
    assert all(isinstance(option, str) for option in found.options)
    assert containerd.config_in(words).startswith("/")
    daemon.read_options(text)
    for program in (daemon.Daemon(),):
        program.under(found)


TARGETS = (
    Target(
        "daemon-json",
        either(
            mutated_json(_DAEMONS, ("dm.thinpooldev", "DM.FS=x", " dm.datadev=/x", "zfs.x")),
            mutated_text(_DAEMON_TEXT, ['"storage-opts":', '"a":1,', "/* */"]),
        ),
        check_daemon,
    ),
    Target(
        "containerd",
        mutated_text(
            [*_CONTAINERD, _LISTING],
            ["[plugins]\n", "pool_name", f'"{_PLUGIN}"', "[[", "]]", "\n["],
        ),
        check_containerd,
    ),
    Target(
        "unit-file",
        mutated_text([_UNIT], ["[Service]\n", "ExecStart=", "Environment=", "$OPTIONS", "\\\n#"]),
        check_unit,
    ),
)
