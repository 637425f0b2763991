"""The `read` tool: text with line numbers, images, PDFs, folders."""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import stat
import unicodedata
from dataclasses import replace

from tui_agent.events import Intent, JsonObject
from tui_agent.tools.base import PureTool, target_of
from tui_agent.tools.encoding import NotTextError, decode, kind_of
from tui_agent.tools.files import (
    LARGEST_FILE,
    Snapshot,
    Target,
    display,
    file_state,
    read_file,
)
from tui_agent.tools.media import MediaError, check_pdf, prepare_image
from tui_agent.tools.views import count, cut_view
from tui_agent.workflow import Call, Outcome, ToolContext, ToolError, text_result

MOST_LINES = 2_000
MOST_BYTES = 50_000
"""UTF-8 bytes of one result's lines."""

LONGEST_LINE = 2_000
"""Characters of a line before it is cut."""

MOST_ENTRIES = 500
"""Entries of a folder."""

LARGEST_PDF = 8_000_000
"""Bytes of a PDF file; the API takes requests of 32 MB in all."""

_VIEW = 4_000

_NOT_SENT = {"a HEIC image", "a HEIF image", "a JPEG XL image", "a Photoshop image"}
"""Kinds of image that can neither be sent nor be converted here."""

_CUT_LINE = "more characters in this line]"


