"""What a user can set, where it may be set, and reading it without ever failing.

Sources, weakest first: the defaults, `<config>/settings.toml`, the environment, and the project's own
`<workspace>/.tui-agent/settings.toml`.
The project's file comes from whoever wrote the project, so it may only tighten: its `max_turns`, `max_cost` and
`[limits.…]` count where they are lower, and nothing else may stand there. Flags of the command line are put on top by
the caller.
`mode` can never be `bypass` here: running without asking comes from the flag alone, for one start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tui_agent.config.paths import Paths, project_settings
from tui_agent.config.toml_file import Problem, TomlFile, TomlFileError, read_toml

DEFAULT_MAX_TURNS = 500
"""Turns of one run: far more than work takes, so that only a run that has lost its way meets it."""

DEFAULT_MAX_COST = 5.0
"""Dollars of one run, until the user says otherwise."""

PROJECT_KEYS = frozenset({"max_turns", "max_cost", "limits"})
"""What a project's file may set, and only downwards."""

VARIABLES = {
    "TUI_AGENT_MODEL": "model",
    "TUI_AGENT_THEME": "theme",
    "TUI_AGENT_MAX_TURNS": "max_turns",
    "ANTHROPIC_BASE_URL": "base_url",
}
"""Environment variables that stand for a setting. The SDK reads its key by itself; no file can hold one."""


def http_url(value: str) -> str:
    """Return `value` if it is a server's address; raises `ValueError` if not."""
    try:
        parts = urlsplit(value)
        named = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        named = named and value.isprintable() and " " not in value
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from error
    if not named:
        raise ValueError("must be a URL such as http://127.0.0.1:8080")
    return value


Effort = Literal["low", "medium", "high", "xhigh", "max"]
"""How much a model puts into an answer, the least first."""

EFFORTS: tuple[Effort, ...] = get_args(Effort)

ThinkingDisplay = Literal["summarized", "omitted"]
"""Whether a model's thinking is shown, as the model's server sums it up."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]+$")]


Domain = Annotated[
    str, StringConstraints(max_length=253, pattern=r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")
]


class ScopeLimits(BaseModel):
    """Hard limits of one scope; what is left out has none. Input tokens count whether cached or not."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    turns: int | None = Field(default=None, ge=1, description="Turns.")
    input_tokens: int | None = Field(default=None, ge=1, description="Tokens of all prompts.")
    output_tokens: int | None = Field(default=None, ge=1, description="Tokens of all answers.")
    tokens: int | None = Field(default=None, ge=1, description="Tokens of prompts and answers together.")
    cost: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Dollars.")
    time: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Wall-clock seconds of runs.")


