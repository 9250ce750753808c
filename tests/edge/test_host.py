"""The host around the pools: files in a folder of their own, and programs that answer."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dmguard.core.consumers.flags import Flags
from dmguard.core.host import ACTIVATE, DeviceEntry, DockerData, Host, PoolVolumes, UnitFacts
from dmguard.core.settings import ConsumerPolicy, OnRecovered
from dmguard.edge.datafolder import read_docker_data, read_isulad_data
from dmguard.edge.host import is_installed, parse_unit, read_docker_version, read_host, read_units
from dmguard.edge.lvm import ReportError
from dmguard.edge.lvmconf import (
    Volumes,
    make_conf,
    parse_config,
    parse_devices,
    parse_volumes,
    read_conf,
    read_profiles,
    read_volumes,
)
from dmguard.edge.run import Runner
from tests.edge.conftest import run, script

FULL = """\
config {
\tprofile_dir="/etc/lvm/mine"
}
activation {
\tthin_pool_autoextend_threshold=70
\tthin_pool_autoextend_percent=0
\tmonitoring=0
\tvolume_list=["docker","@host","a/\\"b"]
\tauto_activation_volume_list=[]
}
devices {
\tuse_devicesfile=1
\tdevicesfile="mine.devices"
\tfilter=["a|^/dev/disk/by\\\\-id/.*|","r|.*|"]
\tglobal_filter="r|/dev/fd.*|"
}
global {
\tthin_check_executable="/no/such/thin_check"
\tthin_check_options=["-q"]
}
dmeventd {
\tthin_command="/usr/bin/grow"
}
"""
DEVICES = """\
# LVM uses devices listed in this file.
VERSION=1.1.2
IDTYPE=sys_wwid IDNAME=naa.5 DEVNAME=/dev/sda2 PVID=AbC PART=2
IDTYPE=devname IDNAME=/dev/sdb DEVNAME=. PVID=.
"""
UNIT = """\
Id=docker.service
ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd -H fd:// }
ExecStart={ path=/usr/bin/second ; argv[]=/usr/bin/second }
Requires=docker.socket sysinit.target
Wants=containerd.service dmguard-activate.service
After=dmguard-activate.service docker.socket
LoadState=loaded
ActiveState=failed
"""


def programs(tmp_path: Path, **texts: str) -> Runner:
    """Programs that are not on this machine; one that is not given is not there."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    for name, text in texts.items():
        script(tmp_path / "bin", name, text)
    return Runner(path=f"{tmp_path}/bin")


def says(text: str) -> str:
    return f"/bin/cat <<'END'\n{text}\nEND"


def row(name: str, segtype: str, **other: str) -> dict[str, str]:
    values = {
        "vg_name": "vg",
        "vg_systemid": "",
        "lv_name": name,
        "lv_uuid": f"u-{name}",
        "segtype": segtype,
        "vg_uuid": "g-1",
    }
    return values | {"pool_lv": "", "lv_size": "100", "lv_active": "", "discards": ""} | other


POOLS = json.dumps(
    {
        "report": [
            {
                "lv": [
                    row("pool", "thin-pool", discards="passdown", seg_monitor="monitored"),
                    row("one", "thin", pool_lv="pool", lv_size="70", lv_active="active"),
                    row("two", "thin", pool_lv="[pool]", lv_size="80"),
                    row("[off]", "thin-pool", discards="ignore", seg_monitor="not monitored"),
                    row("down", "thin-pool", discards="nopassdown", seg_monitor=""),
                    row("[pool_tmeta]", "linear"),
                ]
            },
            {
                "lv": [
                    row("pool", "thin-pool", vg_uuid="g-2", lv_uuid="other", vg_systemid="another"),
                    row("x", "thin", vg_uuid="g-2", pool_lv="pool", lv_size="5"),
                ]
            },
        ]
    }
)


def test_lvms_configuration_is_typed(tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/mine.devices").write_text(DEVICES)
    with programs(tmp_path, lvm=says(FULL)) as runner:
        conf = run(read_conf(runner, tmp_path))
    assert conf is not None
    assert (conf.threshold, conf.percent, conf.monitoring) == (70, 0, False)
    assert conf.profile_dir == "/etc/lvm/mine"
    assert (conf.thin_check, conf.thin_check_missing) == ("/no/such/thin_check", True)
    assert conf.thin_command == "/usr/bin/grow"
    assert conf.volume_list == ("docker", "@host", 'a/"b')
    assert conf.auto_activation_volume_list == ()
    assert conf.filters == (r"a|^/dev/disk/by\-id/.*|", "r|.*|", "r|/dev/fd.*|")
    assert conf.devices == (
        DeviceEntry("sys_wwid", "naa.5", "AbC"),
        DeviceEntry("devname", "/dev/sdb"),
    )


def test_what_lvm_does_not_say_is_its_default(tmp_path: Path) -> None:
    conf = make_conf(parse_config("activation {\n}\n"), tmp_path)
    assert (conf.threshold, conf.percent, conf.monitoring) == (100, 20, True)
    assert (conf.volume_list, conf.auto_activation_volume_list, conf.devices) == (None, None, None)
    assert (conf.thin_check, conf.thin_check_missing) == ("", False)


def test_a_devices_file_that_is_not_there_hides_nothing(tmp_path: Path) -> None:
    assert make_conf(parse_config(FULL), tmp_path).devices is None
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/mine.devices").write_text("")
    assert make_conf(parse_config(FULL), tmp_path).devices == ()


def test_lines_that_name_no_device_are_none() -> None:
    assert parse_devices("VERSION=1\nIDTYPE=x\nIDNAME=y\n=\n") == ()


def test_lvm_of_this_machine_is_understood() -> None:
    with Runner() as runner:
        conf = run(read_conf(runner))
    assert conf is not None
    assert 50 <= conf.threshold <= 100
    assert conf.profile_dir.startswith("/")


def test_lvm_that_does_not_answer_is_unknown(tmp_path: Path) -> None:
    with programs(tmp_path, lvm="exit 5") as runner:
        assert run(read_conf(runner)) is None
        assert run(read_volumes(runner, dmeventd=True)) == Volumes()


def test_lvm_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    with programs(tmp_path) as runner:
        assert run(read_conf(runner)) is None


def test_volumes_are_counted_for_their_own_pool() -> None:
    found = parse_volumes(POOLS)
    assert found.volumes == {
        "upool": PoolVolumes(150, "passdown", ("one",)),
        "u[off]": PoolVolumes(0, "ignore"),
        "udown": PoolVolumes(0, "nopassdown"),
        "other": PoolVolumes(5, ""),
    }
    assert found.monitored == {"upool": True, "u[off]": False}
    assert found.owned == {"other": ("vg/pool", "another")}


@pytest.mark.parametrize("text", ["", "[]", '{"report":[{}]}', '{"report":[{"lv":[{}]}]}', "{"])
def test_a_report_of_another_kind_is_an_error(text: str) -> None:
    with pytest.raises(ReportError):
        parse_volumes(text)


@pytest.mark.parametrize("dmeventd", [True, False])
def test_dmeventd_is_asked_only_where_it_can_be_reached(
    tmp_path: Path,
    dmeventd: bool,  # noqa: FBT001
) -> None:
    text = f'echo "$@" >{tmp_path}/asked; {says(POOLS)}'
    with programs(tmp_path, lvm=text) as runner:
        volumes = run(read_volumes(runner, dmeventd=dmeventd)).volumes
    asked = (tmp_path / "asked").read_text()
    assert volumes
    assert ("seg_monitor" in asked) is dmeventd
    assert "global/wait_for_locks=0" in asked


def test_a_locked_group_is_asked_for_again(tmp_path: Path) -> None:
    text = (
        f"if ! [ -e {tmp_path}/second ]; then : >{tmp_path}/second;"
        ' echo "Can\'t get lock for docker." >&2; exit 5; fi\n'
        f"{says(POOLS)}"
    )
    with programs(tmp_path, lvm=text) as runner:
        volumes = run(read_volumes(runner, dmeventd=False)).volumes
    assert "upool" in volumes


def test_profiles_are_read_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "docker-thinpool.profile").write_text("activation {\n}\n")
    (tmp_path / "other.conf").write_text("x")
    (tmp_path / "folder.profile").mkdir()
    assert read_profiles(tmp_path) == {"docker-thinpool": "activation {\n}\n"}
    assert read_profiles(tmp_path / "none") == {}


def test_a_unit_is_typed() -> None:
    unit = parse_unit("docker.service", UNIT)
    assert (unit.load, unit.active, unit.is_there) == ("loaded", "failed", True)
    assert ACTIVATE in unit.after
    assert unit.pulls_in >= {ACTIVATE, "docker.socket", "containerd.service"}
    assert unit.exec_start.count("path=") == 2
    assert not parse_unit("x.service", "LoadState=not-found\nActiveState=inactive").is_there


def test_units_are_told_by_the_names_that_were_asked_for(tmp_path: Path) -> None:
    answer = f"{UNIT}\nId=real.service\nLoadState=masked\nActiveState=inactive"
    with programs(tmp_path, systemctl=says(answer)) as runner:
        units = run(read_units(runner, ("docker.service", "alias.service", "docker.service")))
    assert list(units) == ["docker.service", "alias.service"]
    assert not units["alias.service"].is_there
    with programs(tmp_path, systemctl=says(UNIT)) as runner:
        assert run(read_units(runner, ("a.service", "b.service"))) == {}, "one block for two"
    with programs(tmp_path, systemctl="exit 1") as runner:
        assert run(read_units(runner, ("a.service",))) == {}


def mounted(root: Path, *points: str) -> None:
    """A mountinfo with these mount points, as the kernel writes it."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    lines = (f"36 35 8:1 / {root}{point} rw shared:1 - ext4 /dev/a rw\n" for point in points)
    (root / "proc/self/mountinfo").write_text("".join(lines))


def test_what_runs_is_what_is_installed_or_something_older(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an upgrade the old program runs on, and its file is gone."""
    monkeypatch.setattr("dmguard.edge.host.SEARCH_PATH", str(tmp_path))
    unit = UnitFacts("docker.service", main_pid=os.getpid())
    assert not is_installed(unit), "none is installed"
    (tmp_path / "dockerd").symlink_to(Path("/proc/self/exe").readlink())
    assert is_installed(unit)
    assert not is_installed(None)
    assert not is_installed(replace(unit, main_pid=0))
    (tmp_path / "dockerd").unlink()
    script(tmp_path, "dockerd", "exit 0")
    assert not is_installed(unit)


def test_dockers_version_is_asked_for_once(tmp_path: Path) -> None:
    with programs(tmp_path, dockerd=says("Docker version 20.10.24+dfsg1, build 297e128")) as runner:
        assert run(read_docker_version(runner)) == "20.10.24+dfsg1"
        host = run(read_host(runner, dmeventd=False, docker_version="24.0.9", root=tmp_path))
    assert host.docker_version == "24.0.9"
    with programs(tmp_path, dockerd="exit 1") as runner:
        assert run(read_docker_version(runner)) is None


ALL_RUN = """while [ "$1" != -- ]; do shift; done; shift
for unit; do
    printf 'Id=%s\\nLoadState=loaded\\nActiveState={}\\nMainPID={}\\n\\n' "$unit"
done"""


@pytest.mark.parametrize(
    ("active", "pid", "version", "pool"),
    [
        ("active", os.getpid(), "24.0.9", "vg-p"),
        ("active", 0, "26.1.5", "vg-p"),
        ("inactive", 0, "26.1.5", None),
    ],
    ids=["runs", "was upgraded", "does not run"],
)
def test_a_docker_that_runs_is_asked_for_its_version_and_its_pool(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    active: str,
    pid: int,
    version: str,
    pool: str | None,
) -> None:
    monkeypatch.setattr("dmguard.edge.host.SEARCH_PATH", str(tmp_path))
    (tmp_path / "dockerd").symlink_to(Path("/proc/self/exe").readlink())
    (tmp_path / "run").mkdir()
    said = {"ServerVersion": "24.0.9", "DriverStatus": [["Pool Name", "vg-p"]]}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.0 200 OK\r\n\r\n{json.dumps(said)}".encode())
        writer.close()

    async def look() -> Host:
        with programs(
            tmp_path,
            systemctl=ALL_RUN.format(active, pid),
            dockerd=says("Docker version 26.1.5, build 1"),
        ) as runner:
            async with await asyncio.start_unix_server(serve, tmp_path / "run/docker.sock"):
                return await read_host(runner, dmeventd=False, root=tmp_path)

    host = run(look())
    assert host.docker_version == version
    assert host.serving.get("docker") == pool


def test_dockers_data_is_looked_at(tmp_path: Path) -> None:
    mounted(tmp_path)
    layers = tmp_path / "data/image/devicemapper/layerdb/sha256/abc"
    layers.mkdir(parents=True)
    (tmp_path / "data/image/overlay2/layerdb/sha256").mkdir(parents=True)
    (tmp_path / "data/containers").mkdir()
    seen = read_docker_data(tmp_path, "/data")
    assert seen == DockerData("/data", there=True, drivers=frozenset({"devicemapper"}))
    (tmp_path / "data/containers/one").mkdir()
    (tmp_path / "data/devicemapper/metadata/base").mkdir(parents=True)
    seen = read_docker_data(tmp_path, "/data")
    assert seen is not None
    assert (seen.containers, seen.devices) == (True, True)
    assert read_docker_data(tmp_path, "/none") == DockerData("/none", there=False)


@pytest.mark.parametrize(
    ("text", "age_s", "expected"),
    [
        ('{"open_transaction_id": 7, "device_hash": "ab", "device_id": 3}', 60, 7),
        ('{"open_transaction_id": 7}', 0, None),
        ('{"open_transaction_id": "7"}', 60, None),
        ('{"open_transaction_id": true}', 60, None),
        ('{"open_transaction_id": -1}', 60, None),
        ("[7]", 60, None),
        ("{", 60, None),
        ("[" * 5000, 60, None),
        ("\udcff", 60, None),
    ],
)
def test_the_last_change_that_docker_noted_is_read_once_it_is_settled(
    tmp_path: Path, text: str, age_s: int, expected: int | None
) -> None:
    folder = tmp_path / "data/devicemapper/metadata"
    folder.mkdir(parents=True)
    path = folder / "transaction-metadata"
    path.write_text(text, errors="surrogateescape")
    now = time.time()
    os.utime(path, (now, now - age_s))
    seen = read_docker_data(tmp_path, "/data")
    assert seen is not None
    assert (seen.devices, seen.transaction) == (True, expected)


def test_what_docker_keeps_for_another_user_namespace_is_seen(tmp_path: Path) -> None:
    place = tmp_path / "data/100000.100000"
    (place / "image/overlay2/layerdb/sha256/abc").mkdir(parents=True)
    (place / "containers/one").mkdir(parents=True)
    seen = read_docker_data(tmp_path, "/data")
    assert seen is not None
    assert (seen.drivers, seen.containers) == (frozenset({"overlay2"}), True)


def test_isulads_data_is_looked_at(tmp_path: Path) -> None:
    mounted(tmp_path)
    images = tmp_path / "data/storage/overlay-images"
    images.mkdir(parents=True)
    (images / "images.lock").touch()
    (tmp_path / "data/engines/lcr").mkdir(parents=True)
    assert read_isulad_data(tmp_path, "/data") == DockerData("/data", there=True)
    (images / "abc").mkdir()
    (tmp_path / "data/engines/lcr/one").mkdir()
    (tmp_path / "data/storage/devicemapper/metadata/base").mkdir(parents=True)
    seen = read_isulad_data(tmp_path, "/data")
    assert seen is not None
    assert (seen.drivers, seen.containers, seen.devices) == (frozenset({"overlay"}), True, True)
    assert read_isulad_data(tmp_path, "/none") == DockerData("/none", there=False)


def test_what_is_mounted_in_the_data_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    seen = read_docker_data(tmp_path, "/data")
    assert seen is not None
    assert seen.mounts is None, "it is not known"
    mounted(tmp_path, "/", "/database", "/data/volumes/my\\040own", "/data")
    (tmp_path / "link").symlink_to("data")
    seen, link = read_docker_data(tmp_path, "/data"), read_docker_data(tmp_path, "/link")
    assert seen is not None
    assert link is not None
    assert (seen.is_link, link.is_link) == (False, True)
    assert seen.mounts == link.mounts == (".", "volumes/my own")


def test_a_whole_host_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path, text in {
        "etc/docker/daemon.json": '{"data-root": "/data", "storage-opts": ["dm.fs=xfs"]}',
        "etc/lvm/mine/a.profile": "text",
        "usr/lib/systemd/system/mine.service": "[Service]\nExecStart=dockerd -s devicemapper\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "data").mkdir()
    mounted(root)
    (root / "etc/docker/daemon.json").chmod(0o600)
    lvm = f'case "$1" in lvmconfig) {says(FULL)}\n;; *) {says(POOLS)}\n;; esac'
    policies = {"docker": ConsumerPolicy("mine.service", OnRecovered.NONE)}
    with programs(tmp_path, lvm=lvm) as runner:
        host = run(read_host(runner, dmeventd=True, policies=policies, root=root))
    assert host.lvm is not None
    assert host.profiles == {"a": "text"}
    assert host.files["/etc/docker/daemon.json"].mode == 0o600
    assert "/etc/containerd/config.toml" not in host.files
    assert host.flags["docker"] == Flags(driver="devicemapper")
    assert host.docker == DockerData("/data", there=True)
    assert host.monitored == {"upool": True, "u[off]": False}
    assert host.units == {}, "systemctl is not there, so that nothing is known"
    assert host.agent_runs is None
    assert "lvm" in host.programs


def test_the_file_that_a_command_line_names_is_read(tmp_path: Path) -> None:
    root = tmp_path / "root"
    unit = "[Service]\nExecStart=/usr/bin/dockerd --config-file /srv/d.json\n"
    for path, text in {
        "etc/docker/daemon.json": '{"data-root": "/other"}',
        "srv/d.json": '{"data-root": "/data"}',
        "usr/lib/systemd/system/docker.service": unit,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    with programs(tmp_path) as runner:
        host = run(read_host(runner, dmeventd=False, root=root))
    assert host.text("/srv/d.json") == '{"data-root": "/data"}'
    assert host.docker == DockerData("/data", there=False)


def test_a_host_of_which_nothing_can_be_read_raises_nothing(tmp_path: Path) -> None:
    with programs(tmp_path) as runner:
        host = run(read_host(runner, dmeventd=False, root=tmp_path / "none"))
    assert host.lvm is None
    assert (host.files, host.profiles, host.monitored, host.units) == ({}, {}, {}, {})


def test_a_file_that_is_there_and_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for path, target in (("docker/daemon.json", "daemon.json"), ("containerd/config.toml", "x")):
        link = root / "etc" / path
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    with programs(tmp_path) as runner:
        host = run(read_host(runner, dmeventd=False, root=root))
        (root / "etc/containerd/x").write_text("version = 2")
        later = run(read_host(runner, dmeventd=False, root=root))
    assert host.unreadable == {"/etc/docker/daemon.json", "/etc/containerd/config.toml"}
    assert later.unreadable == {"/etc/docker/daemon.json"}
    assert later.text("/etc/containerd/config.toml") == "version = 2"
