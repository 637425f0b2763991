"""What the first paint needs of the settings, without the validation that all the rest waits for."""

from __future__ import annotations

from collections.abc import Mapping

from tui_agent.config.paths import Paths


def early_theme(paths: Paths, environment: Mapping[str, str]) -> str:
    """Return the name of the theme that is set, or an empty string.

    Nothing is reported: `settings.load_settings` names what is wrong once the session is opened.
    """
    theme = environment.get("TUI_AGENT_THEME", "")
    if theme or not paths.settings.exists():
        return theme
    from tui_agent.config.toml_file import TomlFileError, read_toml

    try:
        file = read_toml(paths.settings)
    except TomlFileError:
        return ""
    value = file.values.get("theme", "") if file else ""
    return value if isinstance(value, str) else ""
