"""Changing a call before it is allowed: its input as the user wrote it, or only some of its hunks.

A changed call is a new one: it is validated, hashed and decided anew, and the model is told what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from tui_agent.events import JsonObject, PermissionRequested, StepEdited
from tui_agent.permissions import hash_call
from tui_agent.registry import ToolMetadata, implementation, validate_input
from tui_agent.session.errors import SessionError
from tui_agent.text import well_formed
from tui_agent.workflow import Call, ToolError

Locate = Callable[[str], Path]

_MOST_SHOWN = 8_000
"""Characters of a changed input that the model is told; it knows the rest from its own call."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines of a text that a call replaces by others. `part` is the edit of the call, counted from 0."""

    part: int
    removed: tuple[str, ...]
    added: tuple[str, ...]
    context: str = ""

    @property
    def diff(self) -> str:
        """The hunk as lines of a diff."""
        lines = [f"-{line}" for line in self.removed] + [f"+{line}" for line in self.added]
        return "\n".join(line.rstrip("\n") for line in lines)


def edited(
    request: PermissionRequested, metadata: ToolMetadata, call_input: JsonObject, workspace: Path, note: str = ""
) -> StepEdited:
    """Return the change of a waiting call. Raises `SessionError` when the input is not valid, or as it was."""
    call_input = json.loads(well_formed(json.dumps(call_input, ensure_ascii=False)))
    if call_input == request.input:
        raise SessionError("nothing was changed: the call is as it was")
    if problems := validate_input(metadata, call_input):
        raise SessionError("the changed call is not valid: " + "; ".join(problems))
    shown = json.dumps(call_input, ensure_ascii=False)
    if len(shown) > _MOST_SHOWN:
        shown = shown[:_MOST_SHOWN] + " …"
    call = Call(request.step, request.tool, call_input, request.agent)
    return StepEdited(
        step=request.step,
        request=request.request,
        tool=request.tool,
        input=call_input,
        call_hash=hash_call(request.tool, call_input, workspace),
        title=str(implementation(metadata).title(call)),
        note=note or f"The user changed this call before they decided on it. Its input is now: {shown}",
    )


def hunks_of(request: PermissionRequested, locate: Locate) -> list[Hunk]:
    """Return the hunks of a call that changes a file, in order; none for other calls (blocking).

    `locate` returns the file that a call's path names, as the tool sees it.

    Raises `SessionError` when the file cannot be read as text.
    """
    return [
        Hunk(part, tuple(old[a:b]), tuple(new[c:d]), old[a - 1].rstrip("\n") if a else "")
        for part, (before, after) in enumerate(_texts(request, locate))
        for old, new in [(before.splitlines(keepends=True), after.splitlines(keepends=True))]
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if tag != "equal"
    ]


def with_hunks(request: PermissionRequested, locate: Locate, chosen: Collection[int]) -> tuple[JsonObject, str]:
    """Return the call's input with only the chosen hunks (by number, from 0), and what to tell the model.

    Raises `SessionError` when that leaves nothing to do (blocking).
    """
    hunks = hunks_of(request, locate)
    if not set(chosen) & set(range(len(hunks))):
        raise SessionError("no hunk is left: deny the call instead")
    texts: list[str] = []
    number = 0
    for before, after in _texts(request, locate):
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
        kept: list[str] = []
        for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            kept += new[c:d] if tag != "equal" and number in chosen else old[a:b]
            number += tag != "equal"
        texts.append("".join(kept))
    left_out = [hunk for at, hunk in enumerate(hunks) if at not in chosen]
    note = (
        f"The user lets {len(hunks) - len(left_out)} of this call's {len(hunks)} changes be made, and left out:\n"
        + "\n…\n".join(hunk.diff for hunk in left_out)
    )
    call_input: JsonObject = dict(request.input)
    if request.tool == "write":
        call_input["content"] = texts[0]
    else:
        edits = _edits(request)
        call_input["edits"] = [
            {**edit, "new": text} for edit, text in zip(edits, texts, strict=True) if text != edit["old"]
        ]
    return call_input, note


def _edits(request: PermissionRequested) -> list[dict[str, str]]:
    edits = request.input.get("edits")
    return [dict(edit) for edit in edits] if isinstance(edits, list) else []  # type: ignore[arg-type]  # as the schema says


def _texts(request: PermissionRequested, locate: Locate) -> list[tuple[str, str]]:
    if request.tool == "edit":
        return [(str(edit["old"]), str(edit["new"])) for edit in _edits(request)]
    if request.tool != "write":
        return []
    path = Path(str(request.input["path"]))
    try:
        path = locate(str(path))
        before = path.read_text("utf-8") if path.exists() else ""
    except (OSError, ValueError, ToolError) as error:
        raise SessionError(f"{path} cannot be read to take its changes apart: {error}") from error
    return [(before, str(request.input["content"]))]
