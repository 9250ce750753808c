"""Adds pools to a group's metadata, each like one that is there: manypools.py VG POOL COUNT WORD.

WORD is part of their names. lvcreate takes most of a second for each. Here LVM's own text of the
group is written anew with copies of the pool and its hidden volumes behind what is allocated, and
restored. Their metadata must be blank, as on a new disk: the kernel then makes a new pool of it.
"""

from __future__ import annotations

import random
import re
import string
import subprocess
import sys
import tempfile
from pathlib import Path

_SECTION = r"^\t\t{} {{\n\t\t\tid = .*?^\t\t}}\n"
"""One volume's, as LVM indents it."""


def sections(text: str, name: str) -> list[str]:
    volumes = text[text.index("logical_volumes {\n") :]
    return re.findall(_SECTION.format(name), volumes, re.DOTALL | re.MULTILINE)


def new_uuid() -> str:
    letters = string.ascii_letters + string.digits
    return "-".join("".join(random.choices(letters, k=k)) for k in (6, 4, 4, 4, 4, 4, 6))


def places(section: str) -> list[tuple[int, int]]:
    """First extent and count of what a volume has on the group's one PV."""
    found = re.findall(r'extent_count = (\d+)[^}]*?"pv\d+", (\d+)', section)
    return [(int(first), int(count)) for count, first in found]


def copies(text: str, pool: str, count: int, word: str) -> str:
    volumes = [sections(text, name)[0] for name in (pool, f"{pool}_tmeta", f"{pool}_tdata")]
    taken = [place for volume in volumes for place in places(volume)]
    low, high = min(first for first, _ in taken), max(sum(place) for place in taken)
    end = max(sum(place) for every in sections(text, r"\S+") for place in places(every))
    made = []
    for number in range(count):
        shift = end - low + number * (high - low)
        for volume in volumes:
            copy = re.sub(rf'\b{pool}(?=[ _"])', f"{pool}{word}x{number}", volume)
            copy = re.sub(r'id = "\S+"', f'id = "{new_uuid()}"', copy, count=1)
            made.append(
                re.sub(
                    r'("pv\d+"), (\d+)',
                    lambda found: f"{found[1]}, {int(found[2]) + shift}",  # noqa: B023 - used at once
                    copy,
                )
            )
    return "".join(made)


def main() -> None:
    vg, pool, count, word = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "vg")
        subprocess.run(["vgcfgbackup", "-q", "-f", file, vg], check=True)
        text = file.read_text()
        head, mark, rest = text.partition("logical_volumes {\n")
        file.write_text(head + mark + copies(text, pool, count, word) + rest)
        subprocess.run(["vgcfgrestore", "-q", "-y", "--force", "-f", file, vg], check=True)


main()
