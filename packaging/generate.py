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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import prose

from dmguard import __version__
from dmguard.app.cli import build_parser
from dmguard.core.actions import Act, Result
from dmguard.core.codes import CODES, Code
from dmguard.core.model import Trigger
from dmguard.core.settings import SETTINGS, Setting

# --- What the parser says -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or an operand when it has no flags."""

    flags: tuple[str, ...]
    value: str | None
    help: str
    choices: tuple[str, ...]
    takes_file: bool


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
        takes_file=shown == "FILE" and action.nargs != "?",
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


def paragraphs(text: str) -> str:
    return "\n.PP\n".join(roff(each) for each in text.strip().split("\n\n")) + "\n"


def listing(lines: Iterable[str]) -> str:
    """Lines to be typed, as they are."""
    return ".PP\n.RS 4\n.nf\n" + "".join(f"{roff(line)}\n" for line in lines) + ".fi\n.RE\n"


def explain(code: Code) -> str:
    return entry(f".B {roff(code.code)}", f"{sentence(code.title)} {sentence(code.cure)}")


def man_program(commands: Iterable[Command], codes: Iterable[Code]) -> str:
    page = title("dmguard", 8)
    page += ".SH NAME\ndmguard \\- keep LVM thin pools alive\n"
    page += ".SH SYNOPSIS\n.B dmguard\n.I COMMAND\n[\\fIOPTION\\fR ...]\n"
    page += f".SH DESCRIPTION\n{paragraphs(prose.DESCRIPTION)}"
    page += ".SH COMMANDS\n" + "".join(map(show_command, commands))
    page += f".SH BOOT\n{paragraphs(prose.BOOT)}{listing(prose.BOOT_DROP_IN)}"
    page += f".PP\n{paragraphs(prose.CLUSTERS)}"
    page += f".SH OFFLINE\n{paragraphs(prose.OFFLINE)}"
    page += f".SH BUNDLE\n{paragraphs(prose.BUNDLE)}"
    page += ".SH EXIT STATUS\n" + "".join(entry(f".B {code}", text) for code, text in prose.EXITS)
    page += f".SH JOURNAL\n{paragraphs(prose.JOURNAL)}"
    page += "".join(
        entry(f".B {roff(name)}", show_field(name, text)) for name, text in prose.FIELDS
    )
    page += ".SH FILES\n" + "".join(entry(f".I {roff(path)}", text) for path, text in prose.FILES)
    page += f".SH CODES\n{paragraphs(prose.CODES)}" + "".join(map(explain, codes))
    page += ".SH SEE ALSO\n.BR dmguard.toml (5),\n.BR dmguard\\-claim (7),\n"
    page += ".BR dmguard\\-setup (7),\n.BR lvmthin (7),\n"
    return page + ".BR dmeventd (8),\n.BR lvextend (8)\n"


FIELD_VALUES: Mapping[str, Iterable[str]] = {
    "DMGUARD_ACTION": Act,
    "DMGUARD_RESULT": Result,
    "DMGUARD_TRIGGER": Trigger,
}


def show_field(name: str, text: str) -> str:
    values = ", ".join(FIELD_VALUES.get(name, ()))
    return f"{text}{values}." if values else text


def man_settings(settings: Iterable[Setting]) -> str:
    page = title("dmguard.toml", 5)
    page += ".SH NAME\ndmguard.toml \\- configuration of dmguard\n"
    page += ".SH SYNOPSIS\n.I /etc/dmguard/dmguard.toml\n.br\n.I /etc/dmguard/conf.d/*.toml\n"
    page += f".SH DESCRIPTION\n{paragraphs(prose.SETTINGS)}.SH SETTINGS\n"
    section = ""
    for setting in settings:
        if setting.section != section:
            section = setting.section
            page += f".SS {roff(prose.HEADS.get(section, f'[{section}]'))}\n"
            page += paragraphs(prose.SECTIONS[section]) if section in prose.SECTIONS else ""
        page += show_setting(setting)
    page += f".SS [pool.\\(dqvg/lv\\(dq]\n{roff(prose.POOLS)}\n"
    page += f".SH MATCHES\n{roff(prose.MATCH)}\n"
    page += "".join(entry(f".B {roff(key)}", text) for key, text in prose.MATCH_KEYS.items())
    page += ".SH SEE ALSO\n.BR dmguard (8),\n.BR dmguard\\-claim (7),\n.BR lvmthin (7)\n"
    return page


def show_setting(setting: Setting) -> str:
    default = "" if setting.default is None else f" Default: {json.dumps(setting.default)}."
    if setting.key in prose.REQUIRED:
        default = " Must be given."
    return entry(
        f"\\fB{roff(setting.name)}\\fR = \\fI{roff(setting.kind)}\\fR",
        f"{sentence(setting.help)}{default}",
    )


