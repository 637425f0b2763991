"""What must hold after a crash, decided from the workspace and the session file alone.

The effects of a `Work` can be counted: commands append lines that occur once each, every edit adds one mark.
So "done twice" and "lost" are seen in the workspace, and what the journal says is held against that.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What a session file holds: events with `seq` and `hash`, the deltas of what is open, the layout."""

    events: tuple[Event, ...] = ()
    chunks: tuple[Event, ...] = ()
    layout: dict[str, Any] | None = None
    boots: int = 0

    def of(self, kind: str) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def unfinished(self) -> list[str]:
        """Return the runs, steps and queued prompts that still wait for something."""
        waiting = {event["run"] for event in self.of("run.started")}
        waiting |= {event["step"] for event in self.of("step.planned")}
        waiting |= {event["prompt_id"] for event in self.of("prompt.queued")}
        for event in self.events:
            match event["type"]:
                case "run.finished":
                    waiting.discard(event["run"])
                case "step.finished":
                    waiting.discard(event["step"])
                case "prompt.accepted" | "prompt.withdrawn":
                    waiting.discard(event["prompt_id"])
        return sorted(waiting)

    @property
    def uncertain(self) -> list[str]:
        """Return the steps that wait for the user after a crash."""
        open_steps: set[str] = set()
        for event in self.events:
            if event["type"] == "step.recovered" and event["finding"] == "uncertain":
                open_steps.add(event["step"])
            elif event["type"] in {"step.resolved", "step.finished"}:
                open_steps.discard(event["step"])
        return sorted(open_steps)

    @property
    def text(self) -> str:
        """Return all that is told in it, as one text."""
        return "\n".join(json.dumps(event, ensure_ascii=False) for event in (*self.events, *self.chunks))


def read(path: Path) -> Record:
    """Read a session file as any program could, beside the app that writes it; empty if there is none yet."""
    if not path.is_file():
        return Record()
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as db:
            events = [
                {**json.loads(body), "seq": seq, "hash": bytes(digest).hex()}
                for seq, digest, body in db.execute("SELECT seq, hash, body FROM event ORDER BY seq")
            ]
            chunks = [json.loads(body) for (body,) in db.execute("SELECT body FROM chunk ORDER BY id")]
            layout = db.execute("SELECT layout FROM layout").fetchone()
            boots = db.execute("SELECT count(*) FROM boot").fetchone()[0]
    except sqlite3.OperationalError:
        return Record()  # killed before its tables were there
    finally:
        if "db" in locals():
            db.close()
    return Record(tuple(events), tuple(chunks), json.loads(layout[0]) if layout else None, boots)


@dataclass(frozen=True)
class Work:
    """A prompt and what is to be in the workspace when it is done, each effect once.

    `ledger` are the lines that its commands append to `ledger.txt`; `files` the contents of the files that it
    writes and edits, as they are after each of its steps.
    """

    prompt: str
    ledger: tuple[str, ...] = ()
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)


def check_effects(workspace: Path, works: list[Work], record: Record) -> list[str]:
    """Return how the workspace differs from each effect done once, as the journal's steps tell it."""
    problems = []
    unsure = bool(record.of("step.resolved")) or bool(record.uncertain)
    path = workspace / "ledger.txt"
    found = path.read_text().splitlines() if path.is_file() else []
    wanted = [line for work in works for line in work.ledger]
    counts = Counter(found)
    for line in wanted:
        if counts[line] > 1:
            problems.append(f"duplicated: the command that wrote {line} ran {counts[line]} times")
        if counts[line] == 0 and not unsure:
            problems.append(f"lost: the command that writes {line} never ran")
    if [line for line in wanted if line in counts] != [line for line in found if line in wanted]:
        problems.append(f"out of order: the ledger holds {found}")
    problems += [f"stray: {line!r} is in the ledger" for line in found if line not in wanted]
    for work in works:
        for name, contents in work.files.items():
            file = workspace / name
            content = file.read_text() if file.is_file() else ""
            if content not in contents:
                problems.append(f"mixed: {name} holds {content!r}")
            elif content != contents[-1] and not unsure:
                problems.append(f"lost: {name} holds {content!r}, not {contents[-1]!r}")
    problems += [f"left over: {path.name}" for path in workspace.iterdir() if ".tmp" in path.name]
    return problems


