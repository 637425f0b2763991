"""The header line: where, with which model, how careful, and what is waiting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from tui_agent.text import inert_line
from tui_agent.ui.line import Line

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
    read_only: bool = False
    waiting: int = 0
    home: str = ""


class Header(Line):
    """One line at the top. What matters most stands first; the title gives way when space is short."""

    data = HeaderData()

    def show(self, data: HeaderData) -> None:
        """Show other data."""
        if data != self.data:
            self.data = data
            self.content = header_content(data)


def header_content(data: HeaderData) -> Content:
    """Return the header's text, styled by theme variables only."""
    parts: list[Content | str | tuple[str, str]] = []
    if data.waiting:
        parts += [(f" ▲ {data.waiting} waiting: F4 ", "bold $background on $warning"), " "]
    if data.read_only:
        parts += [("READ-ONLY: open in another window", "bold $warning"), " · "]
    where = inert_line(data.workspace)
    if data.home and (where == data.home or where.startswith(data.home + "/")):
        where = "~" + where[len(data.home) :]
    parts.append((where or "starting …", "bold"))
    if data.branch:
        parts.append((f" ({inert_line(data.branch)})", "$text-muted"))
    if data.offline:
        parts += [" · ", (OFFLINE, "$warning")]
    elif data.model:
        parts += [" · ", (inert_line(data.model), "$primary")]
    if data.mode:
        style = "bold $background on $error" if data.mode == "bypass" else ""
        label = "BYPASS: runs without asking" if data.mode == "bypass" else f"{inert_line(data.mode)} mode"
        parts += [" · ", (label, style)]
    if data.title:
        parts += [" · ", (inert_line(data.title), "$text-muted")]
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
