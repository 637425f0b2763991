"""@-mentions in a prompt: `@src/a.py`, `@src/a.py:10-20`, `@src/`, `@"with spaces.md"` bring their content along.

What is no file stays text. The content is what the read tool would show, cut the same way, and the file counts as
read. The user names the file, so it may be anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from tui_agent.context import MemoryFile
from tui_agent.events import FileState, JsonObject, MentionRead
from tui_agent.tools.files import resolve
from tui_agent.tools.read import read_target
from tui_agent.workflow import ToolError

MOST_MENTIONS = 20
"""Mentions of one prompt that bring content along; the others stay text, and the note says so."""

_MENTION = re.compile(r'(?<![\w@`/.])@(?:"(?P<quoted>[^"\n]+)"|(?P<plain>(?:\\ |[^\s"`])+))')
_LINES = re.compile(r"(?P<path>.+?):(?P<first>\d+)(?:-(?P<last>\d+))?")
_LIKE_A_FILE = re.compile(r"(?:~|\.{1,2})?/.*|[^@]*[^@/]\.[A-Za-z0-9]{1,8}|.+/.*")
"""A mention that names a file, rather than a user or a package."""

_TRAILING = ".,;:!?)]}'"


@dataclass(frozen=True, slots=True)
class Mention:
    """What a mention names: a path as written, and lines of it, None for all."""

    path: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Expansion:
    """The content blocks of a prompt with its mentions, empty without any, and the files they brought along.

    The last blocks are the `memory` files of these files' folders.
    """

    content: list[JsonObject] = field(default_factory=list)
    files: list[FileState] = field(default_factory=list)
    memory: list[str] = field(default_factory=list)
    mentions: list[MentionRead] = field(default_factory=list)

    def with_memory(self, found: Sequence[MemoryFile]) -> Expansion:
        """Return the expansion with memory files at its end."""
        paths = [str(memory.path) for memory in found]
        blocks = (
            _text(f"<memory path={_quoted(path)}>\n{memory.block()}\n</memory>")
            for path, memory in zip(paths, found, strict=True)
        )
        return Expansion([*self.content, *blocks], self.files, paths, self.mentions)


def find_mentions(prompt: str) -> Iterator[list[Mention]]:
    """Return for each mention what it may name, the likeliest first: with and without what ends a sentence."""
    for match in _MENTION.finditer(prompt):
        if match["quoted"] is not None:
            rest = re.match(r":(\d+)(?:-(\d+))?", prompt[match.end() :])
            lines = (int(rest[1]), int(rest[2] or rest[1])) if rest else (None, None)
            yield [Mention(match["quoted"], *lines)]
            continue
        written = match["plain"].replace("\\ ", " ")
        yield [_with_lines(text) for text in dict.fromkeys((written, written.rstrip(_TRAILING))) if text]


def _with_lines(text: str) -> Mention:
    found = _LINES.fullmatch(text)
    if found is None:
        return Mention(text)
    first = max(1, int(found["first"]))
    return Mention(found["path"], first, max(first, int(found["last"] or first)))


def expand_mentions(prompt: str, workspace: Path, home: Path, *, images: bool, documents: bool) -> Expansion:
    """Return the prompt's content with what its mentions name. Blocking.

    `images` and `documents` say whether the model takes such blocks.
    """
    blocks: list[JsonObject] = []
    files: dict[str, FileState] = {}
    seen: set[Mention] = set()
    traces: list[MentionRead] = []
    for choices in find_mentions(prompt):
        for mention in choices:
            if mention in seen:
                break
            found = _read(mention, workspace, home, images=images, documents=documents)
            if found is None:
                continue
            seen.add(mention)
            if len(seen) > MOST_MENTIONS:
                blocks.append(_text(f"<mention-left-out path={_quoted(mention.path)}/>"))
                detail = f"more than {MOST_MENTIONS} mentions"
                traces.append(MentionRead(path=mention.path, state="left out", detail=detail))
                break
            content, states, trace = found
            traces.append(trace)
            blocks += content
            files |= {state.path: state for state in states}
            break
        else:
            likely = choices[-1].path
            if _LIKE_A_FILE.fullmatch(likely):
                traces.append(MentionRead(path=likely, state="missing", detail="no such file; it stays text"))
    content = [_text(prompt), *blocks] if blocks else []
    return Expansion(content, list(files.values()), mentions=traces)


def _read(
    mention: Mention, workspace: Path, home: Path, *, images: bool, documents: bool
) -> tuple[list[JsonObject], list[FileState], MentionRead] | None:
    """Return what a mention brings along, None if it names nothing that exists."""
    try:
        target = resolve(mention.path, workspace, home)
        if not target.real.exists():
            return None
    except (ToolError, OSError):
        return None
    options: JsonObject = {}
    lines = ""
    if mention.first is not None and mention.last is not None:
        options = {"offset": mention.first, "limit": mention.last - mention.first + 1}
        lines = f' lines="{mention.first}-{mention.last}"'
    folder = target.real.is_dir()
    tag = "folder" if folder else "file"
    head = f"<{tag} path={_quoted(target.shown)}{lines}>"
    try:
        outcome = read_target(target, options, images=images, documents=documents)
    except (ToolError, OSError) as error:
        text = f"<{tag}-not-read path={_quoted(target.shown)}>{error}</{tag}-not-read>"
        return [_text(text)], [], MentionRead(path=target.shown, state="failed", detail=str(error))
    first = outcome.result[0]
    cut = not options and re.match(r"[\d,]+ of ", outcome.summary)
    trace = MentionRead(path=target.shown, state="cut" if cut else "read", detail=outcome.summary)
    if first.get("type") == "text":
        return [_text(f"{head}\n{first['text']}\n</{tag}>")], outcome.effects, trace
    return [_text(head + f"</{tag}>"), *outcome.result], outcome.effects, trace


def _quoted(path: str) -> str:
    return f'"{escape(path)}"'


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
