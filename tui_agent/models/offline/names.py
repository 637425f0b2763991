"""The tools of other programs: the practice model calls what a request offers, by its own name and inputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tui_agent.models.offline.answer import Call

OTHER_NAMES = {"bash": "Bash", "edit": "Edit", "glob": "Glob", "grep": "Grep", "read": "Read", "write": "Write"}
"""What the tools of the practice grammar are called in programs that name files by `file_path`."""


def as_offered(call: Call, names: Collection[str]) -> Call:
    """Return the call of the tool that is offered in its place; the call itself where there is none, or no need."""
    other = OTHER_NAMES.get(call.tool, "")
    if call.tool in names or other not in names:
        return call
    inputs: dict[str, Any] = dict(call.input)
    if call.tool in {"edit", "read", "write"}:
        inputs = {"file_path": inputs.pop("path"), **inputs}
    if call.tool == "edit":
        (change,) = inputs.pop("edits")
        inputs |= {"old_string": change["old"], "new_string": change["new"]}
    return Call(other, inputs)
