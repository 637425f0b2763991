"""What a session tells of itself: its conversation as a file, the tools it offers the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tui_agent.context.items import AnswerItem, CompactionItem, Item, NoticeItem, PromptItem, RunEndItem, StepItem
from tui_agent.journal import export_jsonl
from tui_agent.redaction import Redactor
from tui_agent.registry import ToolMetadata, load_tools
from tui_agent.session.errors import SessionError
from tui_agent.text import inert

if TYPE_CHECKING:
    from tui_agent.session.handle import SessionHandle

PAGE = 200
"""Items read at once."""


@dataclass(frozen=True, slots=True)
class ToolReport:
    """A tool of the registry, and whether the main agent offers it to the model; `offered` None: not known yet."""

    tool: ToolMetadata
    offered: bool | None = None
    reason: str = ""


async def tool_reports(handle: SessionHandle) -> list[ToolReport]:
    """Return all tools with what the newest pool of the session's main agent says of each."""
    entries = await handle.inspect.pool()
    return [
        ToolReport(tool, entries[name].offered, entries[name].reason) if name in entries else ToolReport(tool)
        for name, tool in load_tools().items()
    ]


async def export_session(handle: SessionHandle, target: Path) -> int:
    """Write the session to a new file; return how many items or events were written.

    A name that ends in `.jsonl` gets the events with their places in the hash chain; any other the
    conversation as Markdown, made inert so that it can be shown in a terminal. Secrets are taken out. Raises
    `SessionError` when there is such a file already or it cannot be written, and the journal's errors.
    """
    redactor = Redactor(handle.options.runtime.environment)
    if target.suffix == ".jsonl":
        return await asyncio.to_thread(_write, target, export_jsonl(handle.path, redactor), "\n")
    parts = [inert(redactor.text(part)) async for part in _markdown(handle)]
    return await asyncio.to_thread(_write, target, iter(parts), "\n\n")


def _write(target: Path, parts: Iterator[str], ending: str) -> int:
    count = 0
    try:
        with target.open("x", encoding="utf-8") as file:
            for part in parts:
                file.write(part + ending)
                count += 1
    except FileExistsError as error:
        raise SessionError(f"{target} exists; name another file") from error
    except OSError as error:
        raise SessionError(f"{target} could not be written: {error.strerror or error}") from error
    return count


async def _markdown(handle: SessionHandle) -> AsyncIterator[str]:
    for start in range(0, handle.item_count, PAGE):
        page = await handle.items(start, start + PAGE)
        for position in sorted(page):
            if text := _item(page[position]):
                yield text


def _item(item: Item) -> str:
    match item:
        case PromptItem():
            return "\n".join(f"> {line}" for line in item.text.splitlines())
        case AnswerItem():
            texts = [block.text for block in item.blocks if block.kind == "text" and block.text]
            return "\n\n".join([*texts, f"({item.note})"] if item.note else texts)
        case StepItem():
            head = f"**{item.title or item.tool}** ({item.state})"
            body = item.diff or item.view or item.answer or item.summary
            return f"{head}\n\n{_fenced(body, 'diff' if item.diff else '')}" if body else head
        case RunEndItem():
            return f"*{item.outcome.replace('_', ' ')}{': ' + item.reason if item.reason else ''}*"
        case CompactionItem():
            return f"*compacted*\n\n{item.summary}"
        case NoticeItem():
            return f"*{item.level}: {item.message}*"


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
