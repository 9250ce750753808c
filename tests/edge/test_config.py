"""edge/config: files in, settings out, and errors that say where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dmguard.core.settings import Settings
from dmguard.edge.config import ConfigError, config_files, load_settings

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_no_files_mean_the_defaults(tmp_path: Path) -> None:
    assert config_files(tmp_path / "none") == ()
    assert load_settings(tmp_path / "none") == Settings()


def test_files_are_read_main_first_then_parts_by_name(tmp_path: Path) -> None:
    parts = [write(tmp_path, f"conf.d/{name}.toml", "") for name in ("20-b", "10-a", "9-c")]
    write(tmp_path, "conf.d/README", "no TOML")
    (tmp_path / "conf.d" / "directory.toml").mkdir()
    main = write(tmp_path, "dmguard.toml", "")
    assert config_files(tmp_path) == (main, parts[1], parts[0], parts[2])


def test_later_files_replace_single_keys_and_keep_the_others(tmp_path: Path) -> None:
    write(tmp_path, "dmguard.toml", '[policy]\ndata_threshold = 60\nstep = "1GiB"\n')
    write(tmp_path, "conf.d/10.toml", "[policy]\ndata_threshold = 65\nmetadata_threshold = 55\n")
    write(tmp_path, "conf.d/20.toml", '[policy]\ndata_threshold = 70\n[guard]\nresync = "5s"\n')
    settings = load_settings(tmp_path)
    assert settings.policy.data_threshold == 70
    assert settings.policy.metadata_threshold == 55
    assert str(settings.policy.step) == "1GiB"
    assert settings.resync == 5


def test_a_list_is_replaced_whole(tmp_path: Path) -> None:
    write(tmp_path, "dmguard.toml", '[guard]\npools = ["a/*", "b/*"]\n')
    write(tmp_path, "conf.d/10.toml", '[guard]\npools = ["c/*"]\n')
    assert load_settings(tmp_path).pools == ("c/*",)


def test_one_pools_section_can_be_spread_over_files(tmp_path: Path) -> None:
    write(tmp_path, "dmguard.toml", '[pool."vg/my-pool"]\ndata_threshold = 55\n')
    write(tmp_path, "conf.d/10.toml", '[pool."vg/my-pool"]\nmetadata_threshold = 56\n')
    write(tmp_path, "conf.d/20.toml", "[policy]\ndata_threshold = 90\nmetadata_threshold = 91\n")
    policy = load_settings(tmp_path).overrides["vg/my-pool"]
    assert (policy.data_threshold, policy.metadata_threshold) == (55, 56)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policy]\ndata_threshold = 101\n", "policy.data_threshold: 101 is not an integer"),
        ('[policy]\ndata_threshold = "80%"\n', "policy.data_threshold: '80%' is not an integer"),
        ("[policy]\nstep = 20\n", "policy.step: 20 must be a text in quotes"),
        ('[policy]\nmin_step = "1GB"\n', "policy.min_step: '1GB' is not a size"),
        ('[guard]\nresync = "0.5s"\n', "guard.resync: '0.5s' is not between 1s and 24h"),
        ('[guard]\npools = "a/b"\n', "guard.pools: expected a list"),
        (
            '[guard]\nsources = ["cron"]\n',
            "guard.sources: 'cron' is not one of udev, journal, dm-event, dbus, timer",
        ),
        ("[[claim]]\nmatch = {}\n", "claim 1.match: it must say which disks"),
        ('[[claim]]\nvg = "a b"\n', "claim 1.vg: 'a b' is not the name of a volume group"),
        ('[claim]\nvg = "a"\n', "claim: expected a list of tables, each as [[claim]]"),
        ('[consumer.docker]\nunit = "x"\n', "consumer.docker.unit: 'x' is not the name of a serv"),
        ("[consumer.podman]\n", "unknown consumer 'podman'; known are docker, containerd"),
        ('[activate]\ntimeout = "2h"\n', "activate.timeout: '2h' is longer than 1h"),
        ("policy = 3\n", "policy: expected a section"),
        ('[pool."pool"]\n', 'pool."pool": one pool, as [pool.'),
        ('[pool."vg/*"]\nmax_size = "1GiB"\n', 'pool."vg/*": one pool, as [pool.'),
        ('[pool."vg/pool"]\nstep = "x"\n', "pool.\"vg/pool\".step: 'x' is neither a share"),
    ],
)
def test_an_error_names_the_file_and_the_key(tmp_path: Path, text: str, said: str) -> None:
    write(tmp_path, "dmguard.toml", "[policy]\ndata_threshold = 80\n")
    bad = write(tmp_path, "conf.d/50-bad.toml", text)
    write(tmp_path, "conf.d/60-good.toml", "[policy]\ndata_threshold = 81\n")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"{bad}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[polcy]\n", "unknown section 'polcy'; did you mean policy?"),
        ("[policy]\ndata_treshold = 80\n", "unknown key 'data_treshold'; did you mean data_thr"),
        ('[pool."a/b"]\nmax_siz = "1GiB"\n', "unknown key 'max_siz'; did you mean max_size?"),
        ("[guard]\nzzz = 1\n", "unknown key 'zzz'; known are pools, resync, sources"),
    ],
)
def test_a_slip_of_the_pen_is_told_what_was_meant(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, "dmguard.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


RAW = '[[raw_pool]]\nname = "{}"\ndata = "/x/{}"\nmetadata = "/y/{}"\n'


def test_what_is_wrong_in_two_files_together_is_told_by_the_second(tmp_path: Path) -> None:
    write(tmp_path, "dmguard.toml", RAW.format("p", 1, 1))
    write(tmp_path, "conf.d/10.toml", RAW.format("q", 2, 2))
    assert [rule.name for rule in load_settings(tmp_path).raws] == ["p", "q"]
    bad = write(tmp_path, "conf.d/20.toml", RAW.format("p", 3, 3))
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"{bad}: raw_pool 3: p is given twice")


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "conf.d/10.toml", "[policy]\ndata_threshold = 80\n")
    link = tmp_path / "conf.d/20.toml"
    link.symlink_to("/dev/null")
    assert load_settings(tmp_path).policy.data_threshold == 80
    link.unlink()
    link.symlink_to(tmp_path / "none")
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"{link}: ")


@pytest.mark.parametrize("text", ["a = " + "[" * 50_000, "a = " + "9" * 5000], ids=["deep", "long"])
def test_what_toml_cannot_hold_is_told_by_its_file(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "conf.d/10.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("text", ["[policy", "a = ", "[policy]\nstep = 1\nstep = 2\n", "\x00"])
def test_a_file_that_is_no_toml_is_told_by_name(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, "conf.d/10.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "(at " in str(caught.value)


def test_a_file_that_is_not_utf8_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "dmguard.toml"
    path.write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"dmguard\.toml: 'utf-8' codec"):
        load_settings(tmp_path)
