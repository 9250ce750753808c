"""A disk that LVM has begun to make a PV: known for that, and for nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmguard.core.halfpv import LABEL_SPACE, unmade
from tests.unit.pvhead import COMMITTED, HEADER, LABEL, PREPARED, TEXT, head, resigned, signed

BLANK = bytes(LABEL_SPACE)
AT, BEHIND, META, WRITTEN = 512, 1024, 4096, 4608

MOMENTS = {
    "header": ((META, HEADER),),
    "label": ((AT, LABEL), (META, HEADER)),
    "text": ((AT, LABEL), (META, HEADER), (WRITTEN, TEXT)),
    "prepared": ((AT, LABEL), (META, PREPARED), (WRITTEN, TEXT)),
    "label alone": ((AT, LABEL),),
    "blanked up to its label": ((AT, LABEL), (900_000, TEXT)),
}


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"], ids=["zeros", "flash"])
@pytest.mark.parametrize("pieces", MOMENTS.values(), ids=MOMENTS)
def test_what_lvm_wrote_before_a_group_has_the_disk_is_taken_off(
    pieces: tuple[tuple[int, bytes], ...], fill: bytes
) -> None:
    seen = head(*pieces, fill=fill)
    if fill == b"\xff" and not any(at == META for at, _ in pieces):
        assert seen[META:WRITTEN] == fill * 512, "an area that is blank, in flash's way"
    assert unmade(seen) == fill * LABEL_SPACE


NOT_HALF = {
    "blank": BLANK,
    "flash": b"\xff" * LABEL_SPACE,
    "committed": head((AT, LABEL), (META, COMMITTED), (WRITTEN, TEXT)),
    "committed, its text lost": head((AT, LABEL), (META, COMMITTED)),
    "committed, its label lost": head((META, COMMITTED), (WRITTEN, TEXT)),
    "ignored": head((AT, LABEL), (META, resigned(HEADER[:60] + b"\1" + HEADER[61:]))),
    "no metadata area": head((AT, signed(LABEL[:104] + bytes(16) + LABEL[120:])), (META, HEADER)),
    "two of them": head((AT, signed(LABEL[:120] + LABEL[104:120] + LABEL[136:])), (META, HEADER)),
    "a header that is none": head((AT, LABEL), (META, b"x" + HEADER[1:])),
    "a header of another place": head((AT, LABEL), (META, resigned(HEADER[:24] + bytes(8)))),
    "a label that is none": head((AT, LABEL[:40] + b"x" + LABEL[41:]), (META, HEADER)),
    "LVM1": head((AT, signed(LABEL[:24] + b"LVM1 001" + LABEL[32:])), (META, HEADER)),
    "a label elsewhere": head((1024, LABEL), (WRITTEN, TEXT)),
    "text alone": head((WRITTEN, TEXT)),
    "noise": bytes(range(256)) * 4096,
    "short": head((AT, LABEL))[:-1],
}


@pytest.mark.parametrize("seen", NOT_HALF.values(), ids=NOT_HALF)
def test_what_may_be_a_groups_or_anything_else_is_no_half(seen: bytes) -> None:
    assert unmade(seen) is None


def test_the_checksums_are_those_of_lvm() -> None:
    assert (signed(LABEL), resigned(HEADER), resigned(COMMITTED)) == (LABEL, HEADER, COMMITTED)


@given(at=st.one_of(st.integers(0, 511), st.integers(BEHIND, META - 1)), byte=st.integers(1, 255))
def test_what_is_beside_it_stays(at: int, byte: int) -> None:
    seen = bytearray(head(*MOMENTS["prepared"]))
    seen[at] = byte
    left = unmade(bytes(seen))
    assert left is not None
    assert [(where, left[where]) for where in range(META) if left[where]] == [(at, byte)]
    assert not left[META:].strip(b"\0")


@given(at=st.integers(0, 511), bit=st.integers(0, 7))
def test_of_a_label_or_header_with_one_wrong_bit_nothing_is_taken(at: int, bit: int) -> None:
    for begin in (AT, META):
        seen = bytearray(head(*MOMENTS["prepared"]))
        seen[begin + at] ^= 1 << bit
        assert unmade(bytes(seen)) is None
