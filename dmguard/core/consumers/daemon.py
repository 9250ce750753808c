"""What a daemon's configuration says of storage: Docker's and iSulad's daemon.json and options."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dmguard.core.consumers.edit import BLANK
from dmguard.core.consumers.flags import Flags, flags_in
from dmguard.core.consumers.service import Service
from dmguard.core.consumers.unitfile import read_environment, split_words

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVER = "devicemapper"
MAPPER = "/dev/mapper/"


@dataclass(frozen=True, slots=True)
class Daemon:
    """What it says of storage. None: it does not say."""

    driver: str | None = None
    data_root: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    live_restore: bool = False

    def under(self, flags: Flags) -> Daemon:
        """With what the command line says as well, which comes before the file."""
        return replace(
            self,
            driver=flags.driver or self.driver,
            data_root=flags.data_root or self.data_root,
            options={**self.options, **options_of(list(flags.options))},
            live_restore=flags.live_restore or self.live_restore,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Service):
    """A daemon with a daemon.json: its file of options below /etc as well, and the data folder and
    the driver that it takes of itself.

    `deferred`: does it know the options for deferred removal and deletion?
    """

    data_root: str
    options: str
    unset: str
    deferred: bool

    def pool_in(self, text: str, flags: Flags) -> str | None:
        """The text of daemon.json and a command line → the device-mapper name of the pool."""
        daemon = (read(text) or Daemon()).under(flags)
        if (daemon.driver or self.unset) != DRIVER:
            return None
        return pool_name(daemon.options.get("dm.thinpooldev", ""))


def pool_name(device: str) -> str | None:
    """The value of dm.thinpooldev → the device-mapper name of the pool.

    A path of another kind is none that a driver can use: it strips this prefix and no other.
    """
    name = device.removeprefix(MAPPER)
    return name if name and "/" not in name else None


def split_option(option: str) -> tuple[str, str]:
    """`dm.fs=xfs` → name and value. The drivers do not tell capitals from small letters."""
    name, _, value = option.partition("=")
    return re.sub(r"^devicemapper\.", "dm.", name.strip().lower()), value.strip()


def options_of(options: object) -> dict[str, str]:
    """A list of options by name; of one that is given twice the last counts."""
    texts = options if isinstance(options, list) else []
    return dict(split_option(text) for text in texts if isinstance(text, str))


def min_free(value: str) -> int | None:
    """The percentage that the driver reads; None if it refuses to start with it."""
    found = re.fullmatch(r"(\d{1,2})%", value)
    return int(found[1]) if found else None


def read(text: str) -> Daemon | None:
    """What the text of a daemon.json says; None when it cannot be read."""
    try:
        # Docker from 23 on reads over a byte order mark.
        text = text.removeprefix("\ufeff")
        document = json.loads(text, parse_int=float) if text.strip(BLANK) else {}
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    driver = document.get("storage-driver")
    root = document.get("data-root", document.get("graph"))
    return Daemon(
        driver=driver if isinstance(driver, str) and driver else None,
        data_root=root if isinstance(root, str) and root else None,
        options=options_of(document.get("storage-opts")),
        live_restore=document.get("live-restore") is True,
    )


def read_options(text: str) -> Flags:
    """A file of options, as distributions have it in /etc/sysconfig: DOCKER_STORAGE_OPTIONS=…"""
    values = read_environment(text).values()
    return flags_in(word for value in values for word in split_words(value))
