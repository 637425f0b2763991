"""The commands about permissions: dry run, audit, folder trust. Heavy imports are inside: `--help` is instant."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.core import ParameterSource

from tui_agent.config.paths import Paths, find_paths
from tui_agent.prompt_group import FOLDER, current_folder
from tui_agent.redaction import Redactor
from tui_agent.session.errors import SessionError
from tui_agent.text import inert, inert_line

if TYPE_CHECKING:
    from tui_agent.permissions.narrowing import Narrowing
    from tui_agent.permissions.rules import RuleSet, RuleVerdict
    from tui_agent.permissions.trail import AuditEntry, Query, Trail
    from tui_agent.runtime import Runtime
    from tui_agent.session.audit import Audit

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_data_dir = click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where sessions are kept."
)
_folder = click.option(
    "--cwd",
    type=FOLDER,
    callback=lambda ctx, param, given: given or current_folder(),
    metavar="DIR",
    help="The folder. Default: the current one.",
)
_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def rule_options(allow: str) -> list[Callable[[Any], Any]]:
    """Return the options that add rules; `allow` says what the first one does, without a full stop."""
    return [
        click.option("--allow", multiple=True, metavar="RULE", help=f"{allow}. Can be given several times."),
        click.option("--ask", multiple=True, metavar="RULE", help="Ask before what this rule covers."),
        click.option("--deny", multiple=True, metavar="RULE", help="Deny what this rule covers."),
    ]


def given_rules(ctx: click.Context) -> dict[RuleVerdict, tuple[str, ...]]:
    """Return the rules of the command line, by verdict."""
    return {"allow": ctx.params["allow"], "ask": ctx.params["ask"], "deny": ctx.params["deny"]}


def checked_rules(rules: Mapping[RuleVerdict, Iterable[str]], runtime: Runtime, folder: Path) -> RuleSet:
    """Return the rules of the command line, parsed. Refuses one that cannot be used as wrong usage."""
    from tui_agent.permissions.rule_sources import flag_rules
    from tui_agent.permissions.rules import RuleError

    try:
        return flag_rules(rules, home=str(runtime.home), base=str(folder))
    except RuleError as error:
        raise click.UsageError(inert(str(error))) from error


@click.group()
def permissions() -> None:
    """Look what the rules decide, without running anything."""


def _rules(function: Decorated) -> Decorated:
    for option in reversed(rule_options("As in a session that was started with this rule")):
        function = option(function)
    return function


@permissions.command()
@click.option("--tool", metavar="NAME", help="Check one call of this tool. Without: JSON lines on standard input.")
@click.option("--input", "call_input", metavar="JSON", help="That call's input, an object.")
@click.option(
    "--mode",
    type=click.Choice(["ask", "accept-edits", "plan", "sandboxed", "bypass"]),
    help="Default: that of the settings.",
)
@click.option(
    "--sandbox",
    type=click.Choice(["available", "reduced", "none"]),
    help="What commands run in. Default: what this machine and the settings have.",
)
@click.option("--agent", "agent_types", multiple=True, metavar="TYPE", help="As an agent of this type would ask.")
@click.option("--add-dir", type=FOLDER, multiple=True, metavar="DIR", help="As in a session with this folder added.")
@click.option("--grant", "grants", multiple=True, metavar="RULE", help="As in a session with this grant.")
@_rules
@_folder
@_data_dir
@click.pass_context
def check(
    ctx: click.Context,
    /,
    *,
    tool: str | None,
    call_input: str | None,
    mode: str | None,
    sandbox: Literal["available", "reduced", "none"] | None,
    agent_types: tuple[str, ...],
    grants: tuple[str, ...],
    add_dir: tuple[Path, ...],
    cwd: Path,
    data_dir: Path | None,
    **_: object,
) -> None:
    """Decide calls as a session would, and print the decisions, a line of JSON each; nothing is run, nobody asked.

    A line of input is {"tool", "input", "cwd", "mode", "sandbox", "agent_type", "grants": [rules],
    "folders": [paths], "tier", "allow": [rules], "ask": [rules], "deny": [rules]}; all but tool and input may be left
    out, and the options below hold where it does not say. The rules come on top of those that hold in the folder. A
    command's input may have "access": sandbox, write, network or full.
    """
    if (tool is None) != (call_input is None):
        raise click.UsageError("--tool and --input go together.")
    import asyncio

    from tui_agent.agents.agent_type import load_agent_types
    from tui_agent.config.settings import load_settings
    from tui_agent.permissions.check import CheckDefaults, check_lines
    from tui_agent.permissions.narrowing import together
    from tui_agent.permissions.rule_sources import load_rules
    from tui_agent.sandbox import Sandbox
    from tui_agent.session.folders import FolderGuard

    more = checked_rules(given_rules(ctx), ctx.obj, cwd)
    paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    home = ctx.obj.home
    settings = load_settings(paths, cwd, ctx.obj.environment).settings
    if sandbox is None:
        own = Sandbox(ctx.obj, cwd, paths.data, paths.config, paths.data / "check", settings.sandbox == "on")
        found = asyncio.run(own.state())
        sandbox = "none" if found.kind == "none" else "reduced" if found.reduced else "available"

    def narrowing(types: Sequence[str]) -> Narrowing:
        known = load_agent_types(home)
        return together(known[name].narrowing for name in types)

    rules = load_rules(paths.config, cwd, home)
    guard = FolderGuard(cwd, home, (paths.data, paths.config))
    try:
        added = [guard.checked(str(folder)) for folder in add_dir]
    except SessionError as error:
        raise click.UsageError(str(error)) from error
    for found_folders, refused in (guard.from_settings(settings.additional_directories), guard.from_files(rules)):
        added += found_folders
        for problem in refused:
            click.echo(inert_line(problem), err=True)
    defaults = CheckDefaults(
        workspace=str(cwd),
        home=str(home),
        protected=(str(paths.config), str(paths.data)),
        rules=rules.rules.plus(more),
        mode=mode or settings.mode,
        sandbox=sandbox,
        agent_types=agent_types,
        grants=grants,
        folders=tuple(added),
        narrowing=narrowing,
    )
    lines: Any = sys.stdin.buffer
    if tool is not None:
        try:
            lines = [json.dumps({"tool": tool, "input": json.loads(call_input or "")})]
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--input is not valid JSON: {error}") from error
    failed = False
    for answer in check_lines(lines, defaults):
        failed = failed or answer.startswith('{"error"')
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()
    ctx.exit(1 if failed and tool is not None else 0)


def _query_options(function: Decorated) -> Decorated:
    options = [
        click.option("--tool", default="", metavar="NAME", help="Only calls of this tool."),
        click.option(
            "--verdict",
            type=click.Choice(["allow", "ask", "deny"]),
            help="allow and deny: how it ended. ask: what the user was to decide.",
        ),
        click.option("--rule", default="", metavar="TEXT", help="Only where a rule with this text had a part in it."),
        click.option("--agent", default="", metavar="ID", help="Only calls of this agent; main is the first one."),
        click.option("--session", default="", metavar="ID", help="Only this session; a part of its id will do."),
        click.option("--since", metavar="TIME", help="Not before: 30m, 12h, 7d, 2w ago, or 2026-01-31 (UTC)."),
        click.option("--until", metavar="TIME", help="Before, written in the same way."),
        _data_dir,
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@_query_options
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each decision, with every reason.")
@click.pass_context
def audit(ctx: click.Context, /, *, as_json: bool, **given: Any) -> None:
    """List what was decided in all sessions, oldest first, and by what."""
    if ctx.invoked_subcommand is not None:
        ctx.default_map = {ctx.invoked_subcommand: _options_before(ctx)}
        return
    secrets = Redactor(ctx.obj.environment)
    trail = _trail(ctx, given["data_dir"], _query(ctx, given))
    for entry in trail.entries:
        shown = json.dumps(secrets.value(entry.as_json()), ensure_ascii=True) if as_json else _line(entry)
        click.echo(secrets.text(shown))
    _report(trail.problems)
    if not as_json:
        click.echo(f"{len(trail.entries)} decisions", err=True)


def _options_before(ctx: click.Context) -> dict[str, Any]:
    """Return the options that stood before the command; they count for it, and it must have them."""
    command = audit.commands[ctx.invoked_subcommand or ""]
    known = {param.name for param in command.params}
    given = {}
    for param in audit.params:
        name = param.name or ""
        if ctx.get_parameter_source(name) in {ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP}:
            if name not in known:
                ctx.fail(f"{param.opts[0]} has no meaning for the command {command.name!r}.")
            given[name] = ctx.params[name]
    return given


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each grant.")
@_data_dir
@click.pass_context
def grants(ctx: click.Context, /, *, as_json: bool, data_dir: Path | None) -> None:
    """List the grants that live: what sessions may do without asking until they are revoked."""
    trail = _trail(ctx, data_dir)
    for session, found in trail.grants.items():
        for grant in found:
            if as_json:
                click.echo(json.dumps({"session": session, "grant": grant.pattern, "granted": grant.granted}))
            else:
                click.echo(f"{session}  {_when(grant.granted)}  {inert_line(grant.pattern)}")
    _report(trail.problems)


@audit.command()
@click.argument("session")
@click.argument("grant")
@_data_dir
@click.pass_context
def revoke(ctx: click.Context, /, *, session: str, grant: str, data_dir: Path | None) -> None:
    """Take a grant of a session back. In a session that is open, do it there: /audit."""
    import asyncio

    from tui_agent.journal import JournalError
    from tui_agent.opening import find_session
    from tui_agent.session.audit import revoke_grant

    paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    try:
        asyncio.run(revoke_grant(paths, find_session(paths, session), grant, ctx.obj))
    except (SessionError, JournalError) as error:
        raise click.ClickException(inert(str(error))) from error
    click.echo(f"Revoked: {inert_line(grant)}")


@audit.command("what-if")
@_query_options
@click.option("--allow", multiple=True, metavar="RULE", help="Add this rule. Can be given several times.")
@click.option("--ask", multiple=True, metavar="RULE", help="Add this rule.")
@click.option("--deny", multiple=True, metavar="RULE", help="Add this rule.")
@click.option("--without", multiple=True, metavar="RULE", help="Leave out rules with this text.")
@click.option(
    "--rules",
    "user_file",
    type=click.Path(exists=True, dir_okay=False, resolve_path=True, path_type=Path),
    metavar="FILE",
    help="Take this file in place of your permissions.toml.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def what_if(
    ctx: click.Context,
    /,
    *,
    allow: tuple[str, ...],
    ask: tuple[str, ...],
    deny: tuple[str, ...],
    without: tuple[str, ...],
    user_file: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Decide the past anew under other rules: what would run, what not, how many questions fewer."""
    from tui_agent.journal import JournalError
    from tui_agent.session.audit import RuleChange

    secrets = Redactor(ctx.obj.environment)
    change = RuleChange(allow, ask, deny, without, user_file)
    try:
        found, problems = _audit(ctx, given["data_dir"]).what_if(_query(ctx, given), change)
    except JournalError as error:
        raise click.ClickException(inert(str(error))) from error
    if as_json:
        click.echo(json.dumps(secrets.value(found.as_json()), ensure_ascii=True))
        _report(problems)
        return
    for title, changes in (("Newly allowed", found.newly_allowed), ("Newly blocked", found.newly_blocked)):
        click.echo(f"{title}: {len(changes)}")
        for one in changes:
            click.echo(secrets.text(f"  {one.before} -> {one.after}  {_line(one.entry)}"))
    asking = [one for one in found.changes if one.after == "ask"]
    click.echo(f"Newly asked: {len(asking)}")
    for one in asking:
        click.echo(secrets.text(f"  {one.before} -> ask  {_line(one.entry)}"))
    click.echo(f"Prompts saved: {found.prompts_saved} of {found.calls} calls")
    for title, rules in (("Never matched", found.never_matched), ("Without effect", found.shadowed)):
        click.echo(f"{title}: {len(rules)}")
        for rule in rules:
            where = f"{rule.origin.file}:{rule.origin.line}" if rule.origin.line else rule.origin.file
            click.echo(f"  {rule.verdict} {inert_line(rule.text)}  ({inert_line(where)})")
    _report(problems)


