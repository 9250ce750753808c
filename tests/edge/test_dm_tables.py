"""edge/dm: pools that are none of LVM's, and the calls that change a live table."""

from __future__ import annotations

import pytest

from dmguard.core.bare import Table
from dmguard.core.model import Mode
from dmguard.edge.dm import Control, DmParseError, Live, Tables
from tests.edge import dmfake
from tests.edge.dmfake import POOL_UUID, Device, Kernel

NAME = "docker-98:0-15970-pool"
PARAMS = "7:1 7:0 128 32768 1 skip_block_zeroing"
OLD, NEW = Table(12800, PARAMS), Table(25600, PARAMS)


def pool(**changes: object) -> Device:
    device = Device(NAME, "", (254, 0), table=f"{PARAMS} ")
    for name, value in changes.items():
        setattr(device, name, value)
    return device


def tables(*devices: Device) -> tuple[Tables, Kernel]:
    kernel = Kernel(list(devices))
    return Tables(-1, kernel.ioctl), kernel


def test_a_bare_pool_is_read_with_its_table_and_what_it_lies_on() -> None:
    control = tables(pool(flags=dmfake.SUSPENDED), Device("vg-pool", POOL_UUID))[0]
    (found,) = control.read_bare()
    assert (found.name, found.table, found.is_docker) == (NAME, OLD, True)
    assert (found.metadata.devno, found.data.devno) == ((7, 1), (7, 0))
    assert (found.kernel.vg_uuid, found.kernel.mode, found.kernel.suspended) == ("", Mode.RW, True)
    assert [kernel.dm_name for kernel in control.read_pools()] == ["vg-pool"]
    assert [device.name for device in control.list_pools()] == [NAME, "vg-pool"]


def test_a_device_of_cryptsetup_is_not_asked_for_its_table_which_has_its_key() -> None:
    control, kernel = tables(
        Device("luks", "CRYPT-LUKS2-0123-luks", (253, 9), kind="crypt", table="aes 00ff 0 8:1 0")
    )
    assert (control.read_bare(), control.list_pools()) == ((), ())
    assert [call for call in kernel.asked if call[1] == "luks"] == []


def test_each_device_is_asked_once_what_it_is() -> None:
    control, kernel = tables(*(Device(f"c{i}", "", (254, i), kind="thin") for i in range(5)))
    assert control.read_bare() == control.read_bare() == ()
    asked = [name for command, name, _ in kernel.asked if command == dmfake.TABLE_STATUS]
    assert asked == ["c0", "c1", "c2", "c3", "c4"]


def test_one_without_a_table_yet_is_asked_again_and_one_that_came_anew_too() -> None:
    device = pool(targets=0)
    control, kernel = tables(device)
    assert control.read_bare() == ()
    device.targets = 1
    assert len(control.read_bare()) == 1
    kernel.devices.clear()
    assert control.read_bare() == ()
    kernel.devices.append(pool(kind="thin"))
    assert control.read_bare() == ()


def test_a_table_without_device_numbers_is_not_understood() -> None:
    with pytest.raises(DmParseError, match=f"^{NAME}: unknown table"):
        tables(pool(table="/dev/a /dev/b 128 0"))[0].read_bare()


def test_a_table_is_loaded_beside_the_live_one_and_swapped_in_by_one_call() -> None:
    control, kernel = tables(pool())
    assert control.read_live(NAME) == Live(OLD, suspended=False, inactive=False)
    assert control.read_loaded(NAME) is None
    control.load(NAME, NEW)
    assert control.read_live(NAME) == Live(OLD, suspended=False, inactive=True)
    assert control.read_loaded(NAME) == NEW
    kernel.asked.clear()
    control.resume(NAME)
    assert [command for command, _, _ in kernel.asked] == [dmfake.DEV_SUSPEND]
    assert control.read_live(NAME) == Live(NEW, suspended=False, inactive=False)


def test_what_was_loaded_can_be_dropped() -> None:
    control, _ = tables(pool())
    control.load(NAME, NEW)
    control.clear(NAME)
    control.resume(NAME)
    assert control.read_live(NAME) == Live(OLD, suspended=False, inactive=False)


def test_a_swap_that_fails_leaves_the_pool_suspended() -> None:
    control, _ = tables(pool(too_long=12800))
    control.load(NAME, NEW)
    with pytest.raises(OSError, match="Invalid argument"):
        control.resume(NAME)
    assert control.read_live(NAME) == Live(OLD, suspended=True, inactive=False)


def test_what_is_no_pool_has_no_live_table() -> None:
    assert tables()[0].read_live(NAME) is None
    assert tables(pool(targets=0))[0].read_live(NAME) is None
    assert tables(pool(kind="linear"))[0].read_live(NAME) is None
    assert isinstance(tables()[0], Control)
