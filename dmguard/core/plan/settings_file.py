"""A file of dmguard's own settings, as another tool's configuration or a live pool gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmguard.core.actions import Act, EditFile
from dmguard.core.host import AGENT
from dmguard.core.plan import Refusal, refuse
from dmguard.core.settings import SettingsError, parse_settings
from dmguard.core.toml import TomlError, load_toml

if TYPE_CHECKING:
    from dmguard.core.goals import KeepSettings
    from dmguard.core.model import State
    from dmguard.core.settings import Settings


def plan_settings(
    state: State, settings: Settings, goal: KeepSettings
) -> tuple[tuple[EditFile, ...], tuple[Refusal, ...]]:
    """Write it if there is none; one that says something else is another's, and so is a raw pool
    that the configuration has already: with both of them it would not be accepted any more.
    """
    there = state.host.text(goal.path) if state.host else None
    if there == goal.text:
        return (), ()
    if there is not None:
        return (), (_refuse(goal, "settings-there"),)
    try:
        new = parse_settings(load_toml(goal.text))
    except (SettingsError, TomlError) as error:
        return (), (_refuse(goal, "config-unclear", str(error)),)
    taken = {value for rule in settings.raws for value in (rule.name, rule.data, rule.metadata)}
    for rule in new.raws:
        if twice := sorted(taken & {rule.name, rule.data, rule.metadata}):
            return (), (_refuse(goal, "settings-there", f"raw_pool: {', '.join(twice)}"),)
    return (EditFile(goal.path, goal.text, "", "", "asked", reload=AGENT),), ()


def _refuse(goal: KeepSettings, code: str, detail: str = "") -> Refusal:
    return refuse(goal.path, code, Act.EDIT_FILE, detail)
