"""The command line of a service, out of its unit file, drop-ins and variables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.consumers.unitfile import Service, read_environment, read_service

MAIN = """\
[Unit]
ExecStart=/not/this
[Service]
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-storage
ExecStart=/usr/bin/dockerd -H fd:// \\
# between
          $OPTIONS \\
          $DOCKER_STORAGE_OPTIONS --data-root=${ROOT}/docker
ExecReload=/bin/kill
"""
STORAGE = "-s devicemapper --storage-opt dm.thinpooldev=/dev/mapper/docker-thinpool"
FILES = {
    "/etc/sysconfig/docker": "# ours\nOPTIONS='--selinux-enabled'\nROOT=/srv/a b\n",
    "/etc/sysconfig/docker-storage": f'DOCKER_STORAGE_OPTIONS="{STORAGE}"\n',
}


def words(*texts: str) -> str:
    return " | ".join(read_service(texts).words(lambda path: FILES.get(path, "")))


def test_variables_become_words() -> None:
    expected = ["/usr/bin/dockerd", "-H", "fd://", "--selinux-enabled", *STORAGE.split()]
    assert words(MAIN) == " | ".join([*expected, "--data-root=/srv/a b/docker"])


@pytest.mark.parametrize(
    ("drop_in", "expected"),
    [
        ("[Service]\nExecStart=\nExecStart=/a -g '/x y'\n", "/a | -g | /x y"),
        ("[Service]\nExecStart=\n", ""),
        ("[Service]\nExecStart=\nExecStart=-@/a b $$x ${NONE} $NONE\n", "/a | b | $x | "),
        ("[Service]\nExecStart=\nExecStart=:/a $OPTIONS\n", "/a | $OPTIONS"),
        ("[Service]\nExecStart=\nExecStart=/a b=10%%\n", "/a | b=10%"),
        ("[Service]\nExecStart=\nExecStart=/a it's\n", "/a | it's"),
        (
            (
                '[Service]\nEnvironmentFile=\nEnvironment="OPTIONS=-D -s x" ROOT=/r\n'
                "ExecStart=\nExecStart=/a $OPTIONS ${OPTIONS} ${ROOT}\n"
            ),
            "/a | -D | -s | x | -D -s x | /r",
        ),
        (
            "[Service]\nEnvironment=OPTIONS=first\nExecStart=\nExecStart=/a $OPTIONS\n",
            "/a | --selinux-enabled",
        ),
        ("[Install]\nExecStart=\n; ExecStart=\n", words(MAIN)),
        ("ExecStart=\n", words(MAIN)),
        # A line ends where systemd ends one, and nowhere else.
        ("[Service]\nExecStart=\nExecStart=/a b\u2028c\x0cd\x85e\n", "/a | b\u2028c\x0cd\x85e"),
        ("[Service]\r\nExecStart=\r\nExecStart=/a \\\r\n  b\r\n", "/a | b"),
    ],
)
def test_a_drop_in_is_read_after_the_unit_file(drop_in: str, expected: str) -> None:
    assert words(MAIN, drop_in) == expected


def test_files_of_variables_are_named_without_their_dash() -> None:
    assert read_service([MAIN]).files == tuple(FILES)
    assert read_service([MAIN, "[Service]\nEnvironmentFile=\nEnvironmentFile=/b\n"]).files == (
        "/b",
    )


def test_a_masked_service_starts_nothing() -> None:
    assert read_service([""]) == Service()
    assert words("") == ""


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=b c\n", {"A": "b c"}),
        ("A='b  c' \"d\"\n", {"A": "b  c d"}),
        ("export A=b\n;B=c\n# C=d\nA-B=1\nA=\n", {"A": ""}),
        ("A=b \\\n  c\nD = e\n", {"A": "b c", "D": "e"}),
        ("A=it's\n", {"A": "it's"}),
        ("", {}),
    ],
)
def test_variables_are_read_from_a_file(text: str, variables: dict[str, str]) -> None:
    assert read_environment(text) == variables


@given(st.lists(st.text() | st.sampled_from(["[Service]\nExecStart=", "$A ${", "\\\n", "'"])))
def test_no_text_raises(parts: list[str]) -> None:
    service = read_service(["[Service]\nExecStart=" + "".join(parts), *parts])
    assert all(isinstance(word, str) for word in service.words(lambda _: "".join(parts)))
