"""One life of the app under a real pseudo-terminal: started, killed, resumed, killed again, and judged."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import oracle
from tests.crash.oracle import Record, Work
from tests.crash.terminal import Terminal
from tui_agent.models.offline.prose import markdown

PROJECT = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which an app that gets no further counts as stuck."""

F4, F6, F7 = "\x1bOS", "\x1b[17~", "\x1b[18~"
"""The keys that go to the permission queue, the conversation and the prompt."""
PAGE_UP, ALT_RIGHT = "\x1b[5~", "\x1b[1;3C"

DRAFT = "a draft that nobody sent"


def make_work(token: str, *, durable: bool = False) -> Work:
    """Return a prompt that writes a file, edits it twice, and runs commands, one of them slow.

    `durable` commands sync what they write, as a power loss must not take it from them.
    """
    name = f"notes-{token}.txt"
    lines = tuple(f"{token}-{number}" for number in range(4))
    sync = "; sync ledger.txt ." if durable else ""
    steps = [
        f"write {name}: mark",
        f"run echo {lines[0]} >> ledger.txt{sync}",
        f"edit {name}: mark => xmark",
        f"run sleep 0.2; echo {lines[1]} >> ledger.txt{sync}",
        f"edit {name}: mark => xmark",
        f"run echo {lines[2]} >> ledger.txt{sync}",
        f"run echo {lines[3]} >> ledger.txt{sync}; echo done",
        "say 80 at 200",
    ]
    return Work(" then ".join(steps), lines, {name: ("", "mark\n", "xmark\n", "xxmark\n")})


def make_next(token: str) -> Work:
    """Return a prompt that shows that a session still works: some text and a command."""
    return Work(f"say 40 then run echo {token}-0 >> ledger.txt", (f"{token}-0",))


def make_asked(token: str) -> Work:
    """Return a prompt whose three steps each need a permission where the mode is to ask."""
    lines = (f"{token}-0", f"{token}-1")
    steps = [
        f"run echo {lines[0]} >> ledger.txt",
        f"write asked-{token}.txt: mark",
        f"run echo {lines[1]} >> ledger.txt",
    ]
    return Work(" then ".join(steps), lines, {f"asked-{token}.txt": ("", "mark\n")})


def make_slow(token: str) -> Work:
    """Return a prompt that runs a slow command and then another."""
    lines = (f"{token}-0", f"{token}-1")
    return Work(f"run sleep 0.3; echo {lines[0]} >> ledger.txt then run echo {lines[1]} >> ledger.txt", lines)


SEVERAL = """
[[turn]]
text = "All of it at once."
[[turn.call]]
tool = "write"
input = { path = "several.txt", content = "mark\\n" }
[[turn.call]]
tool = "bash"
input = { command = "sleep 0.1; echo s-0 >> ledger.txt" }
[[turn.call]]
tool = "edit"
input = { path = "several.txt", edits = [{ old = "mark", new = "xmark" }] }
[[turn.call]]
tool = "bash"
input = { command = "sleep 0.1; echo s-1 >> ledger.txt" }

[[turn]]
text = "Done."

[[turn]]
[[turn.call]]
tool = "bash"
input = { command = "echo b-0 >> ledger.txt" }

[[turn]]
text = "That too."
"""
"""A scenario whose first answer changes four things, and whose second prompt changes one."""


def make_several() -> tuple[Work, Work]:
    """Return the two prompts of `SEVERAL`."""
    files = {"several.txt": ("", "mark\n", "xmark\n")}
    return Work("all at once", ("s-0", "s-1"), files), Work("go on", ("b-0",))


TALK = 250
"""Tokens of the answer that is killed while it streams."""


def make_talk() -> Work:
    """Return a prompt that is answered by a long text, some seconds long."""
    return Work(f"say {TALK} at 150")


def painted_prose(screen: str) -> list[str]:
    """Return the lines on screen that are the practice model's own text, letters and digits only."""
    prose = _plain(markdown(TALK))
    lines = [_plain(line[1:61]) for line in screen.splitlines() if line.startswith("│")]
    return [line for line in lines if len(line) > 25 and line in prose]


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[A-Za-z0-9]+", text))


