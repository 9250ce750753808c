"""dmguard run: the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "run",
        help="the agent, in the foreground (dmguard.service)",
        description="Guard the pools until stopped. The service dmguard.service runs this. While a"
        " pool is within 10 points of a threshold there is a second process, dmguard-lvm, in which"
        " LVM is ready to grow it.",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say why nothing is done")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    import asyncio
    import logging
    import sys

    from dmguard.edge.config import load_settings
    from dmguard.edge.systemd import JournalHandler, JournalWriter

    settings = load_settings()
    writer = JournalWriter()
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        handlers=[JournalHandler(writer)],
    )
    # A growth goes through two threads, and each would wait for its turn for up to 5 ms.
    sys.setswitchinterval(0.0005)
    # asyncio says at its debug level which selector it uses, which helps nobody.
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        asyncio.run(_run(settings, writer))
    finally:
        writer.close()
    return 0


async def _run(settings: Any, writer: Any) -> None:
    from dmguard.app.agent import PATIENCE_S, Agent
    from dmguard.app.wiring import Reach, open_loop
    from dmguard.edge.bus import SystemBus
    from dmguard.edge.files import Lock
    from dmguard.loop.record import Paths

    # A second agent would tell everything twice.
    bus = SystemBus()
    reach = Reach(bus=bus, patience_s=PATIENCE_S, resident=True)
    with (
        Lock.acquire(Paths().agent),
        open_loop(settings, journal=writer, reach=reach) as loop,
    ):
        await Agent(loop, bus).run()
