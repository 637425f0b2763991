"""The `write` tool: a whole file."""

from __future__ import annotations

from tui_agent.tools.change import Change, FileChange
from tui_agent.tools.diff import unified_diff
from tui_agent.tools.encoding import NotTextError, Text, decode
from tui_agent.tools.files import Snapshot, Target
from tui_agent.tools.views import count
from tui_agent.workflow import Call, ToolError


class Write(FileChange):
    """Creates a file or replaces its content; an existing file keeps its encoding and line ends."""

    must_be_read = True

    def change(self, call: Call, target: Target, before: Snapshot | None) -> Change:
        """Return the call's content in the file's encoding."""
        content = str(call.input["content"])
        old = Text("", "utf-8")
        if before is not None:
            try:
                old = decode(before.data)
            except NotTextError as kind:
                raise ToolError(f"{target.shown} is {kind}; it cannot be replaced by text.") from None
        if old.crlf and "\r\n" not in content:
            content = content.replace("\n", "\r\n")
        data = encode(old, content, target)
        lines = content.count("\n") + (not content.endswith("\n") and content != "")
        verb = "created" if before is None else "replaced"
        return Change(data, old.text, content, f"{verb}, {count(lines, 'line')}")

    def compare(self, call: Call, now: str) -> str:
        """Return the diff from the call's content to the file's."""
        return unified_diff("expected, compared with now", str(call.input["content"]), now)


def encode(form: Text, text: str, target: Target) -> bytes:
    """Return `text` in the encoding of `form`. Raises `ToolError` naming the first character it lacks."""
    try:
        return form.encode(text)
    except UnicodeEncodeError as error:
        character = text[error.start]
        raise ToolError(
            f"{target.shown} is {form.encoding}, which has no {character!a}: use other characters."
        ) from None
