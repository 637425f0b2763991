"""Power losses of the whole app: each image is resumed by the product and worked to the end, then judged."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path

from tests.crash import oracle
from tests.crash.life import make_work
from tests.crash.oracle import Record, Work
from tests.crash.power import Acknowledged, PowerReport, prepare, simulate
from tui_agent.submissions import Resolve, Submit

WORK = make_work("power", durable=True)
AFTER = Work("run echo after-0 >> ledger.txt", ("after-0",))
PATIENCE = 20.0
"""Seconds for a resumed session to come to its end."""


def session_child(root: Path, marks: Path, fault: str = "", kill: tuple[str, int] | None = None) -> list[str]:
    """Return the command to trace: the app without a screen; the events that it prints are the marks.

    With `kill`, it dies at that hit of that failpoint, and goes on in a second process.
    """

    def app(setting: dict[str, object], prompt: str, *more: str) -> str:
        command = [sys.executable, "-m", "tests.crash.app", json.dumps(setting), "run", "-p", prompt]
        command += ["--mode", "bypass", "--offline", "--output", "stream-json", *more]
        command += ["--cwd", str(root / "workspace"), "--data-dir", str(root / "data")]
        return f"{shlex.join(command)} >> {shlex.quote(str(marks))}"

    lines = [app({"fault": fault, "kill": kill}, WORK.prompt)]
    if kill is not None:
        lines.append(app({"fault": fault}, "say 5", "--continue"))
    return ["sh", "-c", "; ".join(lines)]


def judge_session(root: Path, acknowledged: Acknowledged) -> tuple[str, list[str]]:
    """Judge an image: what it holds, then what it holds once the app has resumed it and gone on."""
    path = next(iter(sorted((root / "data" / "sessions").glob("*/session.db"))), None)
    if path is None:
        return "no session yet", ["lost: the session"] if acknowledged.events else []
    before = oracle.read(path)
    problems = _judge_image(root, before, acknowledged)
    asyncio.run(_go_on(root, path.parent.name, problems))
    record = oracle.read(path)
    workspace = root / "workspace"
    prompts = [event["prompt"] for event in record.of("run.started")]
    works = [work for work in (WORK, AFTER) if work.prompt in prompts]
    problems += oracle.check_effects(workspace, works, record)
    problems += oracle.check_history(record)
    problems += oracle.check_kept(before, record)
    findings = sorted({str(event["finding"]) for event in record.of("step.recovered")})
    return "resumed: " + (", ".join(findings) or "no step cut off"), problems


def judge_only(root: Path, acknowledged: Acknowledged) -> tuple[str, list[str]]:
    """Judge what an image holds, without resuming it: many times as fast."""
    path = next(iter(sorted((root / "data" / "sessions").glob("*/session.db"))), None)
    if path is None:
        return "no session yet", ["lost: the session"] if acknowledged.events else []
    record = oracle.read(path)
    cut_off = {event["step"] for event in record.of("step.started")}
    cut_off -= {event["step"] for event in record.of("step.finished")}
    return "in a step" if cut_off else "between steps", _judge_image(root, record, acknowledged)


def _judge_image(root: Path, before: Record, acknowledged: Acknowledged) -> list[str]:
    kept = {event["seq"]: event["hash"] for event in before.events}
    missing = [seq for seq, digest in acknowledged.events.items() if kept.get(seq) != digest]
    problems = [f"lost: {len(missing)} acknowledged events"] if missing else []
    return problems + oracle.check_order(before, root / "workspace", [WORK])


async def _go_on(root: Path, session: str, problems: list[str]) -> None:
    from tui_agent.session import OpenOptions, Update, resume_session

    options = OpenOptions(
        data_dir=root / "data",
        config_dir=root / "config",
        workspace=root / "workspace",
        mode="bypass",
        offline=True,
    )
    handle = await resume_session(session, options)
    changed = asyncio.Event()

    def heard(update: Update) -> None:
        changed.set()

    handle.subscribe(heard)
    try:
        await handle.start()
        for prompt in ("", AFTER.prompt):
            if prompt:
                await handle.do(Submit(prompt=prompt))
            async with asyncio.timeout(PATIENCE):
                while handle.state.conversation.runs:
                    for step in list(handle.state.workflow.steps.values()):
                        if step.status == "uncertain":
                            await handle.do(Resolve(step=step.id, resolution="skip"))
                    changed.clear()
                    if handle.state.conversation.runs:
                        await changed.wait()
    except TimeoutError:
        steps = [(step.tool, step.status) for step in handle.state.workflow.steps.values()]
        problems.append(f"stuck: open steps are {steps}")
    finally:
        await handle.close()


def run_session(folder: Path, *, images: int, seed: int, fault: str = "", enough: int = 0) -> PowerReport:
    """Judge `images` power losses of the whole app, working in `folder`; each is resumed."""
    root, scratch = prepare(folder)
    child = session_child(root, scratch / "marks", fault)
    return simulate(root, child, judge_session, scratch=scratch, images=images, seed=seed, enough=enough)


def run_recovery(folder: Path, *, images: int, seed: int, fault: str = "", enough: int = 0) -> PowerReport:
    """Judge `images` power losses of an app that is killed right after a rename, and of its recovery."""
    root, scratch = prepare(folder)
    child = session_child(root, scratch / "marks", fault, kill=("effect.after", 1))
    return simulate(root, child, judge_only, scratch=scratch, images=images, seed=seed, enough=enough)
