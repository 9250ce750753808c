"""Names of disks, hosts and addresses: others in their place, the same one for the same."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.bundle.names import Names

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

UDEV = """\
P: /devices/pci0000:00/0000:00:1f.2/ata1/block/sda
N: sda
S: disk/by-id/ata-WDC_WD10EZEX_WD-WX12A34567
S: disk/by-id/wwn-0x50014ee2b5c6d7e8
S: disk/by-path/pci-0000:00:1f.2-ata-1
E: ID_SERIAL=WDC_WD10EZEX_WD-WX12A34567
E: ID_SERIAL_SHORT=WD-WX12A34567
E: ID_WWN=0x50014ee2b5c6d7e8
E: ID_MODEL=WDC_WD10EZEX
E: ID_FS_UUID=AbCdEf-0123-0123-0123-0123-0123-UvWxYz
"""


def hide(*texts: str, hosts: tuple[str, ...] = ()) -> list[str]:
    names = Names(hosts)
    names.learn(texts)
    return [names.hide(text)[0] for text in texts]


def test_a_disk_has_one_name_in_all_that_is_told_of_it() -> None:
    ledger = '{"known": {"wwn:0x50014ee2b5c6d7e8": 1, "serial:WD-WX12A34567": 2}}'
    journal = "claimed /dev/sda (WD-WX12A34567), naa.50014ee2b5c6d7e8"
    devices = "IDTYPE=sys_wwid IDNAME=naa.50014ee2b5c6d7e8 DEVNAME=/dev/sda PVID=AbC"
    udev, *others = hide(UDEV, ledger, journal, devices)
    serial = udev.partition("ID_SERIAL_SHORT=")[2].partition("\n")[0]
    wwn = udev.partition("ID_WWN=0x")[2].partition("\n")[0]
    assert {serial, wwn} == {"<disk-id-1>", "<disk-id-2>"}
    assert f"ID_SERIAL=WDC_WD10EZEX_{serial}\n" in udev
    assert f"by-id/wwn-0x{wwn}\n" in udev
    assert "pci-0000:00:1f.2-ata-1\nE" in udev
    assert "AbCdEf-0123-0123-0123-0123-0123-UvWxYz" in udev
    assert others == [
        f'{{"known": {{"wwn:0x{wwn}": 1, "serial:{serial}": 2}}}}',
        f"claimed /dev/sda ({serial}), naa.{wwn}",
        f"IDTYPE=sys_wwid IDNAME=naa.{wwn} DEVNAME=/dev/sda PVID=AbC",
    ]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('match = { serial = "S4EV*" }', 'match = { serial = "<disk-id-1>*" }'),
        ("E: ID_SERIAL_SHORT=2000\nsize 2000", "E: ID_SERIAL_SHORT=<disk-id-1>\nsize 2000"),
        ('"serial": null, "wwn": null', '"serial": null, "wwn": null'),
        ("/dev/disk/by-id/nvme-Samsung_X9 x", "/dev/disk/by-id/<disk-id-1> x"),
        ("/dev/disk/by-id/dm-name-docker-pool", "/dev/disk/by-id/dm-name-docker-pool"),
        ("pci-0000:00:1-sas-0x5000c500a1b2c3d4-lun-0", "pci-0000:00:1-sas-<disk-id-1>-lun-0"),
        ("ip-10.1.2.3:3260-iscsi-iqn.2001-04.com.a:x-lun", "ip-<ip-1>:3260-iscsi-<target-1>"),
        ("10.1.2.3 and 10.1.2.4, 10.1.2.3.", "<ip-1> and <ip-2>, <ip-1>."),
        ("fe80::1%eth0 2001:db8::7", "<ip-1>%eth0 <ip-2>"),
        ("::1 127.0.0.1 12:34:56 253:0 2.03.16(2) 4.47.0",) * 2,
        ("lladdr 52:54:00:AB:cd:ef", "lladdr <mac-1>"),
        ('creation_host = "db7" # Linux db7', 'creation_host = "<host-1>" # Linux <host-1>'),
        ("https://reg.corp.lan:5000/v2/ reg.corp.lan", "https://<host-1>:5000/v2/ <host-1>"),
        ("s3://<redacted-url>@px.corp.lan/ corp.lan", "s3://<redacted-url>@<host-1>/ <host-2>"),
        ('"insecure-registries": ["r.lan:50"]', '"insecure-registries": ["<host-1>:50"]'),
        ("nas.lan:/export /srv nfs4 rw 0 0", "<host-1>:/export /srv nfs4 rw 0 0"),
        ("//nas7/share /srv cifs rw 0 0", "//<host-1>/share /srv cifs rw 0 0"),
        ("https://docs.docker.com/ github.com/moby", "https://docs.docker.com/ github.com/moby"),
    ],
)  # fmt: skip
def test_a_name_is_hidden_where_it_stands(text: str, hidden: str) -> None:
    assert hide(text) == [hidden]


def test_the_names_of_the_host_are_hidden_and_words_of_the_field_are_not() -> None:
    hosts = ("web-07.shop.example.net", "web-07", "docker", "localhost", "db")
    (text,) = hide("web-07 web-07.shop.example.net web-071 docker-thinpool db", hosts=hosts)
    assert text == "<host-1> <host-2> web-071 docker-thinpool db"


SERIAL = st.text(string.ascii_uppercase + string.digits, min_size=8, max_size=20)
AROUND = st.text(string.ascii_letters + string.digits + " \n\"'{}[]=:,.-/\\@#<>", max_size=80)


@given(st.lists(SERIAL, min_size=1, max_size=5, unique=True), AROUND, AROUND)
def test_no_serial_survives_wherever_it_stands(serials: list[str], one: str, two: str) -> None:
    udev = "\n".join(f"E: ID_SERIAL_SHORT={serial}" for serial in serials)
    journal = "\n".join(f"{one} /dev/disk/by-id/ata-X_{serial} {two}" for serial in serials)
    hidden = hide(journal, udev)
    assert not any(serial in text for serial in serials for text in hidden)
    told = [line.partition("=")[2] for line in hidden[1].split("\n")]
    assert len(set(told)) == len(serials)


def is_of_a_host(address: IPv4Address | IPv6Address) -> bool:
    return not (address.is_loopback or address.is_unspecified)


@given(st.ip_addresses(v=4).filter(is_of_a_host), st.ip_addresses(v=6).filter(is_of_a_host), AROUND)
def test_no_address_survives(four: IPv4Address, six: IPv6Address, around: str) -> None:
    for address in (str(four), str(six)):
        if address != "255.255.255.255":
            (hidden,) = hide(f"{around}\n from {address}, {around}")
            assert f" from {address}" not in hidden
