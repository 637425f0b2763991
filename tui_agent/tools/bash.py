"""The `bash` tool: a command, run by the command runner so that it outlives this program."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tui_agent import sandbox
from tui_agent.events import Intent
from tui_agent.sandbox import Access, CommandError, CommandRecord, Enclosed, SandboxError
from tui_agent.tools.grants import grant_scope
from tui_agent.tools.hints import masked_hint, sandbox_hint, withheld_hint
from tui_agent.tools.spill import link_output
from tui_agent.tools.spool import changed_note, describe_end, left_note, output_view
from tui_agent.workflow import Call, Finding, Outcome, Plan, ToolContext, ToolError, Unknowable, text_result
from tui_agent.workflow.state import BACKGROUND_TIMEOUT

DEFAULT_TIMEOUT = 120.0
"""Seconds a command may run if the call does not say; in the background `BACKGROUND_TIMEOUT`."""

LIVE_BYTES = 256 * 1024
"""Bytes of a running command's output shown live; after that only a little of each piece is."""

_LIVE_TRICKLE = 512
_MOST_NAMED = 10
_ACCESS_SHOWN: dict[Access, str] = {"sandbox": "", "network": " (with network)", "full": " (outside the sandbox)"}
_KILL_PATIENCE = 4.0


class Bash:
    """Runs `bash -c COMMAND` in the workspace."""

    def title(self, call: Call) -> str:
        """Return the command."""
        background = " (background)" if _in_background(call) else ""
        return f"bash {call.input['command']}{_ACCESS_SHOWN[_access(call)]}{background}"

    async def plan(self, call: Call, context: ToolContext) -> Plan:
        """Check that the command can be passed on, and say where its records will be."""
        command = str(call.input["command"])
        try:
            sandbox.shell_argv(command)
        except CommandError as error:
            raise ToolError(str(error)) from error
        intent = Intent(effect="supervised", key=f"{call.step}.{call.attempt}", spool=str(context.spool))
        # A grant for the sandbox is none for more than that.
        scope = grant_scope(command) if _access(call) == "sandbox" else ""
        preview = f"{await _where(call, context)}\n\n{command}"
        return Plan(intent, self.title(call), preview=preview, scope=scope)

    async def run(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Launch the command, and wait for it unless it is to run in the background.

        Cancelled, it ends the command and all it started (SIGTERM, after 2 s SIGKILL) before it returns; but
        when the program closes, the command goes on.
        """
        passed = context.sandbox.passed if context.sandbox is not None else ()
        environment = sandbox.command_environment(context.runtime.environment, passed) | dict(context.environment)
        spool = Path(intent.spool)
        if context.hidden and context.sandbox is None:
            raise ToolError(f"nothing was run: there is no sandbox that keeps {context.hidden[0]} from it")
        try:
            made = Enclosed(sandbox.shell_argv(str(call.input["command"])), environment, None)
            if context.sandbox is not None:
                made = await context.sandbox.enclose(
                    made.argv,
                    environment,
                    spool,
                    _access(call),
                    context.hidden,
                    read_only=context.read_only,
                    protection=context.protection(),
                    unasked=context.unasked,
                )
            await sandbox.start(
                spool,
                made.argv,
                cwd=context.workspace,
                environment=made.environment,
                timeout=_timeout(call),
                runtime=context.runtime,
                limits=context.limits,
                box=made.box,
            )
        except (CommandError, SandboxError) as error:
            raise ToolError(f"nothing was run: {error}") from error
        except asyncio.CancelledError:
            await _end(spool, context)
            raise
        return await self.attach(call, intent, context)

    async def probe(self, call: Call, intent: Intent, context: ToolContext) -> Finding:
        """Tell from the spool how far the command is."""
        record = await asyncio.to_thread(sandbox.inspect, Path(intent.spool))
        if record.state == "never_started":
            return Finding("not_started", "the command has no start record: it never ran")
        began = _clock(record.started)
        if _in_background(call):
            return Finding("finished", f"started in the background {began}", _background(call, record))
        if record.state == "running":
            return Finding("running", f"started {began}, still running as process {record.pid}")
        if record.state == "finished":
            outcome = await _outcome_of(call, record, context)
            return Finding("finished", f"started {began}; {describe_end(record, _timeout(call))}", outcome)
        return Finding("uncertain", await asyncio.to_thread(_last_words, record))

    async def attach(self, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        """Wait for the launched command, show its output as it comes, and return its outcome.

        Raises `Unknowable` when it died together with its runner.
        """
        spool = Path(intent.spool)
        if _in_background(call):
            record = await asyncio.to_thread(sandbox.inspect, spool)
            return _background(call, record)
        try:
            record = await sandbox.wait(spool, _Live(context).show, context.runtime)
        except asyncio.CancelledError:
            await _end(spool, context)
            raise
        context.runtime.failpoint("effect.after")
        if record.state != "finished":
            raise Unknowable(await asyncio.to_thread(_last_words, record))
        return await _outcome_of(call, record, context)


class _Live:
    """Shows a running command's output, the first of it whole and then a trickle."""

    def __init__(self, context: ToolContext) -> None:
        self.context = context
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.shown = 0

    async def show(self, data: bytes, skipped: int) -> None:
        """Show a piece of the output; `skipped` bytes before it are not shown."""
        if self.shown > LIVE_BYTES and len(data) > _LIVE_TRICKLE:
            skipped += len(data) - _LIVE_TRICKLE
            data = data[-_LIVE_TRICKLE:]
        self.shown += len(data)
        text = self.decoder.decode(data)
        if skipped:
            text = f"\n[… {skipped:,} bytes …]\n{text}"
        if text:
            await self.context.output(text)


async def _end(spool: Path, context: ToolContext) -> None:
    """End the command, unless the program closes, and wait for a while until it has ended."""
    if context.closing() or not await asyncio.to_thread(sandbox.kill, spool):
        return

    async def ignore(data: bytes, skipped: int) -> None:
        pass

    try:
        async with asyncio.timeout(_KILL_PATIENCE):
            await sandbox.wait(spool, ignore, context.runtime)
    except TimeoutError:
        # The runner goes on trying; the probe tells how it went.
        return


async def _where(call: Call, context: ToolContext) -> str:
    """Return what the command would be held by, for the user who decides."""
    state = await context.sandbox.state() if context.sandbox is not None else None
    if state is None or state.kind == "none":
        return f"Runs unconfined: {state.detail if state else 'there is no sandbox'}"
    match _access(call):
        case "full":
            return "Runs OUTSIDE the sandbox, with all that you may do."
        case "network":
            return f"Runs in the sandbox ({state.kind}) WITH the network."
        case _:
            return f"Runs in the sandbox ({state.kind}) without network."


async def _outcome_of(call: Call, record: CommandRecord, context: ToolContext) -> Outcome:
    changed = await context.sandbox.after(record.output.parent) if context.sandbox is not None else []
    note = await asyncio.to_thread(context.sandbox.temporary_note) if context.sandbox is not None else ""
    outcome = await asyncio.to_thread(_outcome, call, record, changed, [t for t in (_kept_out(context), note) if t])
    hints = await _hints(call, outcome, context, record.output.parent)
    if not hints:
        return outcome
    return replace(outcome, result=text_result(f"{outcome.result[0]['text']}\n[{'; '.join(hints)}]"))


async def _hints(call: Call, outcome: Outcome, context: ToolContext, spool: Path) -> list[str]:
    """Return what the model should know of the sandbox and the environment to understand this outcome."""
    passed = context.sandbox.passed if context.sandbox is not None else ()
    names = sandbox.withheld(context.runtime.environment, passed)
    command = str(call.input["command"])
    found = [withheld_hint(names, command, outcome.view, failed=outcome.error)]
    if context.sandbox is not None:
        masked = await asyncio.to_thread(context.sandbox.masked, spool)
        found.append(masked_hint(masked, context.workspace, command, outcome.view, failed=outcome.error))
        # A pipe's exit code is its last command's: what only reads is looked at in any case.
        if outcome.error or context.read_only:
            kind = (await context.sandbox.state()).kind
            found.append(sandbox_hint(outcome.view, kind, _access(call), read_only=context.read_only))
    return [hint for hint in found if hint]


def _kept_out(context: ToolContext) -> str:
    """Say which protected files looked empty to the command, empty if none did."""
    root = context.workspace.resolve()
    names = [os.path.relpath(path, root) for path in context.hidden[:_MOST_NAMED]]
    more = f" and {len(context.hidden) - _MOST_NAMED} more" if len(context.hidden) > _MOST_NAMED else ""
    return f"protected, so it looked empty here: {', '.join(names)}{more}" if names else ""


def _last_words(record: CommandRecord) -> str:
    """Return what is known of a command that died with its runner."""
    return (
        f"started {_clock(record.started)} and died without an exit record; nobody knows how far it got. "
        f"{record.problem}\nIts output so far:\n{output_view(record) or '(none)'}"
    )


def _outcome(call: Call, record: CommandRecord, changed: Sequence[str], more: Sequence[str]) -> Outcome:
    view = output_view(record)
    end = describe_end(record, _timeout(call))
    notes = [] if record.exit_code == 0 and not (record.timed_out or record.cancelled) else [end]
    notes += more
    if record.over_limit:
        notes.append(f"was ended because it took {record.over_limit}")
    if record.restored:
        notes.append(f"replaced a protected link, which was put back: {', '.join(record.restored)}")
    if left := left_note(record):
        notes.append(left)
    if record.dropped:
        notes.append(f"{record.dropped:,} bytes of output were dropped, there was too much")
    if record.problem:
        notes.append(f"output could not be kept: {record.problem}")
    if changed:
        notes.append(changed_note(changed))
    text = view or "(no output)"
    if notes:
        text += f"\n[{'; '.join(notes)}]"
    return Outcome(
        text_result(text),
        error=record.exit_code != 0 or record.timed_out or record.cancelled,
        summary=f"{end}; changed what makes git run programs" if changed else end,
        view=view,
        exit_code=record.exit_code,
    )


def _access(call: Call) -> Access:
    match call.input.get("access"):
        case "network":
            return "network"
        case "full":
            return "full"
    return "sandbox"


def _background(call: Call, record: CommandRecord) -> Outcome:
    text = (
        f"Started in the background with id {call.step}; it is ended after {_timeout(call):g} s. Look at it with "
        f"bash_output. Its output is in {link_output(record.output)}"
    )
    return Outcome(text_result(text), summary="in the background")


def _in_background(call: Call) -> bool:
    return call.input.get("background") is True


def _timeout(call: Call) -> float:
    given = call.input.get("timeout")
    if isinstance(given, int | float):
        return float(given)
    return BACKGROUND_TIMEOUT if _in_background(call) else DEFAULT_TIMEOUT


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "at an unknown time"
    return f"at {datetime.fromtimestamp(seconds, UTC):%H:%M:%S} UTC"