def man_claims(codes: Iterable[Code]) -> str:
    page = title("dmguard-claim", 7)
    page += ".SH NAME\ndmguard\\-claim \\- how dmguard adds disks to volume groups\n"
    page += f".SH DESCRIPTION\n{paragraphs(prose.CLAIM)}{listing(prose.CLAIM_RULE)}"
    page += f".SH WHAT IS CLAIMED\n{paragraphs(prose.CLAIMED)}"
    page += ".SH STEPS OF A CLAIM\n" + numbered(prose.STEPS)
    page += f".SH BY HAND\n{paragraphs(prose.BY_HAND)}"
    page += f".SH TAKING A DISK OUT\n{paragraphs(prose.TAKE_OUT_HEAD)}{listing(prose.TAKE_OUT)}"
    page += f".PP\n{paragraphs(prose.TAKEN_OUT)}.SH DISKS THAT RETURN OR GROW\n"
    page += paragraphs(prose.RETURNED)
    page += f".SH WHAT IS NOT CHECKED\n{paragraphs(prose.NOT_CHECKED)}"
    page += ".SH REASONS\nWhy a disk is not claimed, and what to do about it.\n"
    for code in filter(is_against_claims, codes):
        text = " ".join(map(sentence, (code.title, code.cause, code.cure)))
        page += entry(f".B {roff(code.code)}", text)
    page += ".SH SEE ALSO\n.BR dmguard (8),\n.BR dmguard.toml (5),\n.BR vgextend (8),\n"
    return page + ".BR wipefs (8)\n"


def man_setup() -> str:
    page = title("dmguard-setup", 7)
    page += ".SH NAME\ndmguard\\-setup \\- from bare disks to a guarded pool\n"
    page += f".SH DESCRIPTION\n{paragraphs(prose.SETUP)}{listing(prose.SETUP_EXAMPLE)}"
    page += ".SH STEPS\n" + numbered(prose.SETUP_STEPS)
    page += f".SH INTERRUPTED\n{paragraphs(prose.SETUP_AGAIN)}"
    page += f".SH CONSUMERS\n{paragraphs(prose.SETUP_CONSUMERS)}"
    page += f".SH TO UNDO IT\n{paragraphs(prose.SETUP_UNDO)}"
    page += f".SH FROM ANOTHER TOOL\n{paragraphs(prose.SETUP_IMPORT)}"
    page += ".SH SEE ALSO\n.BR dmguard (8),\n.BR dmguard\\-claim (7),\n.BR lvmthin (7),\n"
    return page + ".BR lvm.conf (5)\n"


def numbered(text: str) -> str:
    steps = text.strip().split("\n\n")
    return "".join(f".IP {number}. 4\n{roff(step)}\n" for number, step in enumerate(steps, 1))


def is_against_claims(code: Code) -> bool:
    if code.code in ("disk-claimed", "disk-grown", "disk-matches"):
        return False
    return code.code.startswith("disk-") or code.code in (
        "vg-limit",
        "vg-unknown",
        "ledger-unreadable",
    )


# --- Completions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where on a command line these words can stand: after `given`."""

    given: str
    is_group: bool
    words: tuple[tuple[str, str], ...]


VALUES = {"VG": "vgs --noheadings --options vg_name 2>/dev/null"}
"""What lists the values of an option, by the name that its help gives them."""


def find_listed(commands: Iterable[Command]) -> dict[str, str]:
    """Options whose values can be listed, each with the command that does it."""
    return {
        flag: VALUES[argument.value]
        for command in commands
        for argument in command.arguments
        for flag in argument.flags
        if argument.value in VALUES
    }


def find_files(commands: Iterable[Command]) -> tuple[str, ...]:
    """Options whose value is a file."""
    arguments = [argument for command in commands for argument in command.arguments]
    return tuple(flag for argument in arguments if argument.takes_file for flag in argument.flags)


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


def bash(places: Iterable[Place], listed: Mapping[str, str], files: Iterable[str]) -> str:
    text = """\
_dmguard() {
    local word given="" words="" current=${COMP_WORDS[COMP_CWORD]}
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || given+="$word "
    done
    case $given in
"""
    for place in places:
        words = " ".join(word for word, _ in place.words)
        text += f'    "{place.given}"{"" if place.is_group else "*"}) words="{words}" ;;\n'
    text += "    esac\n    case ${COMP_WORDS[COMP_CWORD-1]} in\n"
    for option, command in listed.items():
        text += f"    {option}) words=$({command}) ;;\n"
    for option in files:
        text += f'    {option}) words="" ;;\n'  # complete's default: files
    return f"""{text}    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}}
complete -o default -F _dmguard dmguard
"""


def quote(text: str) -> str:
    """For zsh and fish, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


def zsh(places: Iterable[Place], listed: Mapping[str, str], files: Iterable[str]) -> str:
    text = """\
#compdef dmguard
_dmguard() {
    local word given=""
    local -a commands options
    case ${words[CURRENT-1]} in
"""
    for option, command in listed.items():
        text += f"    {option}) compadd -- $({command}); return ;;\n"
    text += "".join(f"    {option}) _files; return ;;\n" for option in files)
    text += """\
    esac
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


def fish(places: Iterable[Place], listed: Mapping[str, str], files: Iterable[str]) -> str:
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
            values = f" -x -a {quote(f'({listed[word]} | string trim)')}" if word in listed else ""
            values = " -r -F" if word in files else values
            text += f"complete -c dmguard -n {when} {kind} {name}{values} -d {quote(about)}\n"
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
    places, listed = find_places(commands), find_listed(commands)
    files = find_files(commands)
    codes = CODES.values()
    for name, text in {
        "dmguard.8": man_program(commands, codes),
        "dmguard.toml.5": man_settings(SETTINGS),
        "dmguard-claim.7": man_claims(codes),
        "dmguard-setup.7": man_setup(),
        "dmguard.bash": bash(places, listed, files),
        "_dmguard": zsh(places, listed, files),
        "dmguard.fish": fish(places, listed, files),
        "dmguard.catalog": catalog(codes),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