def check_order(record: Record, workspace: Path, works: list[Work]) -> list[str]:
    """Return which effects in the workspace have no intent in the journal, and which outcomes no effect."""
    problems = []
    started = {event["step"] for event in record.of("step.started")}
    succeeded = {event["step"] for event in record.of("step.finished") if event["outcome"] == "ok"}
    path = workspace / "ledger.txt"
    ledger = set(path.read_text().splitlines()) if path.is_file() else set()
    for plan in record.of("step.planned"):
        command = str(plan["input"].get("command", ""))
        for line in (line for work in works for line in work.ledger if f"echo {line} " in command):
            if line in ledger and plan["step"] not in started:
                problems.append(f"no intent: {line} was written, its step is not on disk as started")
            if line not in ledger and plan["step"] in succeeded:
                problems.append(f"no effect: the step of {line} is on disk as finished, its effect is not")
    for work in works:
        for name, contents in work.files.items():
            file = workspace / name
            content = file.read_text() if file.is_file() else ""
            touching = {e["step"] for e in record.of("step.planned") if e["input"].get("path") == name}
            if content not in contents:
                problems.append(f"mixed: {name} holds {content!r}")
                continue
            version = contents.index(content)
            if version > len(touching & started):
                problems.append(f"no intent: {name} is at version {version} of {len(touching & started)} started")
            if version < len(touching & succeeded):
                problems.append(f"no effect: {name} is at version {version} of {len(touching & succeeded)} done")
    return problems


def check_history(record: Record) -> list[str]:
    """Return what is wrong in the journal's own story."""
    problems = []
    seqs = [event["seq"] for event in record.events]
    if seqs != list(range(1, len(seqs) + 1)):
        problems.append("seqs are not 1, 2, 3 …")
    for kind, key in (
        ("run.started", "run"),
        ("run.finished", "run"),
        ("step.planned", "step"),
        ("step.planned", "call_id"),
        ("step.finished", "step"),
        ("turn.finished", "turn"),
        ("permission.requested", "request"),
        ("prompt.accepted", "prompt_id"),
    ):
        twice = [value for value, n in Counter(e[key] for e in record.of(kind)).items() if n > 1]
        problems += [f"{kind} twice for {value}" for value in twice]
    decided = Counter(event["step"] for event in record.of("permission.decided"))
    problems += [f"{n} decisions on {step}" for step, n in decided.items() if n > 1]
    for event in record.of("turn.failed"):
        if event["kind"] not in {"crash", "interrupted"}:
            problems.append(f"the model's server refused: {event['kind']}: {event['message'][:300]}")
    for event in record.of("step.finished"):
        if event["outcome"] not in {"ok", "skipped"}:
            problems.append(f"a step ended with {event['outcome']}: {event.get('summary')}")
    for event in record.of("run.finished"):
        if event["outcome"] != "completed":
            problems.append(f"a run ended with {event['outcome']}: {event.get('reason')}")
    return problems


def check_kept(before: Record, after: Record) -> list[str]:
    """Return which of the events and streamed texts of `before` are not in `after`."""
    problems = []
    old = [(event["seq"], event["hash"]) for event in before.events]
    new = [(event["seq"], event["hash"]) for event in after.events[: len(old)]]
    if old != new:
        problems.append(f"lost: the first {len(old)} events are not what they were")
    story = texts(after)
    for chunk in before.chunks:
        subject = str(chunk.get("turn") or chunk.get("step"))
        text = str(chunk["text"]).strip()
        if chunk.get("kind") != "tool_input" and text not in story.get(subject, ""):
            problems.append(f"lost: {text[:60]!r} had been streamed by {subject}")
    return problems


def texts(record: Record) -> dict[str, str]:
    """Return all text of each turn and step, decoded, in one string."""
    parts: dict[str, list[str]] = {}
    for chunk in record.chunks:
        parts.setdefault(str(chunk.get("turn") or chunk.get("step")), []).append(str(chunk["text"]))
    for event in record.events:
        subject = event.get("turn") if event["type"].startswith("turn.") else event.get("step")
        if subject:
            parts.setdefault(str(subject), []).extend(_strings(event))
    return {subject: "".join(told) for subject, told in parts.items()}


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