class Limits(BaseModel):
    """The limits by scope: a run with its subagents, a session, a day (UTC) of all sessions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run: ScopeLimits = ScopeLimits()
    session: ScopeLimits = ScopeLimits()
    day: ScopeLimits = ScopeLimits()

    def flat(self) -> dict[str, float]:
        """Return the limits that are set, by `scope.kind`."""
        scopes = {"run": self.run, "session": self.session, "day": self.day}
        return {
            f"{scope}.{kind}": value
            for scope, limits in scopes.items()
            for kind, value in limits.model_dump(exclude_none=True).items()
        }


class Settings(BaseModel):
    """Everything that can be set in a file, with its default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: Name = Field(default="sonnet", description="Model or alias: opus, sonnet, haiku, or a full name.")
    mode: Literal["ask", "accept-edits", "plan", "sandboxed"] = Field(
        default="ask", description="ask, accept-edits, plan or sandboxed; bypass comes from the command line only."
    )
    max_turns: int = Field(
        default=DEFAULT_MAX_TURNS, ge=0, le=100_000, description="Turns of one run, at most; 0 for no limit."
    )
    max_cost: float = Field(
        default=DEFAULT_MAX_COST,
        ge=0,
        allow_inf_nan=False,
        description="Dollars of one run, at most; 0 for no limit. The default does not stop models without a price.",
    )
    theme: Name | None = Field(default=None, description="Theme of the screen.")
    thinking: ThinkingDisplay = Field(
        default="summarized", description="Show what the model thinks: summarized, or omitted."
    )
    effort: Effort | None = Field(
        default=None,
        description="How much the model puts into an answer: low, medium, high, xhigh or max. Default: its server's.",
    )
    fallbacks: tuple[Name, ...] = Field(
        default=(),
        strict=False,
        description='Models to ask, in order, when the chosen one declines; ["default"] leaves them to the server.',
    )
    base_url: Annotated[str, AfterValidator(http_url)] | None = Field(
        default=None, description="Another server that speaks the Messages API."
    )
    prices: str | None = Field(
        default=None, description="TOML file with models and prices of your own, from the settings' folder."
    )
    sandbox: Literal["on", "off"] = Field(
        default="on", description="Run commands in the sandbox of the system, where it has one."
    )
    network_domains: tuple[Domain, ...] = Field(
        default=(),
        strict=False,
        description="Domains that sandboxed commands may reach; *.example.org for all below one.",
    )
    web_search: bool = Field(
        default=False, description="Let the model's server search the web by itself; each search is priced."
    )
    web_fetch: bool = Field(default=False, description="Let the model's server fetch web pages by itself.")
    web_max_uses: int = Field(
        default=5, ge=1, le=20, description="Searches, and pages, of one request by the model's server, at most."
    )
    web_allowed_domains: tuple[Domain, ...] = Field(
        default=(), strict=False, description="The only domains for web_search and web_fetch, with all below them."
    )
    web_blocked_domains: tuple[Domain, ...] = Field(
        default=(),
        strict=False,
        description="Domains that web_search and web_fetch leave out; not together with web_allowed_domains.",
    )
    pass_environment: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Variables that commands get though their names look like a secret's, as MY_SERVICE_TOKEN.",
    )
    command_processes: int = Field(
        default=4_000, ge=0, le=4_000_000, description="Processes and threads of one command, at most; 0: no limit."
    )
    command_memory: int = Field(
        default=0, ge=0, le=100_000_000, description="Memory of one command in MB, at most; 0: 75 % of the machine's."
    )
    command_disk: int = Field(
        default=50_000, ge=0, le=100_000_000, description="MB that one command writes to disk, at most; 0: no limit."
    )
    command_output: int = Field(
        default=64, ge=1, le=10_000, description="Output of one command that is kept, in MB, at most."
    )
    additional_directories: tuple[str, ...] = Field(
        default=(),
        strict=False,
        description="Folders that every session may use like its workspace; relative ones from the workspace.",
    )
    memory_files: Literal["ask", "always", "never"] = Field(
        default="ask",
        description="Whether a project's AGENTS.md and CLAUDE.md go to the model: once you agreed, always, never.",
    )
    compact_at: int | None = Field(
        default=None, ge=5, le=95, description="Per cent of the window in use from which the history is compacted."
    )
    append_system_prompt: str = Field(default="", description="Text that is added to the system prompt.")
    notifications: bool = Field(default=True, description="Ring the bell when a decision waits.")
    limits: Limits = Field(default=Limits(), description="Hard limits of a run, a session, a day.")

    def limit_layers(self) -> tuple[dict[str, float | None], dict[str, float | None]]:
        """Return the limits that nobody set, and those that were set, by `scope.kind`; None lifts one.

        Of `max_turns` and `[limits.run] turns` the lower counts where both are set; of the costs alike. The default
        cost stays a default when the file repeats it, as the first start writes it there.
        """
        defaults: dict[str, float | None] = {}
        set_: dict[str, float | None] = dict(self.limits.flat())
        for key, value, default, given in (
            ("run.turns", self.max_turns, DEFAULT_MAX_TURNS, "max_turns" in self.model_fields_set),
            ("run.cost", self.max_cost, DEFAULT_MAX_COST, self.max_cost != DEFAULT_MAX_COST),
        ):
            limit = set_.get(key)
            if given and limit is None:
                set_[key] = value or None
            elif given and value:
                set_[key] = min(value, limit or value)
            elif limit is None:
                defaults[key] = default
        return defaults, set_


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """The settings to use and what was wrong with their sources."""

    settings: Settings
    problems: tuple[Problem, ...]


def load_settings(paths: Paths, workspace: Path, environment: Mapping[str, str]) -> LoadedSettings:
    """Read all sources. Never raises: what is wrong is named in `problems` and left out."""
    problems: list[Problem] = []
    values = _valid_values(_read(paths.settings, problems), problems)
    if "prices" in values:
        values["prices"] = str(paths.config / values["prices"])
    values.update(_from_environment(environment, problems))
    if values.get("web_allowed_domains") and values.get("web_blocked_domains"):
        # Which of them would be meant is not known: no domain is searched.
        message = "web_allowed_domains and web_blocked_domains cannot both be set; web search and fetch are off"
        problems.append(Problem(str(paths.settings), None, message))
        values |= {"web_search": False, "web_fetch": False}
    settings = Settings.model_validate(values)
    project = _read(project_settings(workspace), problems, beneath=workspace)
    return LoadedSettings(_tightened(settings, project, paths, problems), tuple(problems))


