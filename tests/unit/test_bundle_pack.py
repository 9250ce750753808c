"""The files of a bundle: each part, its error, a manifest, and no secret in any of them."""

from __future__ import annotations

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.bundle.pack import MANIFEST, Member, Obtained, Packed, cut, pack
from dmguard.core.bundle.parts import Command, Files, Part, parts_of

PARTS = parts_of(("docker.service", "containerd.service"), ("/etc/docker/other.json",))
SECRET = st.text(string.ascii_letters + string.digits + "+@:!%&*-_.~", min_size=16, max_size=30)


def part(name: str = "a.txt", *, keep_end: bool = False) -> Part:
    return Part(name, Command(("lvm", "version")), keep_end=keep_end)


def contents(packed: Packed) -> dict[str, str]:
    return {member.name: member.data.decode() for member in packed.members}


def test_each_part_is_told_with_how_it_was_obtained_and_what_was_hidden() -> None:
    packed = pack(
        (
            Obtained(part("a.txt"), "password=abc\nfrom 10.1.2.3\n", "token: abc\n(status 5)"),
            Obtained(part("b.txt", keep_end=True), "x\n", dropped=7),
            Obtained(part("c.txt"), error="no answer within 15 s"),
            Obtained(part("d.txt")),
        ),
        (),
        "1.2",
    )
    files = contents(packed)
    assert list(files) == [MANIFEST, "a.txt", "a.txt.error", "b.txt", "c.txt.error"]
    assert files["a.txt"] == "password=<redacted-key>\nfrom <ip-1>\n"
    assert files["a.txt.error"] == "token: <redacted-key>\n(status 5)\n"
    by = "    by: lvm version\n"
    assert files[MANIFEST].partition("\n\na.txt")[2] == (
        f"  36 bytes\na.txt.error  33 bytes\n{by}"
        "    error: token: <redacted-key>\n    hidden: ip 1, key 2\n"
        f"b.txt  2 bytes\n{by}    left out: 7 characters at its beginning\n    hidden: nothing\n"
        f"c.txt.error  22 bytes\n{by}    error: no answer within 15 s\n    hidden: nothing\n"
        f"d.txt  empty\n{by}    hidden: nothing\n"
    )
    assert (packed.failed, packed.hidden) == (("c.txt",), {"key": 2, "ip": 1})


@given(SECRET, SECRET)
def test_no_planted_secret_is_in_any_file(secret: str, serial: str) -> None:
    serial = re.sub(r"[^A-Za-z0-9]", "7", serial)
    texts = (
        f'"proxies": {{"http-proxy": "http://me:{secret}@px.corp.lan:3128"}}',
        f"Nov 28 dockerd[1]: auth failed, Authorization: Bearer {secret}",
        f"vg-x: 0 2048 crypt aes-xts-plain64 {secret} 0 8:16 4096",
        f"[Service]\nEnvironment=A={secret}\n",
        f"E: ID_SERIAL_SHORT={serial}\nby web7 10.9.8.7 password={secret}",
    )
    obtained = [
        Obtained(one, texts[number % len(texts)], texts[(number + 1) % len(texts)])
        for number, one in enumerate(PARTS)
    ]
    packed = pack(obtained, ("web7",), "1.2")
    whole = "\n".join(f"{name}\n{text}" for name, text in contents(packed).items())
    for word in (secret, serial, "px.corp.lan", "web7", "10.9.8.7"):
        assert word not in whole
    assert len({member.name for member in packed.members}) == 1 + 2 * len(PARTS)


def test_a_file_of_variables_has_their_names_alone() -> None:
    (one,) = (one for one in PARTS if one.variables)
    packed = pack((Obtained(one, "==> /etc/default/docker <==\nA=b c\n"),), (), "1")
    assert packed.members[1] == Member(
        one.name, b"==> /etc/default/docker <==\nA=<redacted-environment>\n"
    )


@given(st.text("ab\n", max_size=60), st.integers(0, 30), st.booleans())
def test_what_is_too_long_loses_whole_lines(text: str, limit: int, keep_end: bool) -> None:  # noqa: FBT001 - of hypothesis
    kept, dropped = cut(text, limit, keep_end=keep_end)
    assert len(kept) <= limit or kept == text
    assert dropped == len(text) - len(kept)
    lost = text[:dropped] if keep_end else text[len(kept) :]
    assert text == (lost + kept if keep_end else kept + lost)
    first = lost if keep_end else kept
    assert first == "" or first.endswith("\n") or "" in (lost, kept)


CHANGING = re.compile(
    r"\b(?:vgcfgbackup|lvchange|vgchange|vgscan|pvscan|lvextend|create|remove|suspend|resume"
    r"|reload|message|--showkeys|trigger|settle|restart|start|stop|--vacuum\S*|--rotate)\b"
)


def test_no_part_changes_a_host_or_asks_for_keys() -> None:
    argvs = [part.how.argv for part in PARTS if isinstance(part.how, Command)]
    assert [argv for argv in argvs if CHANGING.search(" ".join(argv))] == []
    assert {argv[0] for argv in argvs} == {
        "blkid", "dmsetup", "dpkg-query", "journalctl", "lsblk", "lvm", "ps", "systemctl",
        "thin_check", "udevadm",
    }  # fmt: skip
    # Without a cache of its own blkid writes one; with its status a full pool is asked to commit.
    assert ("blkid", "-c", "/dev/null") in argvs
    assert ("dmsetup", "status", "--noflush") in argvs
    assert {argv[1] for argv in argvs if argv[0] == "systemctl"} == {"show", "cat", "--version"}


def test_consumers_are_told_of_by_their_own_units_and_files() -> None:
    by_name = {part.name: part.how for part in PARTS}
    assert isinstance(by_name["consumers/configuration.txt"], Files)
    assert "/etc/docker/other.json" in by_name["consumers/configuration.txt"].patterns
    terms = str(by_name["journal/consumers.txt"])
    # A container's output is written by dockerd, too, but not to its own output.
    assert "_SYSTEMD_UNIT=docker.service _TRANSPORT=stdout + UNIT=docker.service +" in terms
    # journalctl takes no + at the beginning.
    assert "8000 _SYSTEMD_UNIT=docker.service" in terms
