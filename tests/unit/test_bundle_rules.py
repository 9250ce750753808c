"""What is taken for a secret: a table of where one may stand, and none survives there."""

from __future__ import annotations

import json
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.bundle.rules import hide_secrets, hide_variables

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
LVM_ID = "PgdWfcTkNwvPgE7M3xJkq2Lb0sYz1aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("password=abc x", "password=<redacted-key>"),
        ("level=info password=abc x=1", "level=info password=<redacted-key> x=1"),
        ('a "password": "a b", "x": 1', 'a "password": "<redacted-key>", "x": 1'),
        (r'msg="{\"secret\":\"a b\",\"x\":1}"', r'msg="{\"secret\":\"<redacted-key>\",\"x\":1}"'),
        ("  passwd: a b", "  passwd: <redacted-key>"),
        ("DB_PASSWORD='a b' run", "DB_PASSWORD='<redacted-key>' run"),
        ("AWS_SECRET_ACCESS_KEY=abc", "AWS_SECRET_ACCESS_KEY=<redacted-key>"),
        ('x "tokens": ["a", "b"], 1', 'x "tokens": <redacted-key>, 1'),
        ('secret = """a\nb"""\nx = 1', 'secret = """<redacted-key>"""\nx = 1'),
        ("dockerd --key abc -H fd://", "dockerd --key <redacted-key> -H fd://"),
        ("dockerd --key=abc -H fd://", "dockerd --key=<redacted-key> -H fd://"),
        ('["--api-token", "abc"]', '["--api-token", "<redacted-key>"]'),
        ('"auth": "dXNlcjpwYXNz"', '"auth": "<redacted-key>"'),
        ("identitytoken = 'abc'", "identitytoken = '<redacted-key>'"),
        ("x Authorization: Bearer abc def", "x Authorization: <redacted-header>"),
        ('{"Authorization": "Basic a", "x": 1}', '{"Authorization": "<redacted-header>", "x": 1}'),
        ("sent bearer abcdef.ghi, x", "sent bearer <redacted-header>, x"),
        ("sent Basic dXNlcjpwYXNz, x", "sent Basic <redacted-header>, x"),
        ("http://u:p@host:3128/x", "http://<redacted-url>@host:3128/x"),
        ("http://u:p/w@d@host/x", "http://<redacted-url>@host/x"),
        (r'"http:\/\/u:p@host"', r'"http:\/\/<redacted-url>@host"'),
        ("HTTPS_PROXY=u:p/x@host:1", "HTTPS_PROXY=<redacted-url>@host:1"),
        ("proxy is u:p@host", "proxy is <redacted-url>@host"),
        ("c: 0 8 crypt aes-xts abcd 0 8:1 0", "c: 0 8 crypt aes-xts <redacted-dm-key> 0 8:1 0"),
        ("0 8 crypt a :32:logon:x 0 8:1 0", "0 8 crypt a <redacted-dm-key> 0 8:1 0"),
        ("internal_hash:hmac(sha256):ab 1", "internal_hash:hmac(sha256):<redacted-dm-key> 1"),
        ("[Service]\nEnvironment=A=b\nX=1", "[Service]\nEnvironment=<redacted-environment>\nX=1"),
        ("Environment=A=b \\\n# c\n  D=e\nX=1", "Environment=<redacted-environment>\nX=1"),
        ("x: Ignoring invalid environment assignment 'export A=b': /etc/default/docker",
         "x: Ignoring invalid environment assignment '<redacted-environment>"),
        ("x: Invalid environment assignment, ignoring: A b",
         "x: Invalid environment assignment, ignoring: <redacted-environment>"),
        (f"x\n{PEM}\ny", "x\n<redacted-pem>\ny"),
        ("x\n-----BEGIN EC PRIVATE KEY-----\nabc\n", "x\n<redacted-pem>"),
        ("join SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0x", "join <redacted-token>"),
        ("x " + "aB3/" * 16 + "\n", "x <redacted-token>\n"),
    ],
)  # fmt: skip
def test_a_secret_is_hidden_and_what_is_around_it_is_not(text: str, hidden: str) -> None:
    assert hide_secrets(text)[0] == hidden
    assert hide_secrets(hidden)[0] == hidden


@pytest.mark.parametrize(
    "text",
    [
        "docker-thinpool: 0 8388608 thin-pool 253:1 253:0 128 16384 1 skip_block_zeroing ",
        "luks: 0 8388608 crypt ",
        f"docker-thinpool-tpool  LVM-{LVM_ID}-tpool",
        f"container {DIGEST}: /var/lib/docker/devicemapper/mnt/{DIGEST}",
        "Reached target Basic System.",
        "ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock",
        '"storage-opts": ["dm.thinpooldev=/dev/mapper/docker-thinpool"],',
        "2026-11-28T11:40:00+0000 dockerd[612]: Non existing device docker-thinpool",
        "id = \"AbCdEf-0123-0123-0123-0123-0123-UvWxYz\"",
    ],
)  # fmt: skip
def test_evidence_is_left_as_it_is(text: str) -> None:
    assert hide_secrets(text) == (text, {})


