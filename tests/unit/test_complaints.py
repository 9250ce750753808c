"""What of LVM's words means more than that it failed. They are those of a real machine."""

import pytest

from dmguard.core.codes import CODES
from dmguard.core.complaints import LASTING, meaning_of

CHECK = "  Check of pool vg/pool failed (status:1). Manual repair required!\n"
TRANSACTION = "  Thin pool vg-pool-tpool (254:2) transaction_id is 1, while expected 7.\n"
TABLE = (
    "  device-mapper: resume ioctl on  (254:2) failed: Invalid argument\n"
    "  Unable to resume vg-pool-tpool (254:2).\n"
)
MODULE = (
    "modprobe: FATAL: Module dm-thin-pool not found in directory /lib/modules/7.2.7\n"
    "  /sbin/modprobe failed: 1\n"
    "  Can't process LV vg/pool: thin-pool target support missing from kernel?\n"
)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (CHECK, "thin-check-failed"),
        (CHECK.replace(":1)", ":64)"), "thin-check-failed"),
        (TRANSACTION, "transaction-id-mismatch"),
        (TABLE, "pool-table-refused"),
        (
            f"  WARNING: something else\n{TABLE}  Failed to activate vg/pool.\n",
            "pool-table-refused",
        ),
        (MODULE, "thin-target-missing"),
        (TABLE.splitlines()[0], ""),
        ("  Can't get lock for vg.\n", ""),
        ("  device-mapper: resume ioctl on vg-pool failed: No space left on device\n", ""),
        ("", ""),
    ],
)
def test_words_are_told_by_their_code(words: str, code: str) -> None:
    assert meaning_of(words) == code


def test_every_meaning_is_explained() -> None:
    assert len(LASTING) == 4
    assert CODES.keys() >= LASTING