class Read(PureTool):
    """Reads, and notes the file's hash, by which later changes by others are noticed."""

    takes_path = True

    def title(self, call: Call) -> str:
        """Return the path and the lines asked for."""
        offset, limit = call.input.get("offset"), call.input.get("limit")
        lines = ""
        if offset or limit:
            first = _number(offset, 1)
            lines = f":{first}-" + (str(first + _number(limit, 0) - 1) if limit else "")
        return f"read {call.input['path']}{lines}"

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Read the file."""
        return await asyncio.to_thread(self._run, call, context)

    def _run(self, call: Call, context: ToolContext) -> Outcome:
        target = target_of(call, context)
        outcome = read_target(target, call.input, images=context.images, documents=context.documents)
        context.files_read.update({state.path: state.sha256 for state in outcome.effects if state.sha256})
        return outcome


def read_target(target: Target, options: JsonObject, *, images: bool, documents: bool) -> Outcome:
    """Return what there is to see of a file or folder; `options` may have `offset` and `limit`, in lines. Blocking.

    `images` and `documents` say whether the model takes such blocks. Raises `ToolError`.
    """
    try:
        status = target.held.status()
        if stat.S_ISDIR(status.st_mode):
            return _list_folder(target)
        if stat.S_ISREG(status.st_mode) and status.st_size > LARGEST_FILE:
            return _read_large(target, options)
    except FileNotFoundError:
        raise ToolError(f"{target.shown} does not exist.{_neighbours(target)}") from None
    except OSError as error:
        raise ToolError(f"{target.shown}: {error.strerror}") from error
    snapshot = read_file(target)
    if snapshot is None:
        raise ToolError(f"{target.shown} does not exist.")
    media = _read_media(target, snapshot, images=images, documents=documents)
    outcome = media or _read_text(target, snapshot, options)
    return replace(outcome, effects=[file_state(target.real, snapshot.data)])


def _read_media(target: Target, snapshot: Snapshot, *, images: bool, documents: bool) -> Outcome | None:
    kind = kind_of(snapshot.data)
    size = f"{len(snapshot.data):,} bytes"
    image = kind.startswith("image/")
    if kind in _NOT_SENT:
        raise ToolError(f"{target.shown} is {kind} ({size}), which cannot be sent: convert it to PNG or JPEG first.")
    if not image and kind != "application/pdf":
        return None
    if not (images if image else documents):
        raise ToolError(f"{target.shown} is {kind} ({size}), which this model does not take.")
    try:
        return _image(snapshot.data, kind) if image else _document(snapshot.data)
    except MediaError as error:
        raise ToolError(f"{target.shown} ({kind}, {size}) is {error}. It was not sent.") from error


def _image(data: bytes, kind: str) -> Outcome:
    picture = prepare_image(data)
    blocks = [_media_block("image", picture.media_type, picture.data)]
    facts = f"{kind}, {len(data):,} bytes"
    if picture.note:
        facts += f", {picture.note}"
        blocks += text_result(f"[{picture.note}]")
    return Outcome(blocks, summary=facts)


def _document(data: bytes) -> Outcome:
    if len(data) > LARGEST_PDF:
        raise MediaError(f"larger than the {LARGEST_PDF:,} bytes that can be sent: take out some pages")
    pages = count(check_pdf(data), "page")
    block = _media_block("document", "application/pdf", data)
    return Outcome([block], summary=f"application/pdf, {pages}, {len(data):,} bytes")


def _media_block(block: str, media_type: str, data: bytes) -> JsonObject:
    encoded = base64.b64encode(data).decode()
    return {"type": block, "source": {"type": "base64", "media_type": media_type, "data": encoded}}


def _read_text(target: Target, snapshot: Snapshot, options: JsonObject) -> Outcome:
    try:
        form = decode(snapshot.data)
    except NotTextError as kind:
        raise ToolError(
            f"{target.shown} is {kind} ({len(snapshot.data):,} bytes), which cannot be shown as text."
        ) from None
    lines = form.text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if not lines:
        return Outcome(text_result("[the file is empty]"), summary="empty")
    offset = _number(options.get("offset"), 1)
    if offset > len(lines):
        raise ToolError(f"{target.shown} has only {count(len(lines), 'line')}.")
    limit = min(_number(options.get("limit"), MOST_LINES), MOST_LINES)
    shown = number_lines(lines[offset - 1 : offset - 1 + limit], offset)
    last = offset + len(shown) - 1
    notes = []
    if form.note:
        notes.append(form.note)
    if offset > 1 or last < len(lines):
        notes.append(f"lines {offset}-{last} of {len(lines)}")
    if last < len(lines):
        notes.append(f"read on with offset={last + 1}")
    return _text_outcome(shown, notes, len(lines))


def _read_large(target: Target, options: JsonObject) -> Outcome:
    """Read some lines of a file that is too large to be taken whole; its hash is not noted."""
    offset = _number(options.get("offset"), 1)
    limit = min(_number(options.get("limit"), MOST_LINES), MOST_LINES)
    with os.fdopen(target.held.open(), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if kind_of(file.read(64)) or b"\0" in file.read(8192):
            raise ToolError(f"{target.shown} is binary ({size:,} bytes), which cannot be shown as text.")
        file.seek(0)
        raw = list(itertools.islice(iter(lambda: file.readline(1 << 20), b""), offset - 1, offset - 1 + limit))
        lines = [line.decode("utf-8", "replace").rstrip("\n") for line in raw]
        shown = number_lines(lines, offset)
        more = len(shown) < len(lines) or file.read(1) != b""
    if not shown:
        raise ToolError(f"{target.shown} has fewer than {offset} lines.")
    last = offset + len(shown) - 1
    notes = [f"lines {offset}-{last} of a file of {size:,} bytes"]
    if more:
        notes.append(f"read on with offset={last + 1}, or use grep")
    return _text_outcome(shown, notes, len(shown))


def number_lines(lines: list[str], first: int) -> list[str]:
    """Return as many lines as fit, each with its number, long ones cut with a note of how much is missing."""
    shown: list[str] = []
    room = MOST_BYTES
    for number, line in enumerate(lines, first):
        text = line.removesuffix("\r")
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]} [… {len(text) - LONGEST_LINE:,} {_CUT_LINE}"
        text = f"{number}\t{text}"
        room -= len(text.encode("utf-8", "replace")) + 1
        if room < 0 and shown:
            break
        shown.append(text)
    return shown


def _text_outcome(shown: list[str], notes: list[str], lines: int) -> Outcome:
    text = "\n".join(shown)
    if any(line.endswith(_CUT_LINE) for line in shown):
        notes.append(f"for the rest of a line use bash: sed -n NUMBERp FILE | cut -c{LONGEST_LINE + 1}-")
    tail = f"\n[{'; '.join(notes)}]" if notes else ""
    summary = count(lines, "line") if len(shown) == lines else f"{len(shown):,} of {count(lines, 'line')}"
    return Outcome(text_result(text + tail), summary=summary, view=cut_view(text, _VIEW))


def _list_folder(target: Target) -> Outcome:
    descriptor = target.held.open(os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(descriptor) as entries:
            names = sorted(
                display(entry.name) + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries
            )
    finally:
        os.close(descriptor)
    shown = "\n".join(names[:MOST_ENTRIES])
    if len(names) > MOST_ENTRIES:
        shown += f"\n[the first {MOST_ENTRIES} of {len(names):,} entries; use glob]"
    if not names:
        shown = "[the folder is empty]"
    summary = "1 entry" if len(names) == 1 else f"{len(names):,} entries"
    return Outcome(text_result(shown), summary=summary, view=cut_view(shown, _VIEW))


def _neighbours(target: Target) -> str:
    from difflib import get_close_matches

    try:
        names = [display(entry.name) for entry in target.real.parent.iterdir()]
    except OSError:
        return ""
    wanted = target.real.name
    near = [f"{name} ({name!a})" if _looks_like(name, wanted) else name for name in get_close_matches(wanted, names)]
    return f" Near it are: {', '.join(near)}." if near else ""


def _looks_like(name: str, wanted: str) -> bool:
    """Say whether one cannot see how two names differ, as with other kinds of blanks."""
    return unicodedata.normalize("NFKC", name) == unicodedata.normalize("NFKC", wanted)


def _number(value: object, default: int) -> int:
    return int(value) if isinstance(value, int | float) else default
