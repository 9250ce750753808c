"""Metadata crosses a threshold without any event of the kernel's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.lab.lvmkit import make_vg, pool_status
from tests.vm.conftest import on_each_kernel
from tests.vm.kit import MIB, NO_DMEVENTD, config, history, make_full_metadata, size_of, wait_for

if TYPE_CHECKING:
    from tests.vm.conftest import Factory


@on_each_kernel
def test_metadata_at_81_percent_of_an_idle_pool_grows_first_with_its_spare(
    machines: Factory,
) -> None:
    """Within one period of the timer, and before the data, which needs growth as well."""
    settings = config(guard='sources = ["timer"]\nresync = "4s"')
    m = machines(disks=[256 * MIB], append=NO_DMEVENTD, config=settings)
    make_vg(m, "vg", m.disks, extent="512k")
    make_full_metadata(m, "vg", "pool", data="2560k", chunks=40)

    m.run("lvchange -q -ay -K vg/pool")
    before = pool_status(m, "vg", "pool")
    used = 100 * before["meta_used"] / before["meta_total"]
    assert 79 < used < 85, used
    assert before["data_used"] * 100 > 75 * before["data_total"]
    activated = m.run("date +%s.%N").out

    acts = wait_for(
        "metadata and data grown",
        lambda: len(h := [e for e in history(m) if e["action"].startswith("extend")]) >= 2 and h,
    )

    assert [act["action"] for act in acts[:2]] == ["extend-metadata", "extend-data"]
    assert acts[0]["at"] - float(activated) < 4 + 4
    after = pool_status(m, "vg", "pool")
    assert after["meta_used"] * 100 < 70 * after["meta_total"]
    assert size_of(m, "vg", "pool") > before["size_bytes"]
    rows = m.run("lvs -a --noheadings --nosuffix --units b -o lv_name,lv_size vg").out.split()
    sizes = dict(zip(rows[::2], map(int, rows[1::2]), strict=True))
    spare = next(size for name, size in sizes.items() if "pmspare" in name)
    metadata = next(size for name, size in sizes.items() if "pool_tmeta" in name)
    print(f"metadata {used:.1f} % -> {metadata >> 10} KiB, spare {spare >> 10} KiB")
    assert metadata > 2 * MIB
    assert spare >= metadata
