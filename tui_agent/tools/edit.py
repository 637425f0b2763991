"""The `edit` tool: exact replacements in a file."""

from __future__ import annotations

from tui_agent.tools.change import Change, FileChange
from tui_agent.tools.encoding import NotTextError, decode
from tui_agent.tools.files import Snapshot, Target
from tui_agent.tools.replace import Edit as Replacement
from tui_agent.tools.replace import apply_edits
from tui_agent.tools.views import count
from tui_agent.tools.write import encode
from tui_agent.workflow import Call, ToolError


class Edit(FileChange):
    """Replaces text; all bytes outside the replaced ones stay."""

    def title(self, call: Call) -> str:
        """Return the path and, if there are several, the number of edits."""
        edits = _edits(call)
        return f"edit {call.input['path']}" + (f" ({len(edits)} edits)" if len(edits) > 1 else "")

    def change(self, call: Call, target: Target, before: Snapshot | None) -> Change:
        """Return the file with all edits applied."""
        if before is None:
            raise ToolError(f"{target.shown} does not exist: use write to create it.")
        try:
            form = decode(before.data)
        except NotTextError as kind:
            raise ToolError(f"{target.shown} is {kind}; only text can be edited.") from None
        try:
            text, replaced = apply_edits(form.text, _edits(call), crlf=form.crlf)
        except ToolError as error:
            raise ToolError(f"{target.shown}: {error}") from None
        return Change(encode(form, text, target), form.text, text, count(replaced, "replacement"))

    def compare(self, call: Call, now: str) -> str:
        """Return which old and new texts the file holds."""
        now = now.replace("\r\n", "\n")
        return "\n".join(
            f"edit {number}: old is {_there(edit.old, now)}, new is {_there(edit.new, now)}"
            for number, edit in enumerate(_edits(call), 1)
        )


def _edits(call: Call) -> list[Replacement]:
    edits = call.input["edits"]
    assert isinstance(edits, list)
    return [
        Replacement(str(edit["old"]), str(edit["new"]), bool(edit.get("all", False)))
        for edit in edits
        if isinstance(edit, dict)
    ]


def _there(text: str, now: str) -> str:
    return "there" if text.replace("\r\n", "\n") in now else "not there"
