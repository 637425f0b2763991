"""The keys that the footer shows."""

from __future__ import annotations

import pytest

from tui_agent.ui.hints import Hint, fitting, hints_content


@pytest.mark.parametrize("width", range(1, 60))
def test_no_key_of_the_footer_is_cut(width: int) -> None:
    offered = [
        Hint("● working 12 s"),
        Hint("^J", " new line", "ctrl+j"),
        Hint("F1", " help", "f1"),
        Hint("F2", " sessions"),
    ]
    shown = list(fitting(offered, width))
    assert hints_content(shown).cell_length <= max(width, 1)
    assert shown == offered[: len(shown)]
    longer = hints_content(offered[: len(shown) + 1]).cell_length
    assert len(shown) == len(offered) or longer > width
