"""edge/dm: the conversation with the control device."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dmguard.core.model import Mode, Usage
from dmguard.edge.dm import Control, DmDevice, DmParseError, DmUnavailableError
from tests.edge import dmfake
from tests.edge.dmfake import (
    LV_ID,
    POOL_UUID,
    TABLE_DEPS,
    TABLE_STATUS,
    VG_ID,
    Device,
    Kernel,
)

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 65536
OTHER_UUID = POOL_UUID.replace(LV_ID, "M" * 32)


def control(*devices: Device, kernel: Kernel | None = None) -> tuple[Control, Kernel]:
    kernel = kernel or Kernel(list(devices))
    return Control(-1, kernel.ioctl), kernel


def test_a_pool_is_read_with_every_field_in_its_place() -> None:
    device = Device(
        "vg-pool-tpool",
        POOL_UUID,
        (253, 4),
        9,
        status="3 20/1024 96/100 - out_of_data_space ignore_discard error_if_no_space - 1024 ",
        table="253:2 253:3 128 25 2 ignore_discard error_if_no_space ",
        flags=dmfake.SUSPENDED,
    )
    (pool,) = control(device)[0].read_pools()
    assert (pool.dm_name, pool.vg_uuid, pool.lv_uuid) == ("vg-pool-tpool", VG_ID, LV_ID)
    assert (pool.devno, pool.event_nr) == ((253, 4), 9)
    assert (pool.size, pool.chunk, pool.low_water) == (12800 * 512, CHUNK, 25)
    assert (pool.mode, pool.needs_check, pool.errors_when_full) == (Mode.OUT_OF_DATA, False, True)
    assert pool.data == Usage(96 * CHUNK, 100 * CHUNK)
    assert pool.metadata == Usage(20 * 4096, 1024 * 4096)
    assert pool.transaction_id == 3
    assert pool.suspended


def test_only_lvm_pools_are_read_in_the_order_of_their_names() -> None:
    other = POOL_UUID.replace(LV_ID, "M" * 32)
    dm_control, kernel = control(
        Device("z-pool", POOL_UUID),
        Device("root", "LVM-" + "R" * 64, kind="linear"),
        Device("docker-pool", ""),
        Device("a-pool", other),
    )
    assert [pool.dm_name for pool in dm_control.read_pools()] == ["a-pool", "z-pool"]
    assert {name for command, name, _ in kernel.asked if command == dmfake.TABLE_STATUS} == {
        "a-pool",
        "z-pool",
    }


def test_a_host_without_devices_has_no_pools() -> None:
    assert control()[0].read_pools() == ()


def test_the_buffer_grows_until_the_list_fits_and_stays_so() -> None:
    devices = [Device(f"device-{i:04}", POOL_UUID, (253, i)) for i in range(700)]
    dm_control, kernel = control(*devices)
    assert [device.name for device in dm_control.list_devices()] == [d.name for d in devices]
    first = list(kernel.sizes)
    assert first == [16384 << i for i in range(len(first))]
    assert len(first) > 2
    dm_control.list_devices()
    assert kernel.sizes[len(first) :] == [first[-1]]


def test_a_list_that_is_another_is_read_anew() -> None:
    devices = [Device("pool", POOL_UUID, (253, 1), 5), Device("plain", "", (253, 2))]
    dm_control, kernel = control(*devices)
    first = dm_control.list_devices()
    assert dm_control.list_devices() is first
    kernel.devices[0].event_nr += 1
    assert [device.event_nr for device in dm_control.list_devices()] == [6, 0]
    del kernel.devices[1]
    assert [device.name for device in dm_control.list_devices()] == ["pool"]


def test_a_list_without_uuids_is_completed_device_by_device() -> None:
    """As kernels before 5.11 answer."""
    kernel = Kernel(
        [Device("pool", POOL_UUID, (253, 1), 5), Device("plain", "", (253, 2)), Device("left")],
        uuids_in_list=False,
    )
    kernel.devices[2].gone = True
    assert control(kernel=kernel)[0].list_devices() == (
        DmDevice("pool", POOL_UUID, (253, 1), 5),
        DmDevice("plain", "", (253, 2), 0),
        DmDevice("left", None, (253, 0), 0),
    )


def test_a_list_with_uuids_costs_one_call() -> None:
    dm_control, kernel = control(Device("pool", POOL_UUID), Device("plain", ""))
    assert len(dm_control.list_devices()) == 2
    assert [command for command, _, _ in kernel.asked] == [dmfake.LIST]


def test_a_pool_that_went_meanwhile_is_left_out() -> None:
    other = POOL_UUID.replace(LV_ID, "M" * 32)
    dm_control, _ = control(Device("gone", POOL_UUID, gone=True), Device("here", other))
    assert [pool.dm_name for pool in dm_control.read_pools()] == ["here"]


@pytest.mark.parametrize("device", [Device("p", POOL_UUID, targets=0)])
def test_a_pool_without_a_live_table_is_left_out(device: Device) -> None:
    assert control(device)[0].read_pools() == ()


def test_a_device_with_a_pools_uuid_and_another_target_is_left_out() -> None:
    assert control(Device("p", POOL_UUID, kind="error"))[0].read_pools() == ()


@pytest.mark.parametrize("uuids", [True, False])
def test_any_other_error_of_the_kernel_is_raised(uuids: bool) -> None:  # noqa: FBT001 - a table
    kernel = Kernel([Device("p", POOL_UUID)], uuids_in_list=uuids)
    kernel.fails = OSError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError):
        control(kernel=kernel)[0].read_pools()


def test_a_line_that_is_not_understood_is_raised_with_the_devices_name() -> None:
    with pytest.raises(DmParseError, match=r"^vg-pool: unknown status 'what'"):
        control(Device("vg-pool", POOL_UUID, status="what"))[0].read_pools()
    with pytest.raises(DmParseError, match=r"^vg-pool: unknown table 'what'"):
        control(Device("vg-pool", POOL_UUID, table="what"))[0].read_pools()


def test_a_failed_pool_is_read_without_numbers() -> None:
    (pool,) = control(Device("p", POOL_UUID, status="Fail"))[0].read_pools()
    assert (pool.mode, pool.data, pool.metadata) == (Mode.FAIL, None, None)
    assert pool.chunk == CHUNK


def test_versions_are_numbers() -> None:
    assert control()[0].version() == (4, 48)


def test_no_control_device_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(DmUnavailableError, match="control: No such file or directory"):
        Control.open(str(tmp_path / "control"))


@pytest.mark.parametrize(("version", "accepted"), [((4, 36), False), ((4, 37), True)])
def test_a_kernel_that_is_too_old_is_refused_and_its_device_closed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: tuple[int, int],
    accepted: bool,  # noqa: FBT001 - a table
) -> None:
    (tmp_path / "control").touch()
    monkeypatch.setattr(Control, "version", lambda _: version)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - the descriptors, by name
    if accepted:
        Control.open(str(tmp_path / "control")).close()
    else:
        with pytest.raises(DmUnavailableError, match="older than"):
            Control.open(str(tmp_path / "control"))
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208


def stack() -> list[Device]:
    """A pool on two volumes, one of them striped over a disk and a multipath map."""
    return [
        Device("vg-pool-tpool", POOL_UUID, (253, 4), deps=((253, 2), (253, 300))),
        Device("vg-pool_tmeta", "LVM-" + "M" * 64 + "-tmeta", (253, 2), deps=((8, 16),)),
        Device("vg-pool_tdata", "LVM-" + "D" * 64, (253, 300), deps=((8, 16), (253, 9), (259, 1))),
        Device("mpatha", "mpath-1234", (253, 9), deps=((8, 32), (8, 48))),
    ]


def test_a_pool_lies_on_what_is_below_lvms_own_volumes() -> None:
    (pool,) = control(*stack())[0].read_pools()
    assert pool.leaves == {(8, 16), (253, 9), (259, 1)}


def test_a_volume_that_went_meanwhile_has_no_leaves() -> None:
    devices = stack()
    devices[2].gone = True
    (pool,) = control(*devices)[0].read_pools()
    assert pool.leaves == {(8, 16)}


def test_an_error_of_another_kind_below_a_pool_is_raised() -> None:
    kernel = Kernel(stack())
    answer = kernel.ioctl

    def ioctl(descriptor: int, request: int, buffer: bytearray) -> int:
        if request & 0xFF == dmfake.TABLE_DEPS:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return answer(descriptor, request, buffer)

    with pytest.raises(OSError, match="Cannot allocate"):
        Control(-1, ioctl).read_pools()


def test_a_list_of_many_devices_makes_no_other_call_dear() -> None:
    """The kernel copies the whole buffer in, however little of it is meant."""
    devices = [Device("pool", POOL_UUID)]
    devices += [Device(f"docker-{n:0100}", "", (253, n + 1), kind="thin") for n in range(1000)]
    dm_control, kernel = control(*devices)
    dm_control.read_pools()
    kernel.asked.clear()
    kernel.sizes.clear()
    (pool,) = dm_control.read_pools()
    assert pool.dm_name == "pool"
    sizes = [size for (command, *_), size in zip(kernel.asked, kernel.sizes, strict=True)]
    assert sizes[0] >= 1 << 17
    assert max(sizes[1:]) <= 4096


def test_what_a_pool_lies_on_is_asked_again_only_where_it_is_to_be_read_anew() -> None:
    below = Device("data", f"LVM-{VG_ID}{'D' * 32}", (253, 1), kind="linear", deps=((8, 16),))
    pool = Device("pool", POOL_UUID, (253, 9), deps=((253, 1),))
    dm_control, kernel = control(below, pool)
    dm_control.read_pools()
    below.deps = ((8, 32),)
    kernel.asked.clear()
    (kept,) = dm_control.read_pools(anew=False)
    assert TABLE_DEPS not in [command for command, *_ in kernel.asked]
    assert kept.leaves == {(8, 16)}
    (anew,) = dm_control.read_pools()
    assert anew.leaves == {(8, 32)}
    # Another that has its number by now.
    kernel.devices[1] = Device("pool", OTHER_UUID, (253, 9), deps=((8, 48),))
    (other,) = dm_control.read_pools(anew=False)
    assert other.leaves == {(8, 48)}


def test_a_device_that_has_the_name_of_one_that_went_is_looked_at() -> None:
    dm_control, kernel = control(Device("a", "", (253, 1), kind="thin"))
    assert dm_control.list_pools() == ()
    gone = kernel.devices.pop()
    dm_control.list_pools()
    kernel.devices.append(replace(gone, kind="thin-pool"))
    assert [device.name for device in dm_control.list_pools()] == ["a"]


def test_a_pool_that_is_kept_is_read_when_it_has_raised_an_event_or_is_another() -> None:
    one = Device("one", POOL_UUID, (253, 1), event_nr=1)
    two = Device("two", OTHER_UUID, (253, 2), event_nr=1)
    dm_control, kernel = control(one, two)
    kept = dm_control.read_pools()

    def asked() -> set[str]:
        kernel.asked.clear()
        dm_control.read_pools(kept=kept)
        return {name for command, name, _ in kernel.asked if command == TABLE_STATUS}

    assert asked() == set()
    two.event_nr = 2
    assert asked() == {"two"}
    kernel.devices[0] = replace(one, devno=(253, 7))
    assert asked() == {"one", "two"}
    kernel.devices = [two]
    assert [pool.dm_name for pool in dm_control.read_pools(kept=kept)] == ["two"]
