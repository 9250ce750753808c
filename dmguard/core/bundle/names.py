"""Names that tell whose host it is: disks' serial numbers and WWNs, hosts, addresses.

Each gets a name in the order in which it is met, `<disk-id-1>`, and the same one has the same name
wherever it stands in a bundle, so that what belongs together can be seen.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DISK_VALUES = re.compile(
    r"""
    \b(?:ID_SERIAL(?:_SHORT)?|ID_WWN(?:_WITH_EXTENSION|_VENDOR_EXTENSION)?|ID_SCSI_SERIAL
        |SCSI_IDENT_(?:SERIAL|LUN_\w+|PORT_\w+)|DM_SERIAL|DM_WWN)=(?P<udev>[^\n]+)
    |"(?:serial|wwn)":\s*"(?P<json>[^"\n]+)"
    |\b(?:serial|wwn)\s*=\s*"(?P<toml>[^"\n]+)"
    |\b(?:serial|wwn):(?!\s)(?P<identity>[^\s"',\]]+)
    |IDTYPE=sys_\w+\s+IDNAME=(?P<lvm>\S+)
    |\bdevice_id\s*=\s*"(?P<backup>[^"\n]+)"
    """,
    re.VERBOSE,
)
_LINK = re.compile(r"(?<=by-id/)(?!dm-|lvm-|md-|<)(?P<link>[^\s\"',<]+)(?![^\s\"',]*<)")
_WWN = re.compile(r"\b(?:0x[56]|naa\.|eui\.)[0-9a-f]{15,32}\b")
_PREFIX = re.compile(r"(?:0x|naa\.|eui\.|t10\.)", re.IGNORECASE)
_HOSTS = re.compile(
    r"""
    \bcreation_host\s*=\s*"(?P<creator>[^"\n]+)"
    |\bsystem_id\s*=\s*"(?P<system>[^"\n]+)"
    |(?::(?:\\*/){2}|<redacted-url>@)(?P<url>[A-Za-z0-9][\w.-]*)
    |^(?P<nfs>[A-Za-z0-9][\w.-]*):/(?!/)\S*[ ]
    |^//(?P<cifs>[A-Za-z0-9][\w.-]*)/
    """,
    re.VERBOSE | re.MULTILINE,
)
_LISTS = re.compile(
    r'"(?:insecure-registries|registry-mirrors|dns-search)":\s*\[([^\]]{0,20000})\]'
)
_LISTED = re.compile(r'"(?:[a-z]+://)?([A-Za-z0-9][\w.-]*)')
_TARGET = re.compile(r"\b(?:iqn|nqn)\.\d{4}-\d{2}\.[^\s\"',;]+")
_MAC = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}(?![\w:])")
_IPV4 = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.<])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])")
_RUN = re.compile(r"(?:(?<![A-Za-z0-9])0[xX])?([A-Za-z0-9]+)")

# A host of such a name is not told from the word, and a bundle without the word would say nothing.
_WORDS = frozenset(
    (
        "address", "containerd", "data", "debian", "default", "dev", "disk", "dm", "dmguard",
        "docker", "host", "id", "ip", "isulad", "kernel", "key", "linux", "local", "localdomain",
        "localhost", "lvm", "mac", "node", "none", "null", "pool", "redacted", "root", "server",
        "system", "systemd", "target", "thin", "thinpool", "token", "ubuntu", "unknown", "url",
        "vg",
    )
)  # fmt: skip
_PUBLIC = (
    "containerd.io", "debian.org", "docker.com", "docker.io", "freedesktop.org", "github.com",
    "kernel.org", "python.org", "redhat.com", "ubuntu.com",
)  # fmt: skip


class Names:
    """First told all texts, so that a name is known in one that does not say what it is."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._known: dict[str, str] = {}
        self._index: dict[str, list[str]] = defaultdict(list)
        for host in hosts:
            self._learn_host(host)

    def learn(self, texts: Iterable[str]) -> None:
        """What these texts call a disk's or a host's name, to be found wherever it stands."""
        disks: set[str] = set()
        for text in texts:
            disks |= {_plain(value) for value in _values(_DISK_VALUES, text)}
            for value in _values(_HOSTS, text):
                self._learn_host(value)
            for listed in _LISTS.finditer(text):
                for name in _LISTED.findall(listed[1]):
                    self._learn_host(name)
        for value in sorted(filter(_is_telling, disks)):
            # The model and the number, say: it is enough to hide the number in it.
            if not any(_has(value, other) for other in disks if _is_telling(other)):
                self._add(value, "disk-id")

    def _learn_host(self, name: str) -> None:
        name = name.strip(".-_")
        if name.lower() in _WORDS or len(name) < 3 or _is_address(name) or _is_public(name):
            return
        self._add(name, "host")
        parent = name.partition(".")[2]
        if "." in parent and not _is_public(parent):
            self._add(parent, "host")

    def _add(self, value: str, kind: str) -> None:
        first = _RUN.match(value)
        if first is not None and value not in self._known:
            self._known[value] = kind
            self._index[first[1]].append(value)
            self._index[first[1]].sort(key=len, reverse=True)

    def hide(self, text: str) -> tuple[str, Counter[str]]:
        """The text with a given name for each, and how many of each kind there were."""
        counts: Counter[str] = Counter()

        def give(kind: str, value: str) -> str:
            counts[kind] += 1
            return self._name(kind, value)

        def at_place(found: re.Match[str], kind: str = "disk-id") -> str:
            group = found.lastgroup
            value = found[group or 0]
            # Partly hidden already, or what says that there is none.
            if "<disk-id-" in value or _plain(value).lower() in ("", "null", "none"):
                return found[0]
            begin, end = found.span(group or 0)
            whole, start = found[0], found.start()
            return whole[: begin - start] + give(kind, _plain(value)) + whole[end - start :]

        def address(found: re.Match[str]) -> str:
            return give("ip", found[0]) if _is_telling_address(found[0]) else found[0]

        text = "".join(self._known_hidden(text, counts))
        text = _DISK_VALUES.sub(at_place, text)
        text = _TARGET.sub(lambda found: give("target", found[0]), text)
        text = _LINK.sub(at_place, text)
        text = _WWN.sub(at_place, text)
        text = _MAC.sub(lambda found: give("mac", found[0].lower()), text)
        return _IPV6.sub(address, _IPV4.sub(address, text)), counts

    def _known_hidden(self, text: str, counts: Counter[str]) -> Iterator[str]:
        done = 0
        for run in _RUN.finditer(text):
            begin = run.start(1)
            if begin < done:
                continue
            for value in self._index.get(run[1], ()):
                end = begin + len(value)
                if text.startswith(value, begin) and not text[end : end + 1].isalnum():
                    kind = self._known[value]
                    counts[kind] += 1
                    yield text[done:begin] + self._name(kind, value)
                    done = end
                    break
        yield text[done:]

    def _name(self, kind: str, value: str) -> str:
        if (kind, value) not in self._given:
            number = 1 + sum(1 for known, _ in self._given if known == kind)
            self._given[kind, value] = f"<{kind}-{number}>"
        return self._given[kind, value]


def _values(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    for found in pattern.finditer(text):
        yield found[found.lastgroup or 0]


def _plain(value: str) -> str:
    """Without what says of which kind the number is, which is not there everywhere."""
    value = _PREFIX.sub("", value.strip(), count=1)
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", value)


def _is_telling(value: str) -> bool:
    """Is it no number, and no word, that stands in any text?"""
    if value.lower() in _WORDS or any(sign in value for sign in "*?["):
        return False
    return len(value) >= 8 or (len(value) >= 4 and not value.isdigit() and not value.isalpha())


def _has(value: str, other: str) -> bool:
    if value == other or other not in value:
        return False
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(other)}(?![A-Za-z0-9])", value) is not None


def _is_public(name: str) -> bool:
    return name.lower() in _PUBLIC or name.lower().endswith(tuple(f".{one}" for one in _PUBLIC))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_telling_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text == "255.255.255.255")