def save_max_cost(path: Path, dollars: float) -> None:
    """Write `max_cost` into the settings file at `path`, which sets none yet; all else in it stays as it is.

    The file is replaced whole, so that a crash leaves the old or the new one. Raises OSError.
    """
    line = f"max_cost = {dollars:.10g}   # dollars that one run may cost, at most; 0: no limit\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    new = path.with_name(path.name + ".new")
    new.write_text(line + before)
    new.replace(path)


def _read(path: Path, problems: list[Problem], *, beneath: Path | None = None) -> TomlFile | None:
    try:
        return read_toml(path, beneath=beneath)
    except TomlFileError as error:
        problems.append(error.problem)
        return None


def _valid_values(file: TomlFile | None, problems: list[Problem]) -> dict[str, Any]:
    if file is None:
        return {}
    values = dict(file.values)
    if isinstance(values.get("limits"), dict):
        values["limits"] = _valid_limits(values["limits"], file, problems)
    wrong = _faults(values)
    problems.extend(file.problem(key, message, *_places(values).get(key, ())) for key, message in wrong.items())
    return {key: value for key, value in values.items() if key not in wrong}


def _valid_limits(tables: dict[str, Any], file: TomlFile, problems: list[Problem]) -> dict[str, dict[str, Any]]:
    """Return the limits that can be kept: one that is wrong must not take the others with it."""
    kept: dict[str, dict[str, Any]] = {}
    for scope, table in tables.items():
        if scope not in Limits.model_fields or not isinstance(table, dict):
            known = ", ".join(f"[limits.{name}]" for name in Limits.model_fields)
            problems.append(file.problem("limits", f"limits.{scope}: there are the tables {known}", scope))
            continue
        kept[scope] = {}
        for kind, value in table.items():
            try:
                ScopeLimits.model_validate({kind: value})
            except ValidationError as error:
                message = error.errors(include_url=False, include_context=False)[0]["msg"]
                if kind not in ScopeLimits.model_fields:
                    message = f"unknown limit; known are {', '.join(ScopeLimits.model_fields)}"
                problems.append(file.problem("limits", f"limits.{scope}.{kind}: {message}", scope, kind))
            else:
                kept[scope][kind] = value
    return kept


def _faults(values: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong, by key."""
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        return {str(fault["loc"][0]): _message(str(fault["loc"][0]), values, fault["msg"]) for fault in faults}
    return {}


def _places(values: Mapping[str, Any]) -> dict[str, tuple[str | int, ...]]:
    """Return where below its key each fault is: keys, and places in arrays."""
    try:
        Settings.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        return {str(fault["loc"][0]): tuple(fault["loc"][1:]) for fault in reversed(faults)}
    return {}


def _message(key: str, values: Mapping[str, Any], fault: str) -> str:
    if key not in Settings.model_fields:
        close = get_close_matches(key, Settings.model_fields, n=2)
        hint = (
            f"did you mean {' or '.join(map(repr, close))}?"
            if close
            else f"known are {', '.join(Settings.model_fields)}"
        )
        return f"unknown key {key!r}: {hint}"
    if key == "mode" and values[key] == "bypass":
        return "mode 'bypass' cannot be set in a file; it only comes from the flag --mode bypass"
    return f"{key}: {fault.removeprefix('Value error, ')}"


def _from_environment(environment: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for variable, key in VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        value: Any = text
        if key == "max_turns" and text.isascii() and text.isdigit() and len(text) < 10:
            value = int(text)
        wrong = _faults({key: value})
        problems.extend(Problem(f"environment variable {variable}", None, fault) for fault in wrong.values())
        if not wrong:
            found[key] = value
    return found


def _tightened(settings: Settings, project: TomlFile | None, paths: Paths, problems: list[Problem]) -> Settings:
    if project is None:
        return settings
    allowed = {}
    for key, value in project.values.items():
        if key in Settings.model_fields and key not in PROJECT_KEYS:
            message = f"a project may not set {key!r}; set it in {paths.settings}"
            problems.append(project.problem(key, message))
        else:
            allowed[key] = value
    values = _valid_values(TomlFile(project.path, project.text, allowed), problems)
    changes: dict[str, Any] = {}
    for key in ("max_turns", "max_cost"):
        known, wanted = getattr(settings, key), values.get(key)
        if wanted and (not known or wanted < known):  # 0 is no limit
            changes[key] = wanted
    limits = settings.limits.model_dump(exclude_none=True)
    for scope, table in values.get("limits", {}).items():
        for kind, value in table.items():
            limits[scope][kind] = min(value, limits[scope].get(kind, value))
    return settings.model_copy(update={**changes, "limits": Limits.model_validate(limits)})
