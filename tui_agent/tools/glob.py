"""The `glob` tool: files by name."""

from __future__ import annotations

import asyncio
import re

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool, target_of
from tui_agent.tools.files import display
from tui_agent.tools.globs import filter_regex, glob_regex
from tui_agent.tools.search import left_out_note, left_out_of, list_files
from tui_agent.tools.spill import cut_result
from tui_agent.tools.views import count
from tui_agent.workflow import Call, Outcome, ToolContext, ToolError, text_result

MOST_PATHS = 200
MOST_CHARACTERS = 20_000


class Glob(PureTool):
    """Lists the files whose path below the folder matches; folders too where the pattern has no `**`."""

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
        found = await list_files(target.real, context)
        below = len(str(target.real).rstrip("/")) + 1
        listed = [path for path in found.output.split(b"\0") if path]
        left_out = await left_out_of(listed, target.real, context)
        files = [path.decode("utf-8", "surrogateescape")[below:] for path in listed if path not in left_out]
        try:
            matches = _matching(pattern, files)
            hidden = _matching(pattern, [path.decode("utf-8", "surrogateescape")[below:] for path in left_out])
        except re.error as error:
            raise ToolError(f"pattern: {error}") from None
        folder = "" if target.shown == "." else f"{target.shown.rstrip('/')}/"
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
        if number := sum(not path.endswith("/") for path in hidden):
            text += f"\n[{left_out_note(number)}]"
        return Outcome(text_result(text), summary=count(len(matches), "path"), view=text)


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
