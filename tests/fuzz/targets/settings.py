"""The configuration: TOML as text, and the values in it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from dmguard.core.settings import SettingsError, parse_settings, show_settings
from dmguard.edge.config import ConfigError, load_settings
from tests.fuzz.engine import Target
from tests.fuzz.mutate import mutated_json, mutated_text

_TEXT = """\
[guard]
pools = ["*/*", "docker/thin*"]
resync = "30s"
sources = ["udev", "journal"]
[policy]
data_threshold = 75
step = "20%"
min_step = "1GiB"
headroom = "10min"
max_size = ""
vg_reserve = "1%"
[pool."vg/lv"]
max_size = "2TiB"
[pool."loop:docker"]
data_threshold = 80
[activate]
timeout = "60s"
[[claim]]
vg = "docker"
match = { path = "pci-*", min_size = "10GiB", max_size = "2TiB", rotational = false }
limit = 8
mode = "ask"
settle = "5s"
[[raw_pool]]
name = "devpool"
data = "/srv/data"
metadata = "/dev/disk/by-id/wwn-1"
block_size = "128KiB"
low_water = 100
options = ["skip_block_zeroing"]
[consumer.docker]
unit = "docker.service"
on_recovered = "restart"
"""
_DOCUMENT = {
    "guard": {"pools": ["*/*"], "resync": "30s", "sources": ["udev", "timer"]},
    "policy": {"data_threshold": 75, "step": "20%", "min_step": "1GiB", "headroom": "0.5h"},
    "pool": {"vg/lv": {"max_size": "10TiB", "vg_reserve": "1.25%"}, "loop:a": {"min_step": 0}},
    "activate": {"timeout": "90s"},
    "claim": [{"vg": "docker", "match": {"serial": "*", "min_size": "1GiB"}, "settle": "250ms"}],
    "raw_pool": [{"name": "a", "data": "/a", "metadata": "/b", "max_size": "1GiB"}],
    "consumer": {"containerd": {"unit": "containerd.service", "on_recovered": "none"}},
}
_WORDS = (
    "0.000001ms", "999999999.999999h", "0h", "1s", "99999999999999KiB", "0.0001%", "9999.9999%",
    "0%", "50%", "1 GiB", "1GiB\n", "10min", "7B", "loop:", "loop:x", "vg/lv", "\u0661GiB",
)  # fmt: skip


def check_text(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "dmguard.toml").write_bytes(data)
        (root / "conf.d").mkdir()
        (root / "conf.d" / "more.toml").write_bytes(data)
        try:
            settings = load_settings(root)
        except ConfigError as error:
            assert str(root) in str(error)
            return
    # Only to see whether it is one whole: what was meant is shown by check_values.
    assert parse_settings(show_settings(settings)) == settings


def check_values(data: bytes) -> None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    try:
        settings = parse_settings(document)
    except SettingsError:
        return
    assert parse_settings(show_settings(settings)) == settings
    assert 50 <= settings.policy.data_threshold <= 99
    assert all(rule.match != type(rule.match)() for rule in settings.claims)


TARGETS = (
    Target("settings-text", mutated_text([_TEXT], _WORDS), check_text),
    Target("settings", mutated_json([_DOCUMENT], _WORDS), check_values),
)
