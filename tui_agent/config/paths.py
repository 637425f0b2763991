"""Where things are on disk.

The data folder holds `index.db` and, for each session, `sessions/ID/session.db` and the spool folders of
its steps, `sessions/ID/steps/STEP/`. The configuration folder holds `settings.toml`, `themes/` and the
user's `AGENTS.md`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

APP = "tui-agent"
DATA_VARIABLE = "TUI_AGENT_DATA_DIR"
CONFIG_VARIABLE = "TUI_AGENT_CONFIG_DIR"

_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")


class SessionIdError(ValueError):
    """A session id that cannot be one, such as a path; it is never joined to a folder."""


@dataclass(frozen=True, slots=True)
class Paths:
    """The two folders of this installation. They need not exist yet."""

    data: Path
    config: Path

    @property
    def index(self) -> Path:
        """The database of all sessions: list, search, spend."""
        return self.data / "index.db"

    @property
    def sessions(self) -> Path:
        """The folder with one folder for each session."""
        return self.data / "sessions"

    @property
    def settings(self) -> Path:
        """The user's settings file."""
        return self.config / "settings.toml"

    def session_folder(self, session: str) -> Path:
        """Return the folder of a session. Raises `SessionIdError` for what cannot be an id."""
        if not _SESSION_ID.fullmatch(session):
            raise SessionIdError(f"not a session id: {session!r} (letters, digits, - and _ only)")
        return self.sessions / session

    def session_database(self, session: str) -> Path:
        """Return the journal of a session. Raises `SessionIdError` for what cannot be an id."""
        return self.session_folder(session) / "session.db"

    def session_ids(self) -> list[str]:
        """Return the ids of all sessions on disk, newest first, without opening any."""
        try:
            entries = list(self.sessions.iterdir())
        except OSError:
            return []
        return sorted((entry.name for entry in entries if (entry / "session.db").is_file()), reverse=True)


def find_paths(
    environment: Mapping[str, str], *, data_dir: Path | None = None, config_dir: Path | None = None
) -> Paths:
    """Return the folders to use: what is given, else the environment's, else the platform's defaults.

    `TUI_AGENT_DATA_DIR` and `TUI_AGENT_CONFIG_DIR` are the variables; empty counts as unset. Relative
    folders are taken from the current one.
    """
    data = data_dir or _folder(environment, DATA_VARIABLE)
    config = config_dir or _folder(environment, CONFIG_VARIABLE)
    if data is None or config is None:
        import platformdirs

        data = data or platformdirs.user_data_path(APP, appauthor=False)
        config = config or platformdirs.user_config_path(APP, appauthor=False)
    return Paths(data.expanduser().absolute(), config.expanduser().absolute())


def project_settings(workspace: Path) -> Path:
    """Return the settings file that a project may bring; see `settings.PROJECT_KEYS` for what it may say."""
    return workspace / ".tui-agent" / "settings.toml"


def _folder(environment: Mapping[str, str], variable: str) -> Path | None:
    value = environment.get(variable, "")
    return Path(value) if value else None
