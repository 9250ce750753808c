"""What systemd and Docker say of themselves."""

from __future__ import annotations

import json

from dmguard.edge import host, serving
from dmguard.edge.dockerapi import Engine, parse_answer
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated, mutated_json, mutated_text
from tests.fuzz.targets.lvm import Answers, at_once, ended

_OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
_INFO = {
    "ServerVersion": "20.10.24+dfsg1",
    "Driver": "devicemapper",
    "DriverStatus": [["Pool Name", "docker-thinpool"], ["Pool Blocksize", "524.3kB"]],
}
_UNIT = """\
Id=docker.service
LoadState=loaded
ActiveState=active
After=network.target docker.socket
Wants=network-online.target
Requires=docker.socket
ExecStart={ path=/usr/bin/dockerd ; argv[]=/usr/bin/dockerd -H fd:// ; }
MainPID=1234
"""


def _check_engine(found: Engine) -> None:
    for text in (found.version, found.pool):
        assert text is None or (type(text) is str and text != ""), text


def check_info(data: bytes) -> None:
    found = parse_answer(_OK + data)
    _check_engine(found)
    if found.version is not None:
        said = json.loads(data)
        assert found.version == said["ServerVersion"]
        pairs = said.get("DriverStatus")
        known = [pair for pair in pairs or [] if isinstance(pair, list) and len(pair) == 2]
        named = [value for key, value in known if key == "Pool Name"]
        assert found.pool == (named[0] if named else None)
    units = {"docker": "active", "isulad": "active", "containerd": "failed"}
    serves = at_once(serving.read_serving(None, (), units, found))  # type: ignore[arg-type]
    assert (serves["docker"] is None) == (found.version is None)


def check_http(data: bytes) -> None:
    _check_engine(parse_answer(data))


def check_unit(data: bytes) -> None:
    text = data.decode(errors="replace")
    found = host.parse_unit("docker.service", text)
    assert type(found.main_pid) is int
    assert found.main_pid >= 0
    runner = Answers(ended(text))
    units = at_once(host.read_units(runner, ["a", "b"]))  # type: ignore[arg-type]
    assert set(units) in (set(), {"a", "b"})
    host.is_installed(found)


TARGETS = (
    Target("docker-info", mutated_json([_INFO], ("Pool Name", ["Pool Name", None])), check_info),
    Target("docker-http", mutated((_OK + json.dumps(_INFO).encode(),), (b"\r\n\r\n",)), check_http),
    Target("systemctl", mutated_text([_UNIT, _UNIT + "\n" + _UNIT], ["MainPID="]), check_unit),
)
