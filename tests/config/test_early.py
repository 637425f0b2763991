"""The theme of the first paint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_agent.config import Paths
from tui_agent.config.early import early_theme


@pytest.mark.parametrize(
    ("text", "variable", "theme"),
    [
        (None, "", ""),
        ('theme = "mine"', "", "mine"),
        ('theme = "mine"', "yours", "yours"),
        ("theme = 3", "", ""),
        ("theme = = ", "", ""),
    ],
)
def test_the_theme_that_is_set(tmp_path: Path, text: str | None, variable: str, theme: str) -> None:
    paths = Paths(tmp_path, tmp_path)
    if text is not None:
        paths.settings.write_text(text)
    assert early_theme(paths, {"TUI_AGENT_THEME": variable}) == theme
