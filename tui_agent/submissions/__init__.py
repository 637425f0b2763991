"""What a user or a program may ask of a session: one type for each request.

A session takes them with `Session.do`; a program sends them as JSON lines, see `parse`. Fields may be added with
defaults; nothing is renamed or removed while `VERSION` stays.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tui_agent.events import JsonObject

VERSION = 1
"""Version of the submissions; it is raised when a program that sends them would have to change."""


class SubmissionError(ValueError):
    """A line is no submission; the message names what is wrong with it."""


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Submit(_Base):
    """Send a prompt. Returns the id of its run, or of the queued prompt while another run is in progress.

    `content` are content blocks of the Messages API to send in place of the plain text; without them, files that
    the prompt mentions (`@path`) come along.
    """

    type: Literal["submit"] = "submit"
    prompt: str
    content: list[JsonObject] | None = None


class Withdraw(_Base):
    """Take a queued prompt back. Returns its id, or nothing once the agent has seen it."""

    type: Literal["withdraw"] = "withdraw"
    prompt_id: str


class Decide(_Base):
    """Decide on a waiting permission request.

    What is allowed for the `session` lets other requests that it covers go on. `unattended` says that nobody was
    there to decide. `mode` is the session's mode after a plan that is approved; empty is `ask`.
    """

    type: Literal["decide"] = "decide"
    request: str
    verdict: Literal["allow", "deny"]
    scope: Literal["once", "session"] = "once"
    comment: str = ""
    unattended: bool = False
    mode: str = ""


class EditCall(_Base):
    """Change the input of a waiting call; it is decided anew."""

    type: Literal["edit_call"] = "edit_call"
    request: str
    input: JsonObject


class ChooseHunks(_Base):
    """Leave only these hunks, by number from 0, in a waiting call that edits a file; it is decided anew."""

    type: Literal["choose_hunks"] = "choose_hunks"
    request: str
    chosen: tuple[int, ...]


class AllowAlways(_Base):
    """Save rules that allow to the user's file, all or none. Returns the path of the file."""

    type: Literal["allow_always"] = "allow_always"
    rules: tuple[str, ...]


class Revoke(_Base):
    """Take a grant of this session back."""

    type: Literal["revoke"] = "revoke"
    grant: str


class TrustProject(_Base):
    """Let the project's rule files allow what they want to, as long as they have the hash that was shown."""

    type: Literal["trust_project"] = "trust_project"
    shown: str


class AgreeToMemory(_Base):
    """Give the project's memory files to the model from now on, as they are."""

    type: Literal["agree_to_memory"] = "agree_to_memory"


class Answer(_Base):
    """Answer a question of the model."""

    type: Literal["answer"] = "answer"
    question: str
    answer: str


class Resolve(_Base):
    """Decide about a step that a crash left uncertain."""

    type: Literal["resolve"] = "resolve"
    step: str
    resolution: Literal["happened", "run_again", "skip"]
    comment: str = ""


class Interrupt(_Base):
    """Stop the run in progress; `reason` says what asked for it where that was not the user."""

    type: Literal["interrupt"] = "interrupt"
    reason: str = ""


class StopAgent(_Base):
    """End one subagent; without a name, the only one at work."""

    type: Literal["stop_agent"] = "stop_agent"
    name: str = ""


class Configure(_Base):
    """Change settings of the session from the next turn on.

    `effort` is a level, or `default` for what the settings say. `limits` are by `scope.kind`, in turns, tokens,
    dollars or seconds; None lifts one. `max_turns` 0 lifts the limit on turns.
    """

    type: Literal["configure"] = "configure"
    title: str | None = None
    model: str | None = None
    mode: str | None = None
    effort: str | None = None
    max_turns: int | None = None
    limits: dict[str, float | None] | None = None


class SetCostLimit(_Base):
    """Keep in the settings what a run may cost at most, in dollars; 0 is no limit."""

    type: Literal["set_cost_limit"] = "set_cost_limit"
    dollars: float


class AddFolder(_Base):
    """Let the session use another folder like its workspace. Returns its real path."""

    type: Literal["add_folder"] = "add_folder"
    path: str


class RemoveFolder(_Base):
    """Take back a folder that was added to the session. Returns its real path."""

    type: Literal["remove_folder"] = "remove_folder"
    path: str


class EndBackground(_Base):
    """End a background command by its step, all of them without one."""

    type: Literal["end_background"] = "end_background"
    step: str = ""


class Compact(_Base):
    """Put a summary in the transcript's place for the model.

    With `before`, the event number of a prompt in the window, only what is older than that prompt is summarised;
    with `since` only that prompt and what follows.
    """

    type: Literal["compact"] = "compact"
    instructions: str = ""
    before: int | None = None
    since: int | None = None


class PutBack(_Base):
    """Let what a compaction dropped go with the next message; `seq` is the event of a line in its receipt."""

    type: Literal["put_back"] = "put_back"
    seq: int


class Fork(_Base):
    """Copy the session up to now into a new one. Returns the new session's id."""

    type: Literal["fork"] = "fork"


class SaveLayout(_Base):
    """Keep the screen's layout with the session."""

    type: Literal["save_layout"] = "save_layout"
    layout: JsonObject


Submission = Annotated[
    Submit
    | Withdraw
    | Decide
    | EditCall
    | ChooseHunks
    | AllowAlways
    | Revoke
    | TrustProject
    | AgreeToMemory
    | Answer
    | Resolve
    | Interrupt
    | StopAgent
    | Configure
    | SetCostLimit
    | AddFolder
    | RemoveFolder
    | EndBackground
    | Compact
    | PutBack
    | Fork
    | SaveLayout,
    Field(discriminator="type"),
]
"""Any of them."""

_ADAPTER: TypeAdapter[Submission] = TypeAdapter(Submission)


def parse(line: bytes | str) -> Submission:
    """Return the submission that a line of JSON holds. Raises `SubmissionError`, which says what is wrong."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SubmissionError(f"{where}: {first['msg']}" if where else first["msg"]) from error


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all submissions."""
    return {"version": VERSION, **_ADAPTER.json_schema()}