BARE = st.text(string.ascii_letters + string.digits + "/+=@:!%&*-_.~^$", min_size=12, max_size=40)
SPACED = st.text(
    string.ascii_letters + string.digits + " /+=@:!%&*-_.~^$,;()[]{}<>|", min_size=12, max_size=40
).map(str.strip).filter(lambda text: len(text) >= 12)  # fmt: skip
AROUND = st.text(string.ascii_letters + string.digits + " \n\"'{}[]=:,.-/\\@#<>", max_size=80)
KEY = st.sampled_from(
    ["password", "MYSQL_PASSWD", "passphrase", "client_secret", "registry-token", "api_key",
     "AccessKey", "auth", "credentials", "tls.key", "PRIVATE_KEY"]
)  # fmt: skip


@given(AROUND, KEY, BARE, AROUND)
def test_no_bare_secret_survives(before: str, key: str, secret: str, after: str) -> None:
    for text in (f"{key}={secret}", f"{key}: {secret}", f"run --{key} {secret}"):
        assert secret not in hide_secrets(f"{before} {text} {after}")[0]


@given(AROUND, KEY, SPACED, AROUND)
def test_no_quoted_secret_survives(before: str, key: str, secret: str, after: str) -> None:
    document = json.dumps({key: secret})
    within = json.dumps({"msg": document})
    for text in (document, within, json.dumps({"x": within}), f"{key} = '{secret}'"):
        assert secret not in hide_secrets(f"{before}\n{text}\n{after}")[0]


@given(AROUND, KEY, SPACED, AROUND)
def test_no_secret_survives_to_the_end_of_its_line(
    before: str, key: str, secret: str, after: str
) -> None:
    hidden, _ = hide_secrets(f"{before}\n{key}=x{secret}\n{after}")
    assert secret not in hidden


@given(AROUND, BARE, st.sampled_from(["http", "https", "socks5", "s3"]), AROUND)
def test_no_secret_of_a_url_survives(before: str, secret: str, scheme: str, after: str) -> None:
    for text in (f"{scheme}://me:{secret}@host/x", f'"{scheme}://{secret}@host"'):
        assert secret not in hide_secrets(f"{before} {text} {after}")[0]


@given(AROUND, SPACED, AROUND)
def test_no_header_and_no_unit_variable_survives(before: str, secret: str, after: str) -> None:
    for text in (f"Authorization: {secret}", f"Proxy-Authorization: x {secret}"):
        assert secret not in hide_secrets(f"{before} {text}\n{after}")[0]
    for text in (f"Environment=A=x{secret}", f'  Environment="A=x{secret}" "B={secret}"'):
        assert secret not in hide_secrets(f"{before}\n{text}\n{after}")[0]


@given(AROUND, st.lists(st.text(string.hexdigits, min_size=32, max_size=64), min_size=1), AROUND)
def test_no_key_of_a_table_and_no_line_of_a_pem_survives(
    before: str, keys: list[str], after: str
) -> None:
    table = "\n".join(f"c: 0 8 crypt aes-xts-plain64 {key} 0 8:1 4096" for key in keys)
    hidden, _ = hide_secrets(f"{before}\n{table}\n{after}")
    assert not any(key in hidden for key in keys)
    lines = "\n".join(keys)
    pem = f"-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----"
    for text in (pem, json.dumps({"x": pem}), pem.partition("-----END")[0]):
        hidden, _ = hide_secrets(f"{before} {text} {after}")
        assert not any(key in hidden for key in keys)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("A=b\n\nB = c d", "A=<>\n\nB = <>"),
        ('A="b\nC=d\ne"\nF=g', "A=<>\n<>\n<>\nF=<>"),
        ("# words\n; X=y\nA=", "# words\n; X=<>\nA="),
        ("==> /etc/x <==\nb", "==> /etc/x <==\n<>"),
    ],
)
def test_variables_are_known_from_what_is_around_them(text: str, hidden: str) -> None:
    assert hide_variables(text)[0] == hidden.replace("<>", "<redacted-environment>")


@given(st.lists(st.tuples(st.sampled_from(["A", "export HTTP_PROXY", "# B"]), SPACED)))
def test_of_variables_the_names_alone_are_told(pairs: list[tuple[str, str]]) -> None:
    text = "\n".join(f"{name}=x{value} \\\n {value}" for name, value in pairs)
    hidden, counts = hide_variables(text)
    assert not any(value in hidden for _, value in pairs)
    assert [line for line in hidden.split("\n") if "=" in line] == [
        f"{name}=<redacted-environment>" for name, _ in pairs
    ]
    assert counts["environment"] == 2 * len(pairs)


@pytest.mark.parametrize(
    "piece",
    ["://", "token", "-", "--key", "proxy=", "a:", "key=[", "eyJ", "\\\"", "secret=\"", "AbC9",
     "-----BEGIN A-----", "1 1 crypt ", "Environment=\\\n", "password: "],
)  # fmt: skip
def test_no_text_holds_it_up(piece: str) -> None:
    """Anyone may write such a line to a journal; what is longer takes longer in proportion."""

    def seconds(size: int) -> float:
        began = time.process_time()
        hide_secrets(piece * (size // len(piece)))
        return time.process_time() - began

    assert seconds(200_000) < 5.0
