"""Mistakes to build into the product, so that the harness shows that it would notice them."""

from __future__ import annotations

import inspect
import os
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from tui_agent.runtime import Runtime


@dataclass(frozen=True)
class Fault:
    """A mistake in the product. `install` makes it, in this process only; call it before the app is imported.

    `trial` says how the harness looks for it: by power-loss images of `journal`, `session` or `recovery`, by
    two `windows` on one session, by a kill in the midst of a `stream`, or by one at a failpoint and its hit.
    """

    text: str
    install: Callable[[], None]
    trial: Literal["journal", "session", "recovery", "windows", "stream"] | tuple[str, int]


def _rewrite(owner: Any, name: str, *changes: tuple[str, str], **names: Any) -> None:
    """Replace texts in the source of a function of a module or class; `names` can be used in the new texts."""
    function = inspect.getattr_static(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in changes:
        assert old in source, f"{name} has changed: {old!r} is not in it"
        source = source.replace(old, new)
    module = owner if isinstance(owner, ModuleType) else inspect.getmodule(owner)
    assert module is not None
    vars(module).update(names)
    made: dict[str, Any] = {}
    exec("from __future__ import annotations\n" + source, vars(module), made)
    setattr(owner, name, made[name])


def _outcome_not_synced() -> None:
    from tui_agent.journal import writer

    _rewrite(writer.Writer, "_set_durability", ("if full else", "if False else"))


def _session_folder_not_synced() -> None:
    from tui_agent import private
    from tui_agent.journal import opening

    _rewrite(private, "make_missing", ("os.fsync(descriptor)", "pass"))
    vars(opening)["make_missing"] = private.make_missing


def _start_not_synced() -> None:
    from tui_agent.sandbox import command

    source = Path(command.__file__).with_name("runner.py").read_text()
    begin, end = source.index("    def _write_start"), source.index("    def _write_exit")
    careless = source[begin:end].replace("os.fsync(file)", "pass").replace("_sync_folder()", "pass")
    folder = Path(tempfile.mkdtemp(prefix="careless-runner-"))
    (folder / "runner.py").write_text(source[:begin] + careless + source[end:])
    command.__file__ = str(folder / "command.py")  # the runner is started by its path beside this one


RUNNER_POINTS = {
    "before its start record": "        if not self._write_start():\n",
    "after its start record": '        os.write(gate_write, b"+")\n',
    "while the command runs": "        timeout: float | None = ",
    "after the command": "        assert self.status is not None\n",
    "before its exit record": '    os.rename(f"{name}.tmp", name)\n',
}
"""Where a runner can die, by the text in its source before which that is."""


def mortal_runner(point: str, *, app_too: bool, mark: Path) -> None:
    """Let the runner of one command kill itself at a point, and this process before; `mark` is made when it does."""
    from tui_agent.sandbox import command

    source = Path(command.__file__).with_name("runner.py").read_text()
    text = RUNNER_POINTS[point]
    assert source.count(text) == 1, f"the runner has changed: {text!r}"
    wait = "time.sleep(0.15), " if point == "while the command runs" else ""
    indent = text[: len(text) - len(text.lstrip())]
    source = source.replace(text, f"{indent}{wait}_die()\n".replace(", _die", "; _die") + text)
    victims = f"[{os.getpid()}, os.getpid()]" if app_too else "[os.getpid()]"
    dying = (
        "def _die():\n"
        f"    try: os.close(os.open({str(mark)!r}, os.O_CREAT | os.O_EXCL))\n"
        "    except FileExistsError: return\n"
        f"    for victim in {victims}: os.kill(victim, 9)\n\n\n"
    )
    source = source.replace("def main(", dying + "def main(", 1)
    folder = Path(tempfile.mkdtemp(prefix="mortal-runner-"))
    (folder / "runner.py").write_text(source)
    command.__file__ = str(folder / "command.py")  # the runner is started by its path beside this one


def _rename_not_synced() -> None:
    from tui_agent.tools import files

    _rewrite(files, "write_file", ("os.fsync(folder)", "pass"))


def _content_not_synced() -> None:
    from tui_agent.tools import files

    _rewrite(files, "_write_temporary", ("os.fsync(file.fileno())", "pass"))


def _adopted_not_synced() -> None:
    from tui_agent.tools import files

    files.sync_name = lambda path: None


def _write_in_place() -> None:
    from tui_agent.tools import files

    def careless(path: Path, data: bytes, runtime: Runtime) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            runtime.failpoint("fault.written")
            file.write(data[len(data) // 2 :])

    _rewrite(
        files,
        "write_file",
        (
            "os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)",
            "careless(target.real, data, runtime)",
        ),
        careless=careless,
    )


def _intent_after_effect() -> None:
    from tui_agent.workflow.executor import StepExecutor

    point = 'self.runtime.failpoint("workflow.before_intent")'
    run = "outcome = await tool.run(call, plan.intent, context)"
    _rewrite(StepExecutor, "_start", (run, "pass"), (point, f"{run}; {point}"))


def _no_probe() -> None:
    from tui_agent.workflow.executor import StepExecutor

    async def careless(self: StepExecutor, step: Any, call: Any, tool: Any, metadata: Any) -> None:
        context = self.host.tool_context(step)
        outcome = await tool.run(call, (await tool.plan(call, context)).intent, context)
        await self._acknowledge(step.id, outcome, 0.0, recovered=True)

    StepExecutor._recover = careless  # type: ignore[method-assign]


def _commit_after_acknowledgement() -> None:
    from tui_agent.journal.writer import OpenFile, Writer

    original = Writer.__init__

    def careless(self: Writer, file: OpenFile, *rest: Any) -> None:
        original(self, file, *rest)
        self._connection = _Lazy(self._connection)  # type: ignore[assignment]

    Writer.__init__ = careless  # type: ignore[method-assign,assignment]


class _Lazy:
    """A connection that commits only when it is used for the next time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._late = False

    def execute(self, sql: str, *rest: Any) -> Any:
        if sql == "COMMIT":
            self._late = True
            return None
        if sql == "ROLLBACK" and self._late:
            return None
        self._catch_up()
        return self._connection.execute(sql, *rest)

    def close(self) -> None:
        self._catch_up()
        self._connection.close()

    def _catch_up(self) -> None:
        if self._late:
            self._late = False
            self._connection.execute("COMMIT")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _paint_before_chunk() -> None:
    from tui_agent.journal import Committed, Journal

    async def careless(self: Journal, *deltas: Any) -> None:
        for delta in deltas:
            for callback in self._callbacks:
                callback((Committed(self._stamp(delta)[0], self.item_count - 1, None),))

    Journal.append_chunks = careless  # type: ignore[method-assign]


def _command_without_runner() -> None:
    import asyncio

    from tui_agent.events import Intent
    from tui_agent.tools.bash import Bash
    from tui_agent.workflow.tool import Call, Outcome, ToolContext

    async def careless(self: Bash, call: Call, intent: Intent, context: ToolContext) -> Outcome:
        process = await asyncio.create_subprocess_shell(
            str(call.input["command"]), cwd=context.workspace, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        context.runtime.failpoint("fault.ran")
        return Outcome([{"type": "text", "text": output.decode() or "(no output)"}], exit_code=0)

    Bash.run = careless  # type: ignore[method-assign]


def _no_lock() -> None:
    from tui_agent.journal import lock

    _rewrite(lock.FileLock, "_take", ("fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass"))


FAULTS: dict[str, Fault] = {
    "outcome-not-synced": Fault("commits do not wait for the disk", _outcome_not_synced, "journal"),
    "folder-not-synced": Fault("a new session's folders are not synced", _session_folder_not_synced, "journal"),
    "start-not-synced": Fault("a command runs before its start record is synced", _start_not_synced, "journal"),
    "rename-not-synced": Fault("a file is renamed and its folder not synced", _rename_not_synced, "session"),
    "content-not-synced": Fault("a file is renamed before its content is synced", _content_not_synced, "session"),
    "adopted-not-synced": Fault(
        "a rename found done after a kill is taken over unsynced", _adopted_not_synced, "recovery"
    ),
    "late-commit": Fault(
        "an event is acknowledged before it is committed",
        _commit_after_acknowledgement,
        "session",
    ),
    "intent-after-effect": Fault(
        "a step's intent is written after its effect", _intent_after_effect, ("workflow.before_intent", 3)
    ),
    "no-probe": Fault("a step cut off is run again unseen", _no_probe, ("workflow.before_outcome", 3)),
    "write-in-place": Fault("a file is written in place", _write_in_place, ("fault.written", 2)),
    "no-runner": Fault("a command runs as a plain child", _command_without_runner, ("fault.ran", 1)),
    "paint-first": Fault("streamed text is painted before it is on disk", _paint_before_chunk, "stream"),
    "no-lock": Fault("two windows write one session", _no_lock, "windows"),
}
"""Every seeded fault by its name."""
