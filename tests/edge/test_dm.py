"""edge/dm: the kernel's lines and buffers, read as the kernel writes them."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.model import Mode, Usage
from dmguard.edge import dm
from dmguard.edge.dm import DmDevice, DmParseError, parse_status, parse_table
from tests.edge import dmfake
from tests.edge.dmfake import LV_ID, POOL_UUID, VG_ID, Device

CHUNK = 65536
NUMBERS = {
    "transaction_id": 7,
    "metadata": Usage(12 * 4096, 1024 * 4096),
    "data": Usage(50 * CHUNK, 100 * CHUNK),
}
NO_NUMBERS = {"transaction_id": None, "metadata": None, "data": None}
HEAD = "7 12/1024 50/100"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"{HEAD} - rw discard_passdown queue_if_no_space - 1024 ", (Mode.RW, False, False)),
        (f"{HEAD} - rw no_discard_passdown error_if_no_space - 256 ", (Mode.RW, False, True)),
        (f"{HEAD} - rw ignore_discard queue_if_no_space - 1024 ", (Mode.RW, False, False)),
        (f"{HEAD} 163 rw discard_passdown queue_if_no_space - ", (Mode.RW, False, False)),
        (f"{HEAD} - rw discard_passdown queue_if_no_space", (Mode.RW, False, False)),
        (f"{HEAD} - rw", (Mode.RW, False, False)),
        (f"{HEAD} - rw discard_passdown queue_if_no_space needs_check 9 ", (Mode.RW, True, False)),
        (
            f"{HEAD} - out_of_data_space discard_passdown queue_if_no_space - 1024 ",
            (Mode.OUT_OF_DATA, False, False),
        ),
        (
            f"{HEAD} - out_of_data_space discard_passdown error_if_no_space - 1024 ",
            (Mode.OUT_OF_DATA, False, True),
        ),
        (
            f"{HEAD} - ro discard_passdown queue_if_no_space needs_check 1024 ",
            (Mode.RO, True, False),
        ),
        (
            f"{HEAD} - ro ignore_discard error_if_no_space - 1024 field_to_come",
            (Mode.RO, False, True),
        ),
    ],
)
def test_a_status_line_says_mode_check_and_what_happens_when_full(
    line: str, expected: tuple[Mode, bool, bool]
) -> None:
    status = parse_status(line, CHUNK)
    assert (status.mode, status.needs_check, status.errors_when_full) == expected
    assert {name: getattr(status, name) for name in NUMBERS} == NUMBERS


@pytest.mark.parametrize("word", ["Fail", "Error", "Fail ", " Error\n"])
def test_a_pool_that_failed_has_no_numbers(word: str) -> None:
    status = parse_status(word, CHUNK)
    assert str(status.mode) == word.strip()
    assert {name: getattr(status, name) for name in NO_NUMBERS} == NO_NUMBERS


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-",
        "Fail Fail",
        "fail",
        "7 12/1024 50/100 -",
        "7 12/1024 50/100 rw",
        "7 12/1024 50/100 - wr discard_passdown",
        "7 12/1024 50/100 - rwx",
        "7 12/1024 -50/100 - rw",
        "7 12 50/100 - rw",
        "x 12/1024 50/100 - rw",
        "7 12/1024 50/100 - rw_now -",
        "\u0667 12/1024 50/100 - rw",
    ],
)
def test_any_other_status_line_is_refused(line: str) -> None:
    with pytest.raises(DmParseError, match="unknown status"):
        parse_status(line, CHUNK)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("253:1 253:2 128 25600 1 skip_block_zeroing ", (CHUNK, 25600)),
        ("253:1 253:2 2048 0 2 error_if_no_space ignore_discard ", (1 << 20, 0)),
        ("253:1 253:2 128 1", (CHUNK, 1)),
        ("253:1 253:2 128 1 0 ", (CHUNK, 1)),
    ],
)
def test_a_table_line_says_chunk_and_low_water(line: str, expected: tuple[int, int]) -> None:
    assert parse_table(line) == expected


@pytest.mark.parametrize("line", ["", "253:1 253:2 0 1 0", "253:1 253:2 128", "253:1 253:2 x 1 0"])
def test_any_other_table_line_is_refused(line: str) -> None:
    with pytest.raises(DmParseError, match="unknown table"):
        parse_table(line)


WORDS = st.sampled_from(
    ["7", "0", "1/2", "50/100", "-", "rw", "ro", "out_of_data_space", "Fail", "Error", "128", "\n"]
)
LINES = st.one_of(st.text(), st.lists(WORDS).map(" ".join))


@given(LINES)
def test_no_line_raises_anything_but_its_own_error(line: str) -> None:
    kept: list[object] = []
    with contextlib.suppress(DmParseError):
        kept.append(parse_status(line, CHUNK).mode)
    with contextlib.suppress(DmParseError):
        kept.append(parse_table(line)[0] > 0)
    assert all(kept)


COUNT = st.integers(0, 2**64 - 1)


@given(COUNT, COUNT, COUNT, COUNT, COUNT, st.sampled_from(["rw", "ro", "out_of_data_space"]))
def test_every_number_lands_in_its_place(
    txn: int, used_meta: int, meta: int, used: int, total: int, mode: str
) -> None:
    line = f"{txn} {used_meta}/{meta} {used}/{total} - {mode} discard_passdown queue_if_no_space - "
    status = parse_status(line, CHUNK)
    assert status == dm.Status(
        Mode(mode),
        transaction_id=txn,
        metadata=Usage(used_meta * 4096, meta * 4096),
        data=Usage(used * CHUNK, total * CHUNK),
    )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "s390x", "riscv64"])
def test_requests_have_the_numbers_of_the_kernels_headers(machine: str) -> None:
    numbers = [dm.request_number(command, machine) for command in (0x00, 0x02, 0x07, 0x0C, 0x10)]
    assert numbers == [0xC138FD00, 0xC138FD02, 0xC138FD07, 0xC138FD0C, 0xC138FD10]


def test_a_list_is_decoded_record_by_record() -> None:
    devices = [
        Device("vg-root", "LVM-" + "R" * 64, (253, 0), 0),
        Device("docker-253:0-1234-pool", "", (253, 255), 3),
        Device("vg-pool-tpool", POOL_UUID, (253, 256), 4294967295),
        Device("x", "CRYPT-LUKS2-abc", (254, 1048575), 1),
        Device("n" * 127, "u" * 128, (4095, 70000), 12),
    ]
    found = list(dm.decode_list(dmfake.reply(dmfake.encode_list(devices))))
    assert found == [DmDevice(d.name, d.uuid, d.devno, d.event_nr) for d in devices]


def test_a_list_without_uuids_says_that_they_are_unknown() -> None:
    devices = [Device("a", POOL_UUID, (253, 1), 2), Device("longer", "", (253, 2), 0)]
    found = list(dm.decode_list(dmfake.reply(dmfake.encode_list(devices, uuids=False))))
    assert found == [DmDevice("a", None, (253, 1), 2), DmDevice("longer", None, (253, 2), 0)]


def test_an_empty_list_has_no_devices() -> None:
    assert list(dm.decode_list(dmfake.reply(struct.pack("=Q I", 0, 0) + b"\0" * 4))) == []


def test_a_target_is_decoded_in_bytes_and_none_without_a_table() -> None:
    device = Device("p")
    payload = dmfake.encode_target(device, "some words ")
    target = dm.decode_target(dmfake.reply(payload, targets=1))
    assert target == dm.Target("thin-pool", 12800 * 512, "some words ")
    assert dm.decode_target(dmfake.reply(payload, targets=0)) is None


@pytest.mark.parametrize(
    ("uuid", "ids"),
    [
        (POOL_UUID, (VG_ID, LV_ID)),
        (POOL_UUID.removesuffix("-tpool"), None),
        (POOL_UUID.replace("-tpool", "-tdata"), None),
        (POOL_UUID.replace("-tpool", "-pool"), None),
        (POOL_UUID + "x", None),
        ("", None),
        (None, None),
    ],
)
def test_a_pool_is_told_by_its_uuid_alone(uuid: str | None, ids: tuple[str, str] | None) -> None:
    assert DmDevice("any-name", uuid, (253, 0), 0).pool_ids == ids
