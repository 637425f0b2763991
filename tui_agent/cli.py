"""The door: what the command line says, and nothing else. Imports nothing heavy: `--help` is instant."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tui_agent import __version__
from tui_agent.config.paths import Paths, find_paths
from tui_agent.exit_watch import ExitWatch
from tui_agent.opening import Start, find_session
from tui_agent.permission_commands import audit, checked_rules, given_rules, permissions, rule_options, trust
from tui_agent.prompt_group import FOLDER, PromptGroup, current_folder
from tui_agent.runtime import Runtime
from tui_agent.session.errors import SessionError
from tui_agent.streams import json_line, prepare_streams
from tui_agent.text import inert, inert_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from tui_agent.session import SessionSummary

PROGRAM = "tui-agent"
COMPLETION_VARIABLE = "_TUI_AGENT_COMPLETE"
CHOOSE = "?"
"""The value of `--resume` without a session: choose one on screen."""

DUMB_TERMINALS = frozenset({"", "dumb", "unknown"})
"""Values of `TERM` of terminals that can do nothing but write lines."""

EXIT_CODES = """\b
Exit codes:
  0    the run completed: the model ended its answer by itself
  1    the run failed
  2    wrong usage, or the session cannot be opened
  3    a limit stopped the run
  4    something needs the user: a call was denied because nobody could
       be asked, or an earlier start left something to decide
  5    the answer was cut at its output limit
  6    the model declined to answer
  7    the context window is full, and compacting it made no room
  130  interrupted with Ctrl+C (143 after SIGTERM, 129 after SIGHUP)
  141  nobody reads the output any more
