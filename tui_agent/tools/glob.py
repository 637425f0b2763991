"""The `glob` tool: files by name."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool, target_of
from tui_agent.tools.files import display
from tui_agent.tools.globs import filter_regex, glob_regex
from tui_agent.tools.search import find_links, left_out_note, left_out_of, links_note, list_files, really_below
from tui_agent.tools.spill import cut_result
from tui_agent.tools.views import count
from tui_agent.workflow import Call, Outcome, ToolContext, ToolError, text_result

MOST_PATHS = 200
MOST_CHARACTERS = 20_000


class Glob(PureTool):
    """Lists the files whose path below the folder matches; folders too where the pattern has no `**`."""

    takes_path = True

    def title(self, call: Call) -> str:
        """Return the pattern and the folder."""
        path = call.input.get("path")
        return f"glob {call.input['pattern']}" + (f" in {path}" if path else "")

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """List."""
        target = target_of(call, context)
        if not target.is_folder:
            raise ToolError(f"{target.shown} is not a folder.")
        pattern = str(call.input["pattern"])
        real, through, pattern = through_links(pattern, target.real, context)
        found = await list_files(real, context)
        below = len(str(real).rstrip("/")) + 1
        place = target if real == target.real else replace(target, real=real)
        listed = await asyncio.to_thread(really_below, [path for path in found.output.split(b"\0") if path], place)
        left_out = await left_out_of(listed, real, context)
        files = [path.decode("utf-8", "surrogateescape")[below:] for path in listed if path not in left_out]
        try:
            matches = _matching(pattern, files)
            hidden = _matching(pattern, [path.decode("utf-8", "surrogateescape")[below:] for path in left_out])
        except re.error as error:
            raise ToolError(f"pattern: {error}") from None
        folder = ("" if target.shown == "." else f"{target.shown.rstrip('/')}/") + through
        lines = [display(folder + path) for path in matches]
        if not matches:
            lines.append("No file matches.")
            anywhere = re.compile(filter_regex(pattern))
            if "/" not in pattern and any(anywhere.fullmatch(path) for path in files):
                lines.append(f"In folders below some do: try **/{pattern}")
        whole = "\n".join(lines)
        text = await asyncio.to_thread(cut_result, context, whole, lines=MOST_PATHS, characters=MOST_CHARACTERS)
        if found.note:
            text += f"\n[{found.note}]"
        links = (
            await asyncio.to_thread(find_links, listed, place, context.workspace.resolve()) if "**" in pattern else []
        )
        if note := links_note([(through + link, target) for link, target in links], context):
            text += f"\n[{note}]"
        if number := sum(not path.endswith("/") for path in hidden):
            text += f"\n[{left_out_note(number)}]"
        return Outcome(text_result(text), summary=count(len(matches), "path"), view=text)


def through_links(pattern: str, folder: Path, context: ToolContext) -> tuple[Path, str, str]:
    """Return the folder that a pattern leads to through linked folders, the way there, and the pattern's rest.

    Only for links that stay within the searched folder or the workspace; without one, `folder` and the pattern.
    """
    parts = pattern.removeprefix("./").split("/")
    fixed = 0
    while fixed < len(parts) - 1 and parts[fixed] not in {"", ".", ".."} and not set(parts[fixed]) & set("*?[{"):
        fixed += 1
    for length in range(fixed, 0, -1):
        path = folder.joinpath(*parts[:length])
        if path.is_symlink() and path.is_dir():
            real = path.resolve()
            if real.is_relative_to(folder) or real.is_relative_to(context.workspace.resolve()):
                return real, "/".join(parts[:length]) + "/", "/".join(parts[length:])
    return folder, "", pattern


def _matching(pattern: str, files: list[str]) -> list[str]:
    paths = set(files)
    if "**" not in pattern:
        for path in files:
            end = path.rfind("/")
            while end > 0 and (parent := path[: end + 1]) not in paths:
                paths.add(parent)
                end = path.rfind("/", 0, end)
    wanted = re.compile(glob_regex(pattern.rstrip("/") or pattern))
    only_folders = pattern.endswith("/")
    return sorted(
        path for path in paths if wanted.fullmatch(path.rstrip("/")) and (path.endswith("/") or not only_folders)
    )
