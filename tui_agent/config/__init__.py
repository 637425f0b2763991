"""Settings and folders: what the user configured, and where things are on disk.

This room is the ground: it imports nothing of the house above. `settings` (pydantic) is imported only by
those who need it, off the way to the first paint.
"""

from tui_agent.config.paths import Paths, SessionIdError, find_paths, project_settings

__all__ = ["Paths", "SessionIdError", "find_paths", "project_settings"]
