"""Settings as the TOML that would make them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmguard.core.settings import Settings


def settings_toml(settings: Settings) -> str:
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
