"""generate.py FOLDER: man pages, completions and journal catalog, from the tables of the code."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dmguard import __version__
from dmguard.app.cli import build_parser
from dmguard.core.codes import CODES, Code
from dmguard.core.settings import SETTINGS, Setting

HOMEPAGE = "man:dmguard(8)"


# --- What the parser says -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or an operand when it has no flags."""

    flags: tuple[str, ...]
    value: str | None
    help: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    help: str
    usage: str
    arguments: tuple[Argument, ...]

    @property
    def options(self) -> tuple[Argument, ...]:
        return tuple(argument for argument in self.arguments if argument.flags)


def read_argument(action: argparse.Action) -> Argument:
    choices = tuple(map(str, action.choices)) if action.choices else ()
    shown = action.metavar if isinstance(action.metavar, str) else "|".join(choices)
    return Argument(
        flags=tuple(action.option_strings),
        value=None if action.nargs == 0 else shown or action.dest.upper(),
        help=" ".join((action.help or "").replace("%%", "%").split()),
        choices=choices,
    )


def read_command(parser: argparse.ArgumentParser, name: str, summary: str) -> Command:
    arguments = [
        read_argument(action)
        for action in parser._actions  # noqa: SLF001 - argparse has no other way to list them
        if not isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        and action.help is not argparse.SUPPRESS
    ]
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    return Command(name, summary, usage, tuple(arguments))


def read_commands(parser: argparse.ArgumentParser, prefix: str = "") -> Iterator[Command]:
    """Every command that can be given, `loop status` as one of two words."""
    for action in parser._actions:  # noqa: SLF001
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            continue
        summaries = {c.dest: c.help or "" for c in action._choices_actions}  # noqa: SLF001
        for word, child in action.choices.items():
            name = f"{prefix}{word}"
            below = list(read_commands(child, f"{name} "))
            yield from below or [read_command(child, name, summaries.get(word, ""))]


# --- Man pages ----------------------------------------------------------------------------------


def roff(text: str) -> str:
    """Text as roff takes it: nothing in it is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in text.splitlines())


def title(name: str, section: int) -> str:
    return f'.TH {name.upper()} {section} "" "dmguard {__version__}" "System administration"\n'


def entry(head: str, text: str) -> str:
    return f".TP\n{head}\n{roff(text)}\n"


def show_argument(argument: Argument) -> str:
    value = f" \\fI{roff(argument.value)}\\fR" if argument.value else ""
    if not argument.flags:
        return value.strip()
    return ", ".join(f"\\fB{roff(flag)}\\fR{value}" for flag in argument.flags)


def show_command(command: Command) -> str:
    rest = command.usage.partition(command.name)[2].strip()
    page = f".SS {roff(command.name)}\n.B dmguard {roff(command.name)}\n{roff(rest)}\n.PP\n"
    page += f"{roff(sentence(command.help))}\n"
    for argument in command.arguments:
        if argument.help and argument.flags != ("-h", "--help"):
            page += entry(show_argument(argument), sentence(argument.help))
    return page


def sentence(text: str) -> str:
    return text if not text or text.endswith((".", "?", ")")) else f"{text}."


EXITS = (
    ("0", "Done, or nothing to do."),
    ("1", "Failed."),
    ("2", "The command line or the configuration is wrong."),
    ("3", "Nothing matched."),
    ("4", "Refused by a safety rule."),
    ("75", "Busy: another command or the agent holds the lock."),
)
FILES = (
    ("/etc/dmguard/dmguard.toml", "The configuration; see dmguard.toml(5). It need not exist."),
    ("/etc/dmguard/conf.d/*.toml", "Read after it, in the order of their names."),
    ("/run/dmguard/state.json", "What only the agent knows, written again when it changes."),
    ("/var/lib/dmguard", "History, ignored disks and the intent of the act under way."),
)


def man_program(commands: Iterable[Command], codes: Iterable[Code]) -> str:
    page = title("dmguard", 8)
    page += ".SH NAME\ndmguard \\- keep LVM thin pools from filling up\n"
    page += ".SH SYNOPSIS\n.B dmguard\n.I COMMAND\n[\\fIOPTION\\fR ...]\n"
    page += f".SH DESCRIPTION\n{roff(DESCRIPTION)}\n"
    page += ".SH COMMANDS\n" + "".join(map(show_command, commands))
    page += ".SH EXIT STATUS\n" + "".join(entry(f".B {code}", text) for code, text in EXITS)
    page += ".B dmguard check\nanswers 0, 1, 2 or 3, as monitors expect.\n"
    page += ".SH FILES\n" + "".join(entry(f".I {roff(path)}", text) for path, text in FILES)
    page += f".SH CODES\n{roff(ABOUT_CODES)}\n"
    for code in codes:
        page += entry(f".B {roff(code.code)}", f"{sentence(code.title)} {sentence(code.cure)}")
    page += ".SH SEE ALSO\n.BR dmguard.toml (5),\n.BR lvmthin (7),\n.BR dmeventd (8),\n"
    return page + ".BR lvextend (8)\n"


DESCRIPTION = """\
dmguard sees a thin pool filling up, a disk arriving or a boot beginning, and acts before
anything stops. Events only wake it: each time it reads the state from the kernel and from
LVM, plans, acts under a lock, and reads again. The agent, the unit at boot and the commands
are the same program and share that lock.
"""
ABOUT_CODES = """\
Each act, refusal and alert carries one of these, in the journal as DMGUARD_REASON.
The command explain tells the cause, the danger and the cure.
"""


def man_settings(settings: Iterable[Setting]) -> str:
    page = title("dmguard.toml", 5)
    page += ".SH NAME\ndmguard.toml \\- configuration of dmguard\n"
    page += ".SH SYNOPSIS\n.I /etc/dmguard/dmguard.toml\n.br\n.I /etc/dmguard/conf.d/*.toml\n"
    page += f".SH DESCRIPTION\n{roff(ABOUT_SETTINGS)}\n.SH SETTINGS\n"
    tables: dict[str, list[Setting]] = defaultdict(list)
    for setting in settings:
        tables[setting.key.rpartition(".")[0]].append(setting)
    for table, members in tables.items():
        page += f".SS [{roff(table)}]\n" + "".join(map(show_setting, members))
    return page + ".SH SEE ALSO\n.BR dmguard (8),\n.BR lvmthin (7)\n"


ABOUT_SETTINGS = """\
With no file at all every LVM thin pool is guarded within its volume group, and no disk is
ever claimed. An unknown key or a bad value is an error that names the file and the key: it
stops a start, and leaves a reload on the last good configuration. Sizes are an integer with
B, KiB, MiB, GiB or TiB; shares are N%; durations a number with ms, s, min or h. The command
dmguard config check reads the files and tells what is wrong with them.
"""


def show_setting(setting: Setting) -> str:
    head = f"\\fB{roff(setting.key.rpartition('.')[2])}\\fR"
    text = f"{sentence(setting.help)} Default: {setting.default!r}. Example: {setting.example}"
    return entry(head, text)
