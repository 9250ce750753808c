"""dmguard config: the configuration in force, and whether the files are accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dmguard.core.settings import Settings


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
        say(_toml(settings))
    return Exit.DONE


def _toml(settings: Settings) -> str:
    """As TOML that can be read back; JSON's strings, numbers and lists are TOML's too."""
    from dmguard.core.settings import LISTED, show_settings

    document = show_settings(settings)
    rules = [(f"[[{name}]]", rule) for name in LISTED for rule in document.pop(name, ())]
    sections = [(f"[{name}]", document.pop(name)) for name in ("guard", "policy", "activate")]
    sections += rules
    for group, members in document.items():
        for name, values in members.items():
            head = name if name.isidentifier() else _quoted(name)
            sections.append((f"[{group}.{head}]", values))
    return "\n\n".join(
        f"{head}\n" + "\n".join(f"{key} = {_quoted(value)}" for key, value in values.items())
        for head, values in sections
    )


def _quoted(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_quoted(one)}" for key, one in value.items()) + " }"
    # Without escapes for what lies beyond the BMP: JSON's surrogate pairs are not TOML.
    return json.dumps(value, ensure_ascii=False)
