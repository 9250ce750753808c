"""The one table of configuration. Man page, completions and `config show` are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmguard.core.settings import parsers
from dmguard.core.settings.values import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `parse` takes the TOML value, `show` gives one that it reads back."""

    key: str
    kind: str
    default: object
    help: str
    parse: Callable[[object], Any]

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        return self.key.partition(".")[2]


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "guard.pools",
        "list of globs",
        ["*/*"],
        "Which thin pools are guarded: shell globs of vg/lv.",
        parsers.parse_globs,
    ),
    Setting(
        "guard.resync",
        "duration",
        "30s",
        "The timer: everything is read again at least so often, from 1s to 24h.",
        parsers.parse_period,
    ),
    Setting(
        "guard.sources",
        "list of names",
        list(SOURCES),
        "What wakes the agent: udev (disks), journal (dmeventd's, the kernel's and the consumers'"
        " lines), dm-event (the kernel's own events), dbus (systemd's units) and timer. Leave one"
        " out only if something about it hurts; none of them is needed for another, but without"
        " dbus no consumer is started again.",
        parsers.parse_sources,
    ),
    Setting(
        "policy.data_threshold",
        "percent",
        75,
        "Percent of a pool's data in use above which it grows, from 50 to 99.",
        parsers.parse_percent,
    ),
    Setting(
        "policy.metadata_threshold",
        "percent",
        70,
        "Percent of a pool's metadata in use above which it grows, from 50 to 99.",
        parsers.parse_percent,
    ),
    Setting(
        "policy.step",
        "share or size",
        "20%",
        "A pool grows by at least this, as a share of its present size or a fixed size.",
        parsers.parse_step,
    ),
    Setting(
        "policy.min_step",
        "size",
        "1GiB",
        "Data grows by at least this much; cut to what the volume group has. 0 turns it off.",
        parsers.parse_bytes,
    ),
    Setting(
        "policy.headroom",
        "duration",
        "10min",
        "Data grows by enough for this much writing at the rate of the last minute, but for that"
        " never by more than half of what is free. 0 turns it off.",
        parsers.parse_span,
    ),
    Setting(
        "policy.max_size",
        "size",
        "",
        "No growth of the pool's data beyond this; empty means no ceiling.",
        parsers.parse_ceiling,
    ),
    Setting(
        "policy.vg_reserve",
        "share or size",
        "1%",
        "How much of the volume group is kept free of data, for metadata and its spare, up to 90%."
        " 0 turns it off.",
        parsers.parse_share,
    ),
    Setting(
        "activate.timeout",
        "duration",
        "60s",
        "How long a boot waits for disks of guarded pools that are late, up to 1h. It counts from"
        " the first activation of the boot, so that a consumer's restarts do not each wait again.",
        parsers.parse_timeout,
    ),
    Setting(
        "claim.vg",
        "name",
        None,
        "The volume group that the disks are for. It must exist.",
        parsers.parse_name,
    ),
    Setting(
        "claim.match",
        "table",
        None,
        "Which disks: path (udev's ID_PATH), link (any link below /dev), serial, wwn, model,"
        " vendor and bus are shell globs; min_size and max_size are sizes; rotational is true or"
        " false. All that is given must hold.",
        parsers.parse_match,
    ),
    Setting(
        "claim.limit",
        "number",
        None,
        "The most PVs that the volume group may come to have; none when it is left out.",
        parsers.parse_limit,
    ),
    Setting(
        "claim.mode",
        "auto or ask",
        "auto",
        "auto claims; ask shows the disk and waits for dmguard claim.",
        parsers.parse_claim_mode,
    ),
    Setting(
        "claim.settle",
        "duration",
        "5s",
        "A disk must stay as it is for so long before it is claimed. 0 turns it off.",
        parsers.parse_span,
    ),
    Setting(
        "raw_pool.name",
        "name",
        None,
        "The device-mapper name of the pool, as pool_name in containerd's configuration.",
        parsers.parse_dm_name,
    ),
    Setting(
        "raw_pool.data",
        "path",
        None,
        "What its data lies on: a file, or a device by a name that stays, as /dev/disk/by-id/NAME."
        " It must be there: nothing is made.",
        parsers.parse_place,
    ),
    Setting(
        "raw_pool.metadata",
        "path",
        None,
        "The same of its metadata. A pool must have been made on it: none is.",
        parsers.parse_place,
    ),
    Setting(
        "raw_pool.block_size",
        "size",
        "64KiB",
        "The pool's block size, a multiple of 64KiB. It must be the one that it was made with.",
        parsers.parse_block_size,
    ),
    Setting(
        "raw_pool.low_water",
        "number",
        None,
        "With so many blocks free the kernel raises its event; when it is left out, at"
        " policy.data_threshold.",
        parsers.parse_chunks,
    ),
    Setting(
        "raw_pool.options",
        "list of names",
        [],
        "Options of its table: skip_block_zeroing, ignore_discard, no_discard_passdown and"
        " error_if_no_space.",
        parsers.parse_options,
    ),
    Setting(
        "raw_pool.max_size",
        "size",
        "",
        "The pool's data grows up to this, if it is a file; empty means that it is not grown.",
        parsers.parse_ceiling,
    ),
    Setting(
        "consumer.unit",
        "unit",
        None,
        "The systemd service of the consumer: docker.service, containerd.service and isulad.service"
        " by themselves.",
        parsers.parse_unit,
    ),
    Setting(
        "consumer.on_recovered",
        "choice",
        None,
        "What is done once a pool is up that the service failed without: start-if-failed (of"
        " itself for docker and isulad), restart (for containerd, when its plugin is in error), or"
        " none.",
        parsers.parse_on_recovered,
    ),
)
