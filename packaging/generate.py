"""PYTHONPATH=. generate.py FOLDER: what is made from the tables of the code.

Man pages, completions and the journal's catalog.
"""

import argparse
import json
import os
import sys
import textwrap
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmguard import __version__
from dmguard.app.cli import build_parser
from dmguard.core.codes import CODES, Code
from dmguard.core.settings import SETTINGS, Setting

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
    text: str
    usage: str
    arguments: tuple[Argument, ...]

    @property
    def words(self) -> Iterator[tuple[str, str]]:
        """What can stand on the command line after its name, each with what it means."""
        for argument in self.arguments:
            for word in argument.flags or argument.choices:
                yield word, argument.help


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
    return Command(name, summary, parser.description or summary, usage, tuple(arguments))


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
    where = f'"{released()}" "dmguard {__version__}" "System administration"'
    return f".TH {name.upper()} {section} {where}\n"


def released() -> str:
    """Of the package's changelog, when Debian's tools run this: the same in every build."""
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


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
    page += f"{roff(sentence(command.text))}\n"
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
    ("/var/lib/dmguard", "History, and the intent of the act under way."),
)


def man_program(commands: Iterable[Command], codes: Iterable[Code]) -> str:
    page = title("dmguard", 8)
    page += ".SH NAME\ndmguard \\- keep LVM thin pools from filling up\n"
    page += ".SH SYNOPSIS\n.B dmguard\n.I COMMAND\n[\\fIOPTION\\fR ...]\n"
    page += f".SH DESCRIPTION\n{roff(DESCRIPTION)}\n"
    page += ".SH COMMANDS\n" + "".join(map(show_command, commands))
    page += ".SH EXIT STATUS\n" + "".join(entry(f".B {code}", text) for code, text in EXITS)
    page += ".SH FILES\n" + "".join(entry(f".I {roff(path)}", text) for path, text in FILES)
    page += f".SH CODES\n{roff(ABOUT_CODES)}\n"
    for code in codes:
        page += entry(f".B {roff(code.code)}", f"{sentence(code.title)} {sentence(code.cure)}")
    page += ".SH SEE ALSO\n.BR dmguard.toml (5),\n.BR lvmthin (7),\n.BR dmeventd (8),\n"
    return page + ".BR lvextend (8)\n"


DESCRIPTION = """\
dmguard grows LVM thin pools, data and metadata, before those who write on them feel it.
Events only wake it: each time it reads the state from the kernel and from LVM, plans, acts
under a lock, and reads again. The agent and the commands are the same program and share
that lock.
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
    section = ""
    for setting in settings:
        if setting.section != section:
            section = setting.section
            page += f".SS [{roff(section)}]\n"
        page += show_setting(setting)
    page += f".SS [pool.\\(dqvg/lv\\(dq]\n{roff(ABOUT_POOLS)}\n"
    return page + ".SH SEE ALSO\n.BR dmguard (8),\n.BR lvmthin (7)\n"


ABOUT_SETTINGS = """\
With no file at all every LVM thin pool is guarded within its volume group. An unknown key or
a bad value is an error that names the file and the key: it stops a start, and leaves a reload
on the last good configuration. Sizes are an integer with B, KiB, MiB, GiB or TiB; shares are
N%; durations a number with ms, s, min or h. The command dmguard config check reads the files
and tells what is wrong with them.
"""
ABOUT_POOLS = """\
Any setting of [policy], for this pool alone.
"""


def show_setting(setting: Setting) -> str:
    default = json.dumps(setting.default)
    return entry(
        f"\\fB{roff(setting.name)}\\fR = \\fI{roff(setting.kind)}\\fR",
        f"{sentence(setting.help)} Default: {default}.",
    )


# --- Completions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a command line these words can stand: after `given`."""

    given: str
    is_group: bool
    words: tuple[tuple[str, str], ...]


def find_places(commands: Iterable[Command]) -> list[Place]:
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    leaves = []
    for command in commands:
        *path, last = command.name.split()
        given = ""
        for word in path:
            groups[given].setdefault(word, "")
            given += f"{word} "
        groups[given][last] = command.help
        leaves.append(Place(f"{given}{last} ", is_group=False, words=tuple(command.words)))
    nodes = [Place(given, is_group=True, words=tuple(w.items())) for given, w in groups.items()]
    return nodes + leaves


def bash(places: Iterable[Place]) -> str:
    text = """\
_dmguard() {
    local word given="" words=""
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || given+="$word "
    done
    case $given in
"""
    for place in places:
        words = " ".join(word for word, _ in place.words)
        text += f'    "{place.given}"{"" if place.is_group else "*"}) words="{words}" ;;\n'
    return f"""{text}    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _dmguard dmguard
"""


def quote(text: str) -> str:
    """For zsh and fish, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def zsh(places: Iterable[Place]) -> str:
    text = """\
#compdef dmguard
_dmguard() {
    local word given=""
    local -a commands options
    for word in ${words[2,CURRENT-1]}; do
        [[ $word == -* ]] || given+="$word "
    done
    case $given in
"""
    for place in places:
        quoted = [quote(f"{word}:{about}") for word, about in place.words]
        commands = " ".join(word for word in quoted if not word.startswith("'-"))
        options = " ".join(word for word in quoted if word.startswith("'-"))
        end = "" if place.is_group else "*"
        text += f'    "{place.given}"{end}) commands=({commands}) options=({options}) ;;\n'
    return f"""{text}    esac
    _describe -t commands command commands || _describe -o option options || _files
}}
_dmguard "$@"
"""


def fish(places: Iterable[Place]) -> str:
    text = """\
function __dmguard_given
    set -l words (commandline -opc)
    set -l given (string match -v -- '-*' $words[2..])
    set -l line (string join '' -- $given' ')
    string match -q -- $argv[1] "$line"
end
complete -c dmguard -f
"""
    for place in places:
        when = quote(f'__dmguard_given "{place.given}{"" if place.is_group else "*"}"')
        for word, about in place.words:
            name = word.lstrip("-")
            kind = "-a" if name == word else "-s" if len(name) == 1 else "-l"
            text += f"complete -c dmguard -n {when} {kind} {name} -d {quote(about)}\n"
    return text


# --- Journal catalog ----------------------------------------------------------------------------


def catalog(codes: Iterable[Code]) -> str:
    return "\n".join(map(catalog_entry, codes))


def catalog_entry(code: Code) -> str:
    known = {"Cause": code.cause, "Danger": code.danger, "Cure": code.cure}
    text = "\n".join(textwrap.fill(f"{what}: {text}", 76) for what, text in known.items())
    return f"""\
-- {code.message_id}
Subject: {code.title}
Defined-By: dmguard
Documentation: man:dmguard(8)

Pool: @DMGUARD_POOL@
{text}

'dmguard explain {code.code}' tells the same.
"""


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    commands = list(read_commands(build_parser()))
    places = find_places(commands)
    codes = CODES.values()
    for name, text in {
        "dmguard.8": man_program(commands, codes),
        "dmguard.toml.5": man_settings(SETTINGS),
        "dmguard.bash": bash(places),
        "_dmguard": zsh(places),
        "dmguard.fish": fish(places),
        "dmguard.catalog": catalog(codes),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
