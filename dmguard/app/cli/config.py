"""dmguard config: the configuration in force, and whether the files are accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "config",
        help="the configuration in force",
        description="show: print every setting as the files and the defaults make it."
        " check: read the files and say what is wrong with them.",
    )
    parser.add_argument("what", choices=("show", "check"))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--root", type=Path, default=None, metavar="DIR", help="instead of /etc/dmguard"
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    from dmguard.app.cli import Exit
    from dmguard.app.say import complain, say, say_json
    from dmguard.app.toml import settings_toml
    from dmguard.core.settings import show_settings
    from dmguard.edge.config import CONFIG, ConfigError, config_files, load_settings

    root = options.root or CONFIG
    paths = [str(path) for path in config_files(root)]
    try:
        settings = load_settings(root)
    except ConfigError as error:
        if options.json:
            say_json({"ok": False, "files": paths, "error": str(error)})
        else:
            complain(str(error))
        return Exit.USAGE
    if options.json:
        say_json({"ok": True, "files": paths, "settings": show_settings(settings)})
    elif options.what == "check":
        say(f"accepted: {', '.join(paths) or 'no files, the defaults hold'}")
    else:
        say(settings_toml(settings))
    return Exit.DONE