@dataclass
class Death:
    """How one process of a life ended, and what the session file held then."""

    phase: str
    before: Record
    screen: str


@dataclass
class Verdict:
    """What came of a life. `problems` is empty when all invariants held."""

    deaths: list[Death] = field(default_factory=list)
    findings: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    folder: Path | None = None


class Life:
    """A workspace, its data folder, and the app processes that come and go on them."""

    def __init__(
        self,
        folder: Path,
        *,
        fault: str = "",
        mode: str = "bypass",
        scenario: str = "",
        runner: tuple[str, bool] | None = None,
    ) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.data = folder / "data"
        self.workspace.mkdir(parents=True)
        (folder / "home").mkdir()
        self.works: list[Work] = []
        self.verdict = Verdict(folder=folder)
        self._fault = fault
        self._mode = mode
        self._no_draft = mode == "ask"
        self._scenario = folder / "scenario.toml" if scenario else None
        if self._scenario is not None:
            self._scenario.write_text(scenario)
        self._runner = runner
        self._terminal: Terminal | None = None

    @property
    def terminal(self) -> Terminal:
        """The terminal of the process that runs now, or ran last."""
        assert self._terminal is not None
        return self._terminal

    @property
    def session(self) -> Path:
        """The session file; it need not be there yet."""
        found = sorted((self.data / "sessions").glob("*/session.db"))
        return found[0] if found else self.data / "none"

    def record(self) -> Record:
        """Return what the session file holds now."""
        return oracle.read(self.session)

    def start(self, *, resume: bool, kill: tuple[str, int] | None = None, hits: Path | None = None) -> Terminal:
        """Start the app; with `kill`, it will die at that hit of that failpoint."""
        setting: dict[str, Any] = {"fault": self._fault}
        if kill:
            setting["kill"] = kill
        if hits:
            setting["hits"] = str(hits)
        if self._runner:
            setting["runner"] = [*self._runner, str(self.folder / "runner-died")]
        arguments = ["--offline", "--mode", self._mode, "--data-dir", str(self.data)]
        if self._scenario is not None:
            arguments += ["--scenario", str(self._scenario)]
        if resume and self.session.is_file():
            arguments += ["--resume", self.session.parent.name]
        environment = {
            "HOME": str(self.folder / "home"),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "TUI_AGENT_CONFIG_DIR": str(self.folder / "config"),
        }
        self._terminal = Terminal(
            [sys.executable, "-m", "tests.crash.app", json.dumps(setting), *arguments],
            cwd=self.workspace,
            environment=environment,
        )
        return self._terminal

    def give(self, work: Work) -> None:
        """Type a prompt and send it."""
        if work not in self.works:
            self.works.append(work)
        self.terminal.press(f"{work.prompt}\r")

    def die(self) -> Record:
        """Kill the app, note what it had acknowledged, and return the session file's content."""
        self.terminal.kill()
        record = self.record()
        self.verdict.deaths.append(Death(phase(record), record, self.terminal.text()))
        return record

    def died_at_failpoint(self, seconds: float, *, unless_done: bool = False) -> bool:
        """Wait until the app has killed itself; False when it did not, or got to the end of the work."""

        def over() -> bool:
            record = self.record()
            return unless_done and self.taken(record) and not record.unfinished

        self.terminal.wait_for(over, seconds)
        if self.terminal.alive:
            return False
        self.die()
        return True

    def finish(self) -> None:
        """Wait until all that was asked for is done, deciding what the app leaves to the user."""
        decided: dict[str, float] = {}
        sent = time.monotonic()

        def done() -> bool:
            record = self.record()
            for step in record.uncertain:
                if step not in decided:
                    decided[step] = time.monotonic()
                    self.choose("k")
            for request in waiting_requests(record):
                # An app that has only just come up may not have taken the keys.
                if time.monotonic() > decided.get(request, 0.0) + 5.0:
                    decided[request] = time.monotonic()
                    self.choose("y")
            nonlocal sent
            if self._no_draft and not self.taken(record) and time.monotonic() > sent + 3.0:
                # A prompt does not take Enter for a moment after the keys have left the queue.
                sent = time.monotonic()
                self.terminal.press("\r")
            return self.taken(record) and not record.unfinished

        if not self.terminal.wait_for(done, PATIENCE):
            state = "has ended" if not self.terminal.alive else "is stuck"
            waiting = self.record().unfinished
            self.verdict.problems.append(
                f"the app {state} with {waiting} unfinished; its screen:\n{self.terminal.text()}"
            )

    def choose(self, key: str) -> None:
        """Press `key` in the permission queue, not before its half second of safety has passed."""
        self.terminal.pump(0.2)
        self.terminal.press(F4)
        self.terminal.pump(0.8)
        self.terminal.press(key)
        self.terminal.pump(0.1)
        self.terminal.press(F7)

    def wait_ready(self) -> bool:
        """Wait until this process has opened the session; False when it does not."""
        boots = self.verdict.deaths[-1].before.boots if self.verdict.deaths else 0
        if self.terminal.wait_for(lambda: self.record().boots > boots, PATIENCE):
            return True
        self.verdict.problems.append(f"the app did not come up; its screen:\n{self.terminal.text()}")
        return False

    def taken(self, record: Record) -> bool:
        """Say whether all prompts are on disk."""
        prompts = prompts_of(record)
        return all(work.prompt in prompts for work in self.works)

    def ensure_asked(self) -> None:
        """Send again what a kill took away before it was acknowledged."""
        prompts = prompts_of(self.record())
        for work in self.works:
            if work.prompt not in prompts:
                self.clear_prompt()
                self.give(work)

    def clear_prompt(self) -> None:
        """Empty the prompt, as a user does."""
        self.terminal.press("\x1b[1;5F\x1b[F" + "\x15" * 4 + "\x7f" * 4)  # Ctrl+End, End, Ctrl+U

    def use(self, terminal: Terminal) -> None:
        """Go on with the process of this terminal."""
        self._terminal = terminal

    def give_next(self, work: Work) -> None:
        """Send a prompt in place of the draft that came back."""
        self._no_draft = True
        self.clear_prompt()
        self.give(work)

    def check_layout(self) -> None:
        """Kill and resume the idle app; its layout and its screen must come back as they were."""
        self.terminal.wait_for(lambda: not _STARTING.search(self.terminal.text()), PATIENCE)
        # Scrolled up, with another division of the screen, and back in the prompt.
        for keys in (F6, PAGE_UP, PAGE_UP, ALT_RIGHT, F7, "more"):
            self.terminal.press(keys)
            self.terminal.pump(0.05)
        self.terminal.wait_for(lambda: "more" in json.dumps(self.record().layout), 5.0)
        self.terminal.pump(0.5)
        before = self.die()
        shown = self.verdict.deaths[-1].screen
        self.start(resume=True)
        if not self.wait_ready():
            return
        follows = bool((before.layout or {}).get("conversation", {}).get("follow"))
        self.terminal.wait_for(lambda: same_screen(shown, self.terminal.text(), follows=follows), 5.0)
        self.terminal.pump(0.6)
        after = self.record()
        if not before.layout or _settled(before.layout) != _settled(after.layout or {}):
            self.verdict.problems.append(f"layout: {before.layout} became {after.layout}")
        if not same_screen(shown, self.terminal.text(), follows=follows):
            self.verdict.problems.append(f"screen:\n{shown}\nbecame\n{self.terminal.text()}")

    def stop(self) -> Verdict:
        """Quit the app as a user does, and judge."""
        self.terminal.press("\x11")  # Ctrl+Q
        status = self.terminal.end(10.0)
        if status != 0:
            self.verdict.problems.append(f"quitting ended with {status}; screen:\n{self.terminal.text()}")
        return self.judge()

    def judge(self) -> Verdict:
        """Hold the workspace and the session file against all invariants."""
        record = self.record()
        problems = self.verdict.problems
        problems += oracle.check_effects(self.workspace, self.works, record)
        problems += oracle.check_history(record)
        for death in self.verdict.deaths:
            problems += oracle.check_kept(death.before, record)
            problems += check_screen(death.screen, death.before)
        problems += verify(self.session)
        prompts = Counter(event["prompt"] for event in record.of("run.started"))
        problems += [f"the prompt {prompt[:40]!r} ran {n} times" for prompt, n in prompts.items() if n > 1]
        self.verdict.findings.update(event["finding"] for event in record.of("step.recovered"))
        self.verdict.findings.update("turn cut off" for e in record.of("turn.failed") if e["kind"] == "crash")
        return self.verdict


