"""What a call may do without asking: the mode, the tool's effect, and the grants of this session.

The verdicts form a lattice, `deny` above `ask` above `allow`. A decision is bound to the SHA-256 of the exact
call, so that an approval never covers a later, different one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tui_agent.events import EffectClass, JsonObject
from tui_agent.permissions.state import Grant

MODES = {
    "ask": "reading inside the workspace is allowed, everything else asks",
    "bypass": "nothing asks; only ever from the command line's --mode bypass",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy says of one call. `by` is who decided, `reason` is for the person."""

    verdict: Literal["allow", "ask", "deny"]
    by: Literal["mode", "grant", "policy"]
    reason: str


def hash_call(tool: str, call_input: JsonObject, workspace: Path) -> str:
    """Return the SHA-256 that a decision on this exact call is bound to."""
    call = json.dumps([tool, call_input, str(workspace)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(call.encode("utf-8", "surrogatepass")).hexdigest()


def judge(*, effect: EffectClass, inside: bool, scope: str, mode: str, grants: Iterable[Grant]) -> Verdict:
    """Return the verdict on a call that has `effect`, stays `inside` the workspace, and is of `scope`."""
    if effect == "pure" and inside:
        return Verdict("allow", "policy", "it only reads, inside the workspace")
    if mode == "bypass":
        return Verdict("allow", "mode", "the mode is bypass")
    if scope and any(grant.pattern == scope for grant in grants):
        return Verdict("allow", "grant", f"granted for this session: {scope}")
    if effect == "pure":
        return Verdict("ask", "policy", "it reads outside the workspace")
    return Verdict("ask", "mode", "the mode is ask, and nothing granted covers it")
