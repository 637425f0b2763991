"""The header line: where, with which model, how careful, and what is waiting."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tui_agent.text import inert_line
from tui_agent.ui.line import Line

SHORT_PATH, SHORTEST_PATH = 16, 10
"""Cells of the workspace's path that a short header shows, from its end."""
SHORT_TITLE = 16
"""Cells of the session's title for which the rest is shortened: enough to tell a fork from where it began."""

_BRACKETS = re.compile(r" \([^()]{1,12}\)$")

OFFLINE = "offline practice model: not a language model"
SHORT_OFFLINE = "offline practice model"


@dataclass(frozen=True, slots=True)
class HeaderData:
    """What the header shows. `waiting` counts what waits for the user, `folders` those added."""

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
    folders: int = 0


class Header(Line):
    """One line at the top. What matters most stands first; path, model and title give way when space is short."""

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
    """Return the header's text for `width` cells, styled by theme variables only.

    What is short of `width` shortens path, model and sandbox, in the end leaves out the branch and the sandbox
    that holds, so that the title can still be told.
    """
    title = inert_line(data.title)
    wanted = min(SHORT_TITLE, cell_len(title)) + 3 if title else 0
    for brevity in range(4):
        content = _assembled(data, brevity)
        if content.cell_length + wanted <= width:
            break
    if title:
        # "(fork)" at the end tells a fork from where it began.
        kept = match[0] if (match := _BRACKETS.search(title)) else ""
        short = _cut(title.removesuffix(kept), width - content.cell_length - 3 - cell_len(kept)) + kept
        content += Content.assemble(" · ", (short, "$foreground-muted"))
    return content


def _assembled(data: HeaderData, brevity: int) -> Content:
    parts: list[Content | str | tuple[str, str]] = []
    if data.waiting:
        parts += [(f" ▲ {data.waiting} waiting: F4 ", "bold $background on $warning"), " "]
    if data.read_only:
        parts += [(f"READ-ONLY: {data.read_only}", "bold $warning"), " · "]
    where = inert_line(data.workspace)
    if data.home and (where == data.home or where.startswith(data.home + "/")):
        where = "~" + where[len(data.home) :]
    most = SHORTEST_PATH if brevity >= 3 else SHORT_PATH
    if brevity and len(where) > most:
        where = "…" + where[1 - most :]
    parts.append((where or "starting …", "bold"))
    if data.branch and brevity < 3:
        branch = inert_line(data.branch)
        parts.append((f" ({_cut(branch, SHORT_PATH) if brevity else branch})", "$foreground-muted"))
    if data.folders:
        count = f"+{data.folders} folder{'' if data.folders == 1 else 's'}"
        parts.append((f" {count if brevity < 2 else f'+{data.folders}'}", "$foreground-muted"))
    if data.offline:
        parts += [" · ", (SHORT_OFFLINE if brevity >= 2 else OFFLINE, "$warning")]
    elif data.model:
        model = inert_line(data.model)
        parts += [" · ", (_cut(model, SHORT_PATH) if brevity >= 2 else model, "$primary")]
    if data.mode:
        style = "bold $background on $error" if data.mode == "bypass" else ""
        label = "BYPASS: runs without asking" if data.mode == "bypass" else f"{inert_line(data.mode)} mode"
        parts += [" · ", (label, style)]
    held = data.sandbox not in {"none", "reduced"}
    if data.sandbox and not (held and brevity >= 3):
        label = "sandbox" if held and brevity >= 1 else f"sandbox: {inert_line(data.sandbox)}"
        parts += [" · ", (label, "$foreground-muted" if held else "$warning")]
    return Content.assemble("" if data.waiting else " ", *parts)


def _cut(text: str, cells: int) -> str:
    """Return the text in at most so many cells, with a mark where it was cut."""
    return text if cell_len(text) <= cells else f"{set_cell_size(text, max(0, cells - 1)).rstrip()}…"


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
