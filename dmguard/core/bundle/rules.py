r"""Where a secret stands in a text: one table. Whatever a rule names is replaced by a marker.

In doubt a rule takes too much. A value without quotes goes on to the next white space, or to the
end of the line where the line begins with its name; one in quotes to the same quote, with as many
backslashes before it as the first one has: `\"` in JSON that stands in JSON.

Anyone may have put these texts together, so what a pattern can look ahead to is bounded: no text
takes more time than some constant for each of its characters.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """Each group of the pattern whose name begins with `hide` is replaced, the rest is kept."""

    name: str
    pattern: re.Pattern[str]


_QUOTE = r"\\*[\"']"
_VALUE = rf"""(?:
    (?P<triple>\"{{3}}|'{{3}})(?P<hide_triple>.*?)(?=(?P=triple)|\Z)
  | (?P<quote>{_QUOTE})(?P<hide_quoted>(?:(?!(?<!\\)(?P=quote))[^\n])*)
  | (?P<hide_list>\[[^\]]{{0,20000}}\]|\{{[^}}]{{0,20000}}\}})
  | (?P<hide_bare>\S+?)(?=(?:{_QUOTE})?[,;)}}\]]*(?:\s|\Z))
)"""
_WORD = r"""(?:
    (?:passw(?:or)?d|passphrase|secret|token|credential|(?:api|access|private|client)[_-]?key
      |(?:tls|ssl|ssh|master|shared|signing)key)
  | (?<![a-z0-9])(?:auth|key|pass|pwd|psk)(?![a-z0-9])
)"""
_OPTION = rf"(?<![\w-])--?[\w.-]{{0,64}}?{_WORD}[\w.-]{{0,64}}"
_HEADERS = r"(?:(?:proxy-)?authorization|x-registry-(?:auth|config)|(?:set-)?cookie)"
_IS = r"[ \t]*(?::=|=>|[:=])[ \t]*"


def _rule(name: str, pattern: str, flags: re.RegexFlag = re.IGNORECASE) -> Rule:
    return Rule(name, re.compile(pattern, flags | re.VERBOSE | re.DOTALL | re.MULTILINE))


_AS_IT_IS = re.RegexFlag(0)

RULES = (
    # systemd goes on after a backslash, and leaves out comments that stand between such lines.
    _rule(
        "environment",
        r"^[ \t]*Environment[ \t]*=[ \t]*"
        r"(?P<hide>(?:[^\n]*\\\n(?:[ \t]*[\#;][^\n]*\n)*)*[^\n]*)",
    ),
    # What systemd says of a line that it does not understand (src/core/execute.c).
    _rule("environment", r"\binvalid[ ]environment[ ]\w+(?:[ ]'|[^\n:]*:[ ])(?P<hide>[^\n]*)"),
    _rule(
        "pem",
        r"(?P<hide>-----BEGIN[ ]([A-Z0-9 ]+)-----.*?(?:-----END[ ]\2-----|\Z))",
        _AS_IT_IS,
    ),
    # The kernel's tables: the key itself, or what it is called in a keyring.
    _rule("dm-key", r"\d+[ ]\d+[ ](?:crypt|default-key|inlinecrypt)[ ]+\S+[ ]+(?P<hide>\S+)"),
    _rule("dm-key", r"\b(?:internal_hash|journal_crypt|journal_mac):[^\s:]+:(?P<hide>\S+)"),
    _rule("header", rf"{_HEADERS}(?:{_QUOTE})?{_IS}(?P<q>{_QUOTE})(?P<hide>[^\n]*?)(?=(?P=q))"),
    _rule("header", rf"{_HEADERS}{_IS}(?P<hide>[^\s\"'\\][^\n]*)"),
    # Up to the last @ of the word, because a password may have one, or a slash.
    _rule("url", r"(?<!\S)(?=\S*@)\S*?:(?:\\*/){2}(?P<hide>\S*)@"),
    _rule(
        "url",
        rf"proxy[\w-]{{0,64}}(?:{_QUOTE})?{_IS}(?:{_QUOTE})?(?P<hide>(?:(?!://)\S){{0,512}})@",
    ),
    _rule("url", r"(?<![\w.%+@:-])(?P<hide>[\w.%+-]{1,256}:[^\s@/\"']{1,4096})@(?=[\w\[])"),
    _rule(
        "key",
        rf"^[^\S\n]*(?:export[ ]+)?(?:\w[\w.-]*?)?{_WORD}[\w.-]{{0,64}}{_IS}"
        r"(?P<hide>[^\s\"'\[{\\][^\n]*)",
    ),
    _rule("key", rf"{_WORD}[\w.-]{{0,64}}(?:{_QUOTE})?{_IS}{_VALUE}"),
    _rule("key", rf"{_OPTION}(?:[ \t]+|(?:{_QUOTE})[ \t]*,\s*){_VALUE}"),
    _rule("header", r"\bbearer[ \t]+(?P<hide>[\w.~+/=-]{6,})"),
    _rule(
        "header",
        r"\bBasic[ \t]+(?=\S*[0-9=+/]|\S*[a-z][A-Z])(?P<hide>[A-Za-z0-9+/]{6,}={0,2})",
        _AS_IT_IS,
    ),
    _rule(
        "token",
        r"\b(?P<hide>eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?|AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}"
        r"|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|SWMTKN-[\w-]{16,}|dckr_pat_[\w-]{16,}"
        r"|hvs\.[\w-]{16,})",
        _AS_IT_IS,
    ),
    # A line of a key whose first line is not there. LVM's uuids are like it; digests are in hex.
    _rule(
        "token",
        r"(?<![A-Za-z0-9+/])(?<!LVM-)(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])(?=[A-Za-z+/]*[0-9])"
        r"(?P<hide>[A-Za-z0-9+/]{40,}={0,2})",
        _AS_IT_IS,
    ),
)


def marker(name: str) -> str:
    return f"<redacted-{name}>"


def hide_secrets(text: str) -> tuple[str, Counter[str]]:
    """The text with a marker for each secret, and how many of each kind there were."""
    counts: Counter[str] = Counter()
    for rule in RULES:
        text = _apply(rule, text, counts)
    return text, counts


def _apply(rule: Rule, text: str, counts: Counter[str]) -> str:
    groups = [name for name in rule.pattern.groupindex if name.startswith("hide")]
    done, pieces = 0, []
    for found in rule.pattern.finditer(text):
        for group in groups:
            if found[group] and found[group] != marker(rule.name):
                begin, end = found.span(group)
                pieces += [text[done:begin], marker(rule.name)]
                done = end
                counts[rule.name] += 1
    return "".join([*pieces, text[done:]])


_ASSIGNMENT = re.compile(r"\s*[#;]?\s*(?:export\s+)?[A-Za-z_]\w*\s*=\s*(\S.*)?")


def hide_variables(text: str) -> tuple[str, Counter[str]]:
    """A file of variables for a unit: their names alone. Comments are left to the other rules."""
    counts: Counter[str] = Counter()
    lines = []
    goes_on = ""
    for line in text.split("\n"):
        found = None if goes_on else _ASSIGNMENT.fullmatch(line)
        is_value = bool(goes_on or found) or not _is_aside(line)
        if found and found[1]:
            goes_on = _opened(found[1])
            lines.append(line[: found.start(1)] + marker("environment"))
        elif is_value and not found:
            goes_on = "" if _is_end(line, goes_on) else goes_on
            lines.append(marker("environment"))
        else:
            lines.append(line)
            continue
        counts["environment"] += 1
    return "\n".join(lines), counts


def _is_aside(line: str) -> bool:
    """Nothing, a comment, or what says which file begins."""
    return line.lstrip()[:1] in ("", "#", ";") or line.startswith("==> ")


def _opened(value: str) -> str:
    """What the next line still belongs to: a quote that is not closed, or a backslash."""
    quote = value[:1]
    if quote in ("'", '"') and (len(value) == 1 or not value.rstrip().endswith(quote)):
        return quote
    return "\\" if value.endswith("\\") else ""


def _is_end(line: str, opened: str) -> bool:
    return not line.endswith("\\") if opened == "\\" else line.rstrip().endswith(opened)
