"""The header line: where, with which model, how careful, and what is waiting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from tui_agent.text import inert_line
from tui_agent.ui.line import Line

SHORT_BELOW = 100
"""Cells under which the workspace gives way to what matters more."""
SHORT_PATH = 16
"""Cells of the workspace's path that a short header shows, from its end."""

OFFLINE = "offline practice model: not a language model"


@dataclass(frozen=True, slots=True)
class HeaderData:
    """What the header shows. `waiting` counts what waits for the person."""

    workspace: str = ""
    branch: str = ""
    model: str = ""
    mode: str = ""
    title: str = ""
    offline: bool = False
    sandbox: str = ""
    read_only: str = ""
    waiting: int = 0
    home: str = ""


class Header(Line):
    """One line at the top. What matters most stands first; the title gives way when space is short."""

    data = HeaderData()

    def show(self, data: HeaderData) -> None:
        """Show other data."""
        if data != self.data:
            self.data = data
            self._paint()

    def on_resize(self) -> None:
        """A narrow line leaves out more."""
        self._paint()

    def _paint(self) -> None:
        self.content = header_content(self.data, self.size.width)


def header_content(data: HeaderData, width: int) -> Content:
    """Return the header's text for `width` cells, styled by theme variables only."""
    parts: list[Content | str | tuple[str, str]] = []
    if data.waiting:
        parts += [(f" ▲ {data.waiting} waiting: F4 ", "bold $background on $warning"), " "]
    if data.read_only:
        parts += [(f"READ-ONLY: {data.read_only}", "bold $warning"), " · "]
    where = inert_line(data.workspace)
    if data.home and (where == data.home or where.startswith(data.home + "/")):
        where = "~" + where[len(data.home) :]
    if width < SHORT_BELOW and len(where) > SHORT_PATH:
        where = "…" + where[1 - SHORT_PATH :]
    parts.append((where or "starting …", "bold"))
    if data.branch:
        parts.append((f" ({inert_line(data.branch)})", "$foreground-muted"))
    if data.offline:
        parts += [" · ", (OFFLINE, "$warning")]
    elif data.model:
        parts += [" · ", (inert_line(data.model), "$primary")]
    if data.mode:
        style = "bold $background on $error" if data.mode == "bypass" else ""
        label = "BYPASS: runs without asking" if data.mode == "bypass" else f"{inert_line(data.mode)} mode"
        parts += [" · ", (label, style)]
    if data.sandbox:
        held = data.sandbox not in {"none", "reduced"}
        label = "sandbox" if held and width < SHORT_BELOW else f"sandbox: {inert_line(data.sandbox)}"
        parts += [" · ", (label, "$foreground-muted" if held else "$warning")]
    if data.title:
        parts += [" · ", (inert_line(data.title), "$foreground-muted")]
    return Content.assemble(" ", *parts)


def git_branch(workspace: Path) -> str:
    """Return the checked-out branch of the folder's repository, or a short commit; empty without one.

    Reads `.git` itself: starting `git` would cost more than the whole first paint.
    """
    for folder in (workspace, *workspace.parents):
        dot_git = folder / ".git"
        try:
            if dot_git.is_file():
                target = dot_git.read_text(errors="replace").removeprefix("gitdir:").strip()
                dot_git = (folder / target).resolve()
            head = (dot_git / "HEAD").read_text(errors="replace").strip()
        except OSError:
            continue
        if head.startswith("ref:"):
            return head.removeprefix("ref:").strip().removeprefix("refs/heads/")
        return head[:8]
    return ""