@click.command()
@_folder
@click.option("--yes", is_flag=True, help="Do not ask.")
@_data_dir
@click.pass_context
def trust(ctx: click.Context, /, *, cwd: Path, yes: bool, data_dir: Path | None) -> None:
    """Let a folder's own rule files allow what they want to, and its memory files go to the model, as they are now.

    When one of them changes, trust is gone: what they would allow asks again until you trust them anew.
    """
    from tui_agent.context import describe_held

    found = _audit(ctx, data_dir)
    rules = found.rules(str(cwd))
    held = found.held_memory(str(cwd))
    for line in describe_held(held):
        click.echo(f"  for the model: {inert_line(line)}")
    if held:
        if not yes:
            click.confirm("Give these files to the model?", abort=True)
        try:
            found.agree_to_memory(str(cwd), held)
        except OSError as error:
            raise click.ClickException(inert(f"The agreement cannot be kept: {error}")) from error
        click.echo("They go to the model, as long as they stay as they are.")
        if not rules.held_back:
            return
    if not rules.project_hash:
        raise click.ClickException(f"{inert_line(str(cwd))} has no rules or memory files to trust.")
    if rules.trusted:
        click.echo("It is trusted already.")
        return
    for line in rules.held_back_lines:
        click.echo(f"  allow {inert_line(line)}")
    if not yes:
        click.confirm(f"Let the files of {inert_line(str(cwd))} allow this?", abort=True)
    try:
        found.trust(str(cwd), rules.project_hash)
    except OSError as error:
        raise click.ClickException(inert(f"The trust cannot be kept: {error}")) from error
    click.echo("Trusted, as long as these files stay as they are.")


