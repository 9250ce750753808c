"""The files of the programs that use a pool, where each names others that are read in turn."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dmguard.core.consumers import DAEMONS
from dmguard.edge import consumers, host
from dmguard.edge.datafolder import read_docker_data, read_isulad_data
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, object_in

_PLUGIN = '[plugins."io.containerd.snapshotter.v1.devmapper"]\npool_name = "vg-pool"\n'
_TOLD = {
    "etc/docker/daemon.json": '{"storage-opts": ["dm.thinpooldev=/dev/mapper/p"], "graph": "/g"}',
    "etc/containerd/config.toml": 'version = 2\nimports = ["/etc/containerd/d/*.toml", "x.toml"]\n',
    "etc/containerd/d/a.toml": _PLUGIN + 'imports = ["../config.toml", "*"]\n',
    "etc/sysconfig/docker": "OPTIONS='-s devicemapper'\nFILE=/etc/docker/other.json\n",
    "etc/systemd/system/docker.service": (
        "[Service]\nEnvironmentFile=-/etc/sysconfig/docker\n"
        "ExecStart=/usr/bin/dockerd --config-file=${FILE} $OPTIONS --data-root /g\n"
    ),
    "etc/systemd/system/docker.service.d/a.conf": "[Service]\nEnvironment=FILE=/e.json\n",
    "lib/systemd/system/containerd.service": "[Service]\nExecStart=/bin/containerd -c /c.toml\n",
}
_VALUES = (
    'imports = ["/a\\u0000b"]', 'imports = ["/*/../*/[!a", "/../../*"]', '{"graph": "/a\\u0000"}',
    "[Service]\nExecStart=/d --config-file=/a\0b\n",
    "[Service]\nEnvironmentFile=/a\0b\nExecStart=x",
    f'imports = ["/{"a" * 300}", "/*{"/*" * 100}"]', "[Service]\nExecStart=/d -g /a\0b",
    _PLUGIN, '{"data-root": "../../.."}', 'imports = ["/etc/containerd/*/*", "**"]',
)  # fmt: skip


def check_files(data: bytes) -> None:
    told = object_in(data)
    if told is None:
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        root = Path(folder)
        for name in _TOLD:
            text = told.get(name)
            if isinstance(text, str):
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(text.encode(errors="surrogatepass"))
        for found in consumers.read_consumers(root=root):
            assert found.dm_name
            assert "/" not in found.dm_name
        flags = {name: consumers.read_flags(root, program) for name, program in DAEMONS.items()}
        files, _ = host.read_files(root, flags)
        host._data_root("docker", files, flags)
        for read in (read_docker_data, read_isulad_data):
            place = host._data_root("docker", files, flags)
            data_folder = read(root, place)
            assert data_folder is None or data_folder.there in (True, False)


TARGETS = (Target("files", mutated_json([_TOLD], _VALUES), check_files),)
