"""The header: what is left of it when space is short."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui_agent.ui.header import HeaderData, header_content

FORK = HeaderData(
    workspace="/home/ada/work/clients/acme/backend", branch="main", model="claude-sonnet-4-5-20250929", mode="ask",
    title="fix the failing login test (fork)", sandbox="bubblewrap", home="/home/ada",
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("waiting", [0, 1])
def test_at_any_width_the_title_tells_a_fork(width: int, offline: bool, waiting: int) -> None:
    shown = header_content(replace(FORK, offline=offline, waiting=waiting), width)
    if width >= 80:
        assert shown.cell_length <= width
        assert " · fix" in shown.plain
        assert shown.plain.endswith(" (fork)")
    assert ("1 waiting: F4" in shown.plain) == bool(waiting)
    assert "ask mode" in shown.plain
    assert "backend" in shown.plain
    assert ("offline practice model" in shown.plain) == offline


def test_where_there_is_room_nothing_is_cut() -> None:
    shown = header_content(FORK, 200).plain
    assert "…" not in shown
    for part in (
        "~/work/clients/acme/backend (main)",
        "claude-sonnet-4-5-20250929",
        "sandbox: bubblewrap",
        FORK.title,
    ):
        assert part in shown


def test_what_warns_is_never_left_out() -> None:
    shown = header_content(
        replace(FORK, sandbox="none", mode="bypass", read_only="another window holds it"), 80
    ).plain
    for part in ("READ-ONLY", "BYPASS", "sandbox: none"):
        assert part in shown
