"""What every tool is: look (`plan`), act (`run`), and look again after a crash (`probe`)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from tui_agent.events import FileState, Intent, JsonObject, TodoItem
from tui_agent.runtime import Runtime

if TYPE_CHECKING:
    from tui_agent.sandbox import Limits, Protection, Sandbox


class Place(Protocol):
    """A file or folder that a call names. `real` is its path without links when it was planned."""

    @property
    def real(self) -> Path:
        """The path without links."""
        ...


class ToolError(Exception):
    """The call cannot be done; the message goes to the model as an error result and says what to do instead."""


class Unknowable(Exception):
    """What was running has died, and nobody knows how far it got. The message is the evidence, for the user."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool. `input` has been validated against the tool's schema."""

    step: str
    tool: str
    input: JsonObject
    agent: str
    attempt: int = 1


async def _keep_mode(mode: str) -> None:
    """Change nothing: the mode of a context that belongs to no session."""


@dataclass
class ToolContext:
    """What a tool may use of the session.

    `files_read` maps absolute paths to the SHA-256 the file had when this session last read or wrote it.
    `output` shows text of a running tool (batched, on disk before it is painted). `spool` is the folder
    for a step's own records, `<session>/steps/<step>`. `ask` puts a question to the user; `run_agent`
    runs a subagent, shows each of its calls as a line by the function it is given, and returns its final answer;
    `set_todo` replaces the todo list. `images` and `documents` say whether the model takes image and PDF blocks.
    `closing` tells a cancelled tool that the program closes: a command then goes on and is picked up at
    the next start. `sandbox` is what commands run
    in; without one they run unconfined. `environment` are variables that the decision on the call demands, `hidden`
    the files and folders that it keeps out; `read_only` says that it was allowed because it only reads, `unasked`
    that nobody was asked and no rule named it. `protection` returns what rules and names of secrets protect,
    `limits` are what a command may take. `left_out` returns which of some files (real paths) a search by the
    tool of this call in a folder does not show; `background` returns the titles of the commands that run in the
    background, by their steps. `left_out` reads the rules from disk, so it belongs into a thread. `mode` is the
    session's mode; `set_mode` changes it, to `chosen_mode` where the user chose one with their decision.
    """

    runtime: Runtime
    workspace: Path
    spool: Path
    output: Callable[[str], Awaitable[None]]
    ask: Callable[[str, list[str]], Awaitable[str]]
    run_agent: Callable[[str, str, Callable[[str], Awaitable[None]]], Awaitable[str]]
    set_todo: Callable[[list[TodoItem]], Awaitable[None]]
    files_read: dict[str, str] = field(default_factory=dict)
    images: bool = True
    documents: bool = True
    closing: Callable[[], bool] = lambda: False
    environment: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[str] = ()
    read_only: bool = False
    unasked: bool = False
    protection: Callable[[], Protection | None] = lambda: None
    limits: Limits | None = None
    left_out: Callable[[Sequence[str], str], set[str]] = lambda paths, folder: set()
    sandbox: Sandbox | None = None
    background: Callable[[], Mapping[str, str]] = dict
    mode: Callable[[], str] = lambda: "ask"
    set_mode: Callable[[str], Awaitable[None]] = _keep_mode
    chosen_mode: str = ""
    target: Place | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call would do, found by looking only.

    `preview` is a unified diff or other plain text that a user sees before approving. `scope` is the rule that
    a session-long grant would be, e.g. `Bash(pytest *)`; empty if it could only be for exactly this call. `target`
    is the file or folder that the call names, held open: it is decided on, and acted on.
    """

    intent: Intent
    title: str
    preview: str = ""
    scope: str = ""
    target: Place | None = None

    @property
    def digest(self) -> str:
        """What a decision on this plan is bound to: place, hashes before and after, diff; empty for other plans."""
        if self.target is None:
            return ""
        states = [[state.path, state.sha256] for state in (*self.intent.before, *self.intent.after)]
        parts = [os.fsencode(self.target.real).hex(), states, self.preview if states else ""]
        return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call did. `result` is the content of the tool_result block; the rest is for the screen.

    `effects` are the files as they are now, read back from disk; they must equal the intent's `after`. A tool
    that reads files puts them there too, so that a resumed session knows which content the model has seen.
    """

    result: list[JsonObject]
    error: bool = False
    summary: str = ""
    view: str = ""
    diff: str = ""
    exit_code: int | None = None
    effects: list[FileState] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Finding:
    """What looking found out about a step that a crash cut off. `evidence` is for the user."""

    state: Literal["not_started", "running", "finished", "uncertain"]
    evidence: str
    outcome: Outcome | None = None


class Tool(Protocol):
    """A tool's implementation; made once a session, without arguments."""

    def title(self, call: Call) -> str:
        """Return one line for the screen, from the input alone: `read src/app.py`."""
        ...

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Look what the call would do and change nothing. Raises `ToolError` when it cannot be done."""
        ...

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Do it; the intent is on disk by now. Cancelled, it leaves either the effect or none, never half.

        Raises `ToolError` when it could not be done after all and changed nothing.
        """
        ...

    async def probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        """Look how far an earlier `run` with this intent got before a crash; change nothing.

        For `running`, `attach` picks the work up.
        """
        ...

    async def attach(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Wait for work that outlived the crash and return its outcome. Only for `supervised` tools."""
        ...