"""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Result = TypeVar("Result")


def main(runtime: Runtime | None = None) -> None:
    """Run the command line as the whole of this process, which ends soon after it with its exit code."""
    try:
        run_command_line(runtime)
    except SystemExit as done:
        # What is left is Python's own end, which waits for every thread that is still at work.
        ExitWatch().begin(done.code if isinstance(done.code, int) else int(done.code is not None))
        raise


def run_command_line(runtime: Runtime | None = None) -> None:
    """Run the command line; raises SystemExit with its code. `runtime` is what it takes from the world."""
    prepare_streams()
    cli(prog_name=PROGRAM, complete_var=COMPLETION_VARIABLE, obj=runtime or Runtime())


def _complete_session(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    data_dir = ctx.params.get("data_dir")
    ids = find_paths(os.environ, data_dir=Path(data_dir) if data_dir else None).session_ids()  # noqa: TID251  # a shell's completion has no runtime
    return [CompletionItem(session) for session in ids if session.startswith(incomplete)]


class _Positive(click.FloatRange):
    """A number above 0, or from 0 on."""

    def __init__(self, *, zero: bool = False) -> None:
        super().__init__(min=0, min_open=not zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a number to stop at.", param, ctx)
        return number


_data_dir = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep sessions here instead of in $TUI_AGENT_DATA_DIR or the platform's data folder.",
)


def _session_options(function: Decorated) -> Decorated:
    """Add the options that the screen and `run` share."""
    options = [
        click.option(
            "--cwd",
            type=FOLDER,
            metavar="DIR",
            help="Work in this folder. Default: the current one. With --resume: bring the session along to this "
            "folder.",
        ),
        click.option(
            "--add-dir",
            type=FOLDER,
            multiple=True,
            metavar="DIR",
            help="Let the session use this folder like its own: read, edit, and run commands in it. Repeatable.",
        ),
        click.option("--continue", "-c", "continue_", is_flag=True, help="Go on with this folder's latest session."),
        click.option("--model", "-m", default="", metavar="MODEL", help="Model or alias: opus, sonnet, haiku, …"),
        click.option(
            "--effort",
            type=click.Choice(["low", "medium", "high", "xhigh", "max"]),
            default=None,
            help="How much the model puts into an answer. Default: the settings', else the server's.",
        ),
        click.option(
            "--mode",
            type=click.Choice(["ask", "accept-edits", "plan", "sandboxed", "bypass"]),
            default=None,
            help="ask (default): before all that may change the world. accept-edits: files in the folder may be "
            "changed. plan: nothing is. sandboxed: commands run, in the sandbox and without network. bypass: "
            "nothing asks; for this start only.",
        ),
        click.option(
            "--max-turns",
            type=click.IntRange(0, 1_000_000),
            metavar="N",
            help="Stop after N model turns, whatever the agent type says; 0: no limit. Default: 500.",
        ),
        click.option(
            "--max-tokens",
            type=click.IntRange(1),
            metavar="N",
            help="Stop a run before a turn that could take it over N tokens, of prompts (cached or not) and answers.",
        ),
        click.option(
            "--max-cost",
            type=_Positive(zero=True),
            metavar="DOLLARS",
            help="Stop a run before a turn that could take it over this cost; 0: no limit. Default: 5 dollars. The "
            "practice model's cost is simulated.",
        ),
        click.option(
            "--max-time",
            type=_Positive(),
            metavar="SECONDS",
            help="Stop a run after this wall-clock time, in the middle of a turn too.",
        ),
        click.option(
            "--memory-files",
            type=click.Choice(["ask", "always", "never"]),
            help="Whether the folder's AGENTS.md and CLAUDE.md go to the model. Default: once you agreed.",
        ),
        click.option(
            "--append-system-prompt",
            metavar="TEXT",
            help="Add this to the system prompt of a new session.",
        ),
        *rule_options("Allow what this rule covers, such as 'Bash(git add *)', for this start"),
        click.option("--offline", is_flag=True, help="Use the built-in practice model; needs no key and no network."),
        click.option(
            "--scenario",
            type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
            metavar="FILE",
            help="Play this scenario on the practice model. Implies --offline.",
        ),
        _data_dir,
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _start(ctx: click.Context, /, *, resume: str | None, unattended: bool = False) -> Start:
    given = ctx.params
    if resume and given["continue_"]:
        raise click.UsageError("Use either --continue or --resume.")
    cwd = given["cwd"] or current_folder()
    rules = given_rules(ctx)
    if any(rules.values()):
        checked_rules(rules, ctx.obj, cwd)
    return Start(
        runtime=ctx.obj,
        cwd=cwd,
        folders=tuple(str(folder) for folder in given["add_dir"]),
        move=given["cwd"] is not None and bool(resume),
        continue_=given["continue_"],
        resume=resume or "",
        model=given["model"],
        mode=given["mode"] or "",
        effort=given["effort"],
        max_turns=given["max_turns"],
        limits={
            f"run.{kind}": float(given[f"max_{kind}"])
            for kind in ("tokens", "cost", "time")
            if given[f"max_{kind}"] is not None
        },
        offline=given["offline"] or given["scenario"] is not None,
        scenario=given["scenario"],
        data_dir=given["data_dir"],
        unattended=unattended,
        memory_files=given["memory_files"] or "",
        system_prompt=given["append_system_prompt"] or "",
        rules=rules,
    )


@click.group(
    cls=PromptGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="In place of PROMPT, a word that is exactly a command's name is that command. For a prompt of "
    "such a word: tui-agent -- demo. ANTHROPIC_API_KEY and ANTHROPIC_BASE_URL say which server answers; "
    "with neither, the offline practice model does.",
)
@click.argument("prompt", required=False)
@_session_options
@click.option(
    "--resume",
    "-r",
    is_flag=False,
    flag_value=CHOOSE,
    metavar="[SESSION]",
    shell_complete=_complete_session,
    help="Go on with a session: its id, or a part that only one id holds. Without SESSION: choose on screen.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, /, *, prompt: str | None = None, resume: str | None, **_: object) -> None:
    """Work on the files of a folder together with a model, in a full-screen terminal app.

    PROMPT, if given, is sent as soon as the app is up.
    """
    if ctx.invoked_subcommand is None:
        choose = resume == CHOOSE
        start = replace(_start(ctx, resume=None if choose else resume), on_screen=True)
        if start.resume:
            start = replace(start, resume=_find(start.paths, start.resume))
        _screen(start, prompt=prompt or "", choose=choose)


@cli.command(epilog=EXIT_CODES)
@click.option(
    "--prompt",
    "-p",
    metavar="PROMPT",
    help="What to do; - reads it from standard input, the default for a pipe.",
)
@click.option(
    "--output",
    "-o",
    type=click.Choice(["text", "json", "stream-json"]),
    default="text",
    help="text: the answers. json: one object at the end. stream-json: each event of the session on a line "
    "of its own, as it happens.",
)
@click.option(
    "--permissions",
    type=click.Choice(["deny", "stdio"]),
    default="deny",
    help="deny: what would ask is denied. stdio: a program answers on standard input, a line of JSON for each "
    'permission.requested that stream-json shows: {"request": ID, "verdict": "allow" or "deny"}.',
)
@click.option(
    "--protocol",
    type=click.Choice(["stdio"]),
    help="Serve the session to another program: it sends submissions on standard input, a line of JSON each, and "
    "gets every event on standard output, until its input ends. See: tui-agent schema.",
)
@_session_options
@click.option("--resume", "-r", metavar="SESSION", shell_complete=_complete_session, help="Go on with this session.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    *,
    prompt: str | None,
    output: Any,
    permissions: str,
    protocol: str | None,
    resume: str | None,
    **_: object,
) -> None:
    """Run one prompt without a screen.

    The answers go to standard output, what happens beside them to standard error. Nobody is there to ask:
    what would ask is denied, and said so (see --mode and --permissions). Ctrl+C interrupts the run and keeps the
    session.
    """
    if protocol is not None:
        if prompt is not None or output != "text" or permissions != "deny":
            raise click.UsageError("--protocol stdio goes without --prompt, --output and --permissions.")
        ctx.exit(_serve(_start(ctx, resume=resume)))
    answered = permissions == "stdio"
    if answered and (output != "stream-json" or prompt in {None, "-"}):
        raise click.UsageError("--permissions stdio needs --output stream-json, and the prompt with -p.")
    if prompt is None and sys.stdin.isatty():
        raise click.UsageError("Nothing to do: give a prompt with -p, or pipe one in.")
    if prompt is None or prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    if not prompt.strip():
        raise click.UsageError("The prompt is empty.")
    start = _start(ctx, resume=resume, unattended=not answered)
    from tui_agent.headless import run_headless

    text = prompt
    answers = 0 if answered else None
    watch = ExitWatch()
    try:
        code = _await(
            lambda: run_headless(start.open, text, output, sys.stdout, sys.stderr, answers=answers, watch=watch)
        )
    finally:
        watch.end()
    ctx.exit(code)


def _serve(start: Start) -> int:
    from tui_agent.headless import run_protocol

    return _await(lambda: run_protocol(start.open, sys.stdout, 0))


@cli.command()
@click.argument("kind", type=click.Choice(["events", "submissions"]))
def schema(*, kind: str) -> None:
    """Print the JSON Schema of what a session writes (events) or takes (submissions).

    They are the lines of: tui-agent run --protocol stdio.
    """
    import json

    if kind == "events":
        from tui_agent.events import event_adapter

        found = event_adapter().json_schema()
    else:
        from tui_agent.submissions import schema as submission_schema

        found = submission_schema()
    click.echo(json.dumps(found, indent=2))


@cli.command()
@_data_dir
@click.pass_context
def demo(ctx: click.Context, /, *, data_dir: Path | None) -> None:
    """Watch the app mend a small sample project.

    The project is copied to a temporary folder, and a scenario plays the model's part: it is no language
    model. It asks before it edits and before it runs a command; you decide.
    """
    _need_terminal("tui-agent run --scenario FILE -p PROMPT", ctx.obj.environment)
    import tempfile

    from tui_agent.models.offline.demo import copy_demo, demo_scenario, demo_scenario_file

    project = copy_demo(Path(tempfile.mkdtemp(prefix="tui-agent-demo-")) / "basket")
    with demo_scenario_file() as scenario:
        start = Start(runtime=ctx.obj, cwd=project, offline=True, scenario=scenario, data_dir=data_dir)
        _screen(start, prompt=demo_scenario().prompt)
    click.echo(f"The sample project, as you left it: {project}")


@cli.command()
@click.option("--here", is_flag=True, help="Only those of this folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@_data_dir
@click.pass_context
def sessions(ctx: click.Context, /, *, here: bool, as_json: bool, data_dir: Path | None) -> None:
    """List the sessions, one a line, the one used last first.

    On a terminal, more than fit on it are shown in the pager ($PAGER).
    """
    import json
    import shutil
    from dataclasses import asdict

    from tui_agent.session import list_sessions

    paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    folder = current_folder() if here else None
    found = _await(lambda: list_sessions(paths.data, folder))
    if as_json:
        click.echo(json.dumps([asdict(session) for session in found], default=str, indent=2))
        return
    lines = [_session_line(session, ctx.obj.home, in_folder=here) for session in found]
    if sys.stdout.isatty() and len(lines) >= shutil.get_terminal_size().lines:
        click.echo_via_pager("\n".join(lines) + "\n")
    else:
        for line in lines:
            click.echo(line)
    if not found:
        where = f"of {folder} " if folder else ""
        click.echo(inert_line(f"No sessions {where}in {paths.sessions} yet."), err=True)


def _session_line(session: SessionSummary, home: Path, *, in_folder: bool) -> str:
    import time

    if session.problem:
        return f"{session.id}  {inert_line(session.problem)}"
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.updated))
    prompts = f"{session.prompts:>3} prompt{' ' if session.prompts == 1 else 's'}"
    spent = f"{prompts}  ${session.cost:.2f}{' simulated' if session.offline else ''}"
    workspace = session.workspace
    if workspace == str(home) or workspace.startswith(f"{home}/"):
        workspace = "~" + workspace[len(str(home)) :]
    where = "" if in_folder else f"  ({inert_line(workspace)})"
    title = inert_line(session.title) or "(no prompt yet)"
    return f"{session.id}  {used}  {spent}  {session.state_words:<11}  {title}{where}"


@cli.command()
@click.argument("kind", type=click.Choice(["tools", "commands"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, with input schemas.")
def registry(*, kind: str, as_json: bool) -> None:
    """List the tools that a model can be offered, or the commands that you can give.

    Each with its source, trust tier and effect class. Nothing of their code is imported for that.
    """
    import json
    from dataclasses import asdict
    from textwrap import fill

    from tui_agent.registry import load_commands, load_tools

    entries = [*load_tools().values()] if kind == "tools" else [*load_commands().values()]
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        name = entry.name if kind == "tools" else f"/{entry.name}"
        click.echo(f"{inert_line(name):<14} {entry.tier:<9} {entry.effect:<12} {inert_line(entry.source)}")
        click.echo(fill(inert_line(entry.description), 100, initial_indent="    ", subsequent_indent="    "))


for _command in (permissions, audit, trust):
    cli.add_command(_command)


@cli.command(
    epilog="The chain is tamper-evident: a changed, removed or added event is named. "
    "Exit code 1 if anything is wrong."
)
@click.argument("session", required=False, shell_complete=_complete_session)
@click.option("--all", "all_sessions", is_flag=True, help="Check every session.")
@_data_dir
@click.pass_context
def verify(ctx: click.Context, /, *, session: str | None, all_sessions: bool, data_dir: Path | None) -> None:
    """Check a session's journal: the hash chain, and that a fold from its start gives the stored state."""
    paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    if bool(session) == all_sessions:
        raise click.UsageError("Name a session, or use --all.")
    ids = paths.session_ids() if all_sessions else [_find(paths, session or "")]
    from tui_agent.journal import JournalError
    from tui_agent.session import verify_session

    async def check(name: str) -> tuple[bool, str]:
        try:
            result = await verify_session(paths.session_database(name), ctx.obj)
        except JournalError as error:
            return False, str(error)
        return result.ok, result.message

    bad = 0
    for name in ids:
        ok, message = _await(lambda name=name: check(name))  # type: ignore[misc]
        bad += not ok
        click.echo(f"{'ok ' if ok else 'BAD'} {name}  {inert_line(message)}")
    if all_sessions:
        click.echo(f"{len(ids)} sessions checked, {bad} bad.")
    ctx.exit(1 if bad else 0)