def prompts_of(record: Record) -> list[str]:
    """Return the prompts that are on disk."""
    return [event["prompt"] for kind in ("run.started", "prompt.queued") for event in record.of(kind)]


def waiting_requests(record: Record) -> list[str]:
    """Return the permission requests that wait."""
    decided = {event["request"] for event in record.of("permission.decided")}
    return [e["request"] for e in record.of("permission.requested") if e["request"] not in decided]


def phase(record: Record) -> str:
    """Say in a few words how far a session was when it was cut off."""
    if not record.boots:
        return "before the session was there"
    if not record.of("run.started"):
        return "before the prompt was taken"
    if not record.unfinished:
        return "after the work"
    finished = {event["step"] for event in record.of("step.finished")}
    started = {event["step"] for event in record.of("step.started")}
    planned = {event["step"] for event in record.of("step.planned")}
    if started - finished:
        return "while a step ran"
    if planned - finished:
        return "between plan and intent"
    if record.chunks:
        return "while an answer streamed"
    return "between steps"


def same_screen(before: str, after: str, *, follows: bool) -> bool:
    """Say whether the left part of a screen came back as it was, cursor, scroll bar and marker of news aside.

    A resumed session has one item more, that of the crash. A view that `follows` its end shows it: the rows above
    it move up, and at most as many of them out as it has.
    """
    rows, now = _stable(before), _stable(after)
    if not follows:
        return rows == now
    was, is_now = ([row for row in screen if row.strip("│ ")] for screen in (rows, now))
    for gone in range(CRASH_ROWS + 1):
        kept, left = [*was[:2], *was[2 + gone :]], iter(is_now)  # the header and the frame stay
        if kept[:3] == is_now[:3] and all(row in left for row in kept):
            return True
    return False