def _audit(ctx: click.Context, data_dir: Path | None) -> Audit:
    from tui_agent.session.audit import Audit

    paths: Paths = find_paths(ctx.obj.environment, data_dir=data_dir)
    return Audit(paths, ctx.obj)


def _trail(ctx: click.Context, data_dir: Path | None, query: Query | None = None) -> Trail:
    from tui_agent.journal import JournalError

    try:
        return _audit(ctx, data_dir).trail(query)
    except JournalError as error:
        raise click.ClickException(inert(str(error))) from error


def _query(ctx: click.Context, given: dict[str, Any]) -> Query:
    from tui_agent.permissions.trail import Query

    verdict: Literal["", "allow", "ask", "deny"] = given["verdict"] or ""
    return Query(
        tool=given["tool"],
        verdict=verdict,
        rule=given["rule"],
        agent=given["agent"],
        session=given["session"],
        since=_time(given["since"], ctx.obj.now()),
        until=_time(given["until"], ctx.obj.now()),
    )


def _time(text: str | None, now: float) -> float | None:
    if not text:
        return None
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if ago:
        return now - int(ago[1]) * _UNITS[ago[2]]
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is no time: write 7d, 12h, 30m, or 2026-01-31.") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def _line(entry: AuditEntry) -> str:
    decided, judgement = entry.decision, entry.judgement
    what = entry.input.get("command", entry.input.get("path", ""))
    reason = (
        judgement.winner if judgement and decided.by != "person" else "you" if decided.by == "person" else decided.by
    )
    asker = "" if entry.agent == "main" else f" [{entry.agent}]"
    shown = inert_line(f"{entry.tool}{asker} {what if isinstance(what, str) else ''}")
    return f"{_when(entry.time)}  {decided.verdict:<5}  {shown}  ({inert_line(reason)})"


def _report(problems: list[str]) -> None:
    for problem in problems:
        click.echo(inert_line(problem), err=True)