@cli.command()
@click.argument("session", shell_complete=_complete_session)
@_data_dir
@click.pass_context
def export(ctx: click.Context, /, *, session: str, data_dir: Path | None) -> None:
    """Write a session's events to standard output: a line of JSON each, with its place in the hash chain.

    Secrets of this environment are taken out.
    """
    paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    database = paths.session_database(_find(paths, session))
    from tui_agent.journal import JournalError
    from tui_agent.journal.export import export_jsonl
    from tui_agent.redaction import Redactor

    try:
        for line in export_jsonl(database, Redactor(ctx.obj.environment)):
            click.echo(json_line(line, sys.stdout))
    except JournalError as error:
        raise _Unusable(inert(str(error))) from error


@cli.command(
    epilog="""\b
bash:  echo 'eval "$(tui-agent completion bash)"' >> ~/.bashrc
zsh:   echo 'eval "$(tui-agent completion zsh)"' >> ~/.zshrc
fish:  tui-agent completion fish > ~/.config/fish/completions/tui-agent.fish
"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> None:
    """Print the script that makes the shell complete commands, options and session ids."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"No completion for {shell}.")
    click.echo(kind(cli, {}, PROGRAM, COMPLETION_VARIABLE).source())


class _Unusable(click.ClickException):
    """The session cannot be opened."""

    exit_code = 2


def _await(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run `work` to its end; what a user can mend becomes one clear message."""
    import asyncio

    from tui_agent.journal import JournalError
    from tui_agent.models import CatalogError
    from tui_agent.models.offline.scenario import ScenarioError

    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        sys.exit(130)
    except (SessionError, JournalError, CatalogError, ScenarioError) as error:
        raise _Unusable(inert(str(error))) from error


def _find(paths: Paths, name: str) -> str:
    try:
        return find_session(paths, name)
    except SessionError as error:
        raise _Unusable(inert(str(error))) from error


def _need_terminal(instead: str, environment: Mapping[str, str]) -> None:
    term = environment.get("TERM", "")
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(f"The full-screen app needs a terminal. Without one: {instead}")
    if term in DUMB_TERMINALS:
        name = f"TERM is {term!r}" if term else "TERM is not set"
        raise click.UsageError(f"The full-screen app needs a terminal with a cursor, but {name}. Without: {instead}")


def _screen(start: Start, *, prompt: str, choose: bool = False) -> None:
    """Run the app; exits with its code unless that is 0."""
    _need_terminal('tui-agent run -p "PROMPT"', start.runtime.environment)
    from tui_agent.config.early import early_theme
    from tui_agent.ui import run_app

    if sys.__stderr__ is not None:  # what the screen is written to; every terminal of today shows UTF-8
        sys.__stderr__.reconfigure(encoding="utf-8")
    code = run_app(
        None if choose else start.open,
        options=start.options,
        prompt=prompt,
        theme=early_theme(start.paths, start.runtime.environment),
        theme_folders=[start.paths.config / "themes"],
        environment=start.runtime.environment,
    )
    if code:
        sys.exit(code)
