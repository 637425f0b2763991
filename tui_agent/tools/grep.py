"""The `grep` tool: lines by regular expression."""

from __future__ import annotations

import asyncio
import re

from tui_agent.events import Intent
from tui_agent.tools.base import PureTool, target_of
from tui_agent.tools.globs import filter_regex
from tui_agent.tools.search import (
    GrepQuery,
    Printed,
    find_links,
    grep_files,
    left_out_note,
    left_out_of,
    links_note,
    list_files,
    only_true,
    show_path,
)
from tui_agent.tools.spill import cut_result
from tui_agent.tools.views import count, cut_view, printable
from tui_agent.workflow import Call, Outcome, ToolContext, ToolError, text_result

MOST_LINES = 200
MOST_CHARACTERS = 20_000

MOST_KEPT = 4_000_000
"""Characters of a result that is cut which are kept to be read on."""


class Grep(PureTool):
    """Searches; the result groups lines by file."""

    takes_path = True

    def title(self, call: Call) -> str:
        """Return the pattern and where it is searched."""
        path = call.input.get("path")
        glob = call.input.get("glob")
        return f"grep {call.input['pattern']}" + (f" in {path}" if path else "") + (f" ({glob})" if glob else "")

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Search."""
        target = target_of(call, context)
        if not target.exists:
            raise ToolError(f"{target.shown} does not exist.")
        pattern = str(call.input["pattern"])
        if "\0" in pattern:
            raise ToolError("pattern holds a NUL character, which no text file has")
        mode = str(call.input.get("mode", "content"))
        around = call.input.get("context", 0)
        glob = call.input.get("glob")
        query = GrepQuery(
            pattern,
            target.real,
            str(glob or ""),
            filter_regex(str(glob)) if glob else "",
            mode,
            int(around) if isinstance(around, int | float) else 0,
            call.input.get("ignore_case") is True,
            call.input.get("multiline") is True,
        )
        # by all files and not by the matching ones: what is protected shall not show by its absence
        listed = await list_files(target.real, context)
        found = await grep_files(query, context)
        printed = await asyncio.to_thread(only_true, found.output, target)
        files = {*listed.output.split(b"\0"), *(line[0] for line in printed)} - {b""}
        left_out = await left_out_of(files, target.real, context)
        wanted = _Wanted(query, context, left_out)
        lines, summary = wanted.content(printed) if mode == "content" else wanted.paths(printed)
        whole = "\n".join(lines)
        text = await asyncio.to_thread(cut_result, context, whole, lines=MOST_LINES, characters=MOST_CHARACTERS)
        if text != whole:
            text += f"\n[{summary} in all; a narrower pattern, path or glob shows less]"
        notes = [found.note or listed.note] if found.note or listed.note else []
        if target.is_folder:
            root = context.workspace.resolve()
            links = await asyncio.to_thread(find_links, listed.output.split(b"\0"), target, root)
            notes += [note] if (note := links_note(links, context)) else []
        if number := sum(wanted.chosen(path) for path in left_out):
            notes.append(left_out_note(number))
        text += "".join(f"\n[{note}]" for note in notes)
        return Outcome(text_result(text), summary=summary, view=cut_view(text))


class _Wanted:
    """Reads what the search printed, keeps the files that the filter wants, and stays within the limits."""

    def __init__(self, query: GrepQuery, context: ToolContext, left_out: set[bytes]) -> None:
        self.query = query
        self.left_out = left_out
        self.context = context
        self.filter = re.compile(query.glob) if query.glob else None
        self.below = str(query.path).rstrip("/") + "/"

    def _wants(self, raw: bytes) -> bool:
        return raw not in self.left_out and self.chosen(raw)

    def chosen(self, raw: bytes) -> bool:
        """Say whether the call's own filter takes a file."""
        if self.filter is None:
            return True
        path = raw.decode("utf-8", "surrogateescape")
        return self.filter.fullmatch(path.removeprefix(self.below)) is not None

    def content(self, printed: list[Printed]) -> tuple[list[str], str]:
        """Return the lines by file, and the number of matches."""
        out: list[str] = []
        current = b""
        matches = files = size = last = 0
        for path, number, sign, line in printed:
            if not self._wants(path):
                continue
            matches += sign == b":"
            new_file = path != current
            files += new_file
            if size < MOST_KEPT:
                if new_file:
                    out.append(show_path(path, self.context))
                elif self.query.context and number > last + 1:
                    out.append("--")
                shown = f"{number}{sign.decode()}{printable(line)}"
                out.append(shown)
                size += len(shown)
            current, last = path, number
        if not matches:
            return ["No line matches."], "no match"
        return out, f"{count(matches, 'match')} in {count(files, 'file')}"

    def paths(self, printed: list[Printed]) -> tuple[list[str], str]:
        """Return the files, with their counts where asked for."""
        counts: dict[bytes, int] = {}
        for path, _, sign, _ in printed:
            if sign == b":" and self._wants(path):
                counts[path] = counts.get(path, 0) + 1
        wanted = list(counts)
        if not wanted:
            return ["No file matches."], "no match"
        numbered = self.query.mode == "count"
        out = [show_path(path, self.context) + f": {counts[path]}" * numbered for path in wanted]
        return out, count(len(wanted), "file")