def _stable(screen: str) -> list[str]:
    return [re.sub("[▁▂▃▄▅▆▇█▌]| ↓ new ", " ", line[:55]).rstrip() for line in screen.splitlines()]


def _settled(layout: dict[str, Any]) -> dict[str, Any]:
    """Return a layout; of a view that follows its end, without the places, which move with the news."""
    views = {
        name: {"follow": True} if isinstance(view, dict) and view.get("follow") else view
        for name, view in layout.items()
    }
    return {**layout, **views}


CRASH_ROWS = 5
"""Rows of the conversation that a crash takes: a blank one before and after it, and its text."""

_STARTING = re.compile("starting …|opening the session …")
_DONE = re.compile(r"\d\d:\d\d:\d\d ✓ (?:write|edit|bash)\b")


def check_screen(screen: str, record: Record) -> list[str]:
    """Return what had been painted as done in the timeline and is not in the session file."""
    problems = []
    painted = len(_DONE.findall(screen))
    done = len(record.of("step.finished"))
    if painted > done:
        problems.append(f"lost: {painted} steps had been shown as done, {done} are on disk")
    told = _plain("\n".join(oracle.texts(record).values()))
    problems += [
        f"lost: {line!r} had been painted, it is not on disk" for line in painted_prose(screen) if line not in told
    ]
    return problems


def verify(path: Path) -> list[str]:
    """Return what the product's own verification finds wrong with a session."""
    from tui_agent.runtime import Runtime
    from tui_agent.session import verify_session

    if not path.is_file():
        return ["lost: the session file"]
    result = asyncio.run(verify_session(path, Runtime()))
    return [] if result.ok else [f"does not verify: {result.message}"]


def wait(terminal: Terminal, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    """Let the app work for `seconds`, or until it ends or `until` holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and terminal.alive and not until():
        terminal.pump(min(0.05, max(0.0, end - time.monotonic())))
