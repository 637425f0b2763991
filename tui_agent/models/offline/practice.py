"""The practice model: reads its tasks and their results out of the request, and answers. Keeps no state."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from tui_agent.models.offline.answer import Answer
from tui_agent.models.offline.grammar import HELP, Group, NotUnderstoodError, Step, parse
from tui_agent.models.offline.names import as_offered
from tui_agent.models.offline.request import Request, text_of

COMPACTION = "Summarise this conversation"
"""How the last user message of a compaction request begins."""

SHOWN_LINES = 8
"""Lines of a result that the summary shows."""

LINE_WIDTH = 200


@dataclass
class _Work:
    """The open task: its turns, how many were done, and their results."""

    groups: list[Group] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    done: int = 0
    results: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(result.get("is_error") for result in self.results)


def practise(request: Request) -> Answer:
    """Return the practice model's answer: the next turn of the open task, or what came of it."""
    last = text_of(request.messages[-1]["content"])
    if COMPACTION in last[:2000]:
        return Answer(text=summary(request))
    work = _open_work(request)
    if not work.groups:
        return Answer(text=_refusal(work))
    for group in work.groups:
        group.steps = [replace(step, call=as_offered(step.call, request.tool_names)) for step in group.steps]
    if work.done < len(work.groups) and work.groups[work.done].steps and not work.failed:
        group = work.groups[work.done]
        if not {step.call.tool for step in group.steps} - request.tool_names:
            return _turn(group)
    results = {result["tool_use_id"]: result for result in work.results}
    done = _report(request, work, results)
    if work.failed and work.done < len(work.groups):
        left = [step.typed for group in work.groups[work.done :] for step in group.steps]
        if left:
            done.append("I stopped there. Not done: " + ", ".join(_code(typed) for typed in left) + ".")
        return Answer(text="\n\n".join(done + _problems(work)))
    if work.done < len(work.groups):
        group = work.groups[work.done]
        missing = sorted({step.call.tool for step in group.steps} - request.tool_names)
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            typed = ", ".join(_code(step.typed) for step in group.steps)
            done.append(f"I cannot do {typed}: this session does not offer me the tool {names}.")
            return Answer(text="\n\n".join(done + _problems(work)))
        return Answer(text="\n\n".join([*done, group.text, *_problems(work)]), speed=group.speed)
    return Answer(text="\n\n".join(done + _problems(work)) or HELP)


def _turn(group: Group) -> Answer:
    typed = ", ".join(_code(step.typed) for step in group.steps)
    said = group.text + "\n\n" if group.text else ""
    return Answer(
        text=f"{said}I'll do {typed}.",
        thinking=f"The practice grammar asks for {typed}.",
        calls=tuple(step.call for step in group.steps),
        speed=group.speed,
    )


def _open_work(request: Request) -> _Work:
    """Return the task since the last answer that asked for no tool.

    Prompts that came in between are done after it. A note in square brackets that speaks of an interruption
    ends what came before, one that asks to continue says that the answer before it was broken off; other notes,
    and blocks in angle brackets, are the program's own and no prompts.
    """
    work = _Work()
    for number, message in enumerate(request.messages):
        content = message["content"]
        if message["role"] == "assistant":
            if any(block["type"] == "tool_use" for block in content):
                work.done += 1
            elif not _notes(request, number + 1, "continue from"):
                work = _Work()
            continue
        for block in content:
            if block["type"] == "tool_result":
                work.results.append(block)
            elif block["type"] == "text" and message["role"] == "user":
                text = block["text"].strip()
                if _is_note(text):
                    if "interrupt" in text.lower():
                        work = _Work()
                elif not text.startswith("<"):
                    _take_up(work, text)
    return work


def whole_answers(request: Request) -> list[list[dict[str, Any]]]:
    """Return the contents of the answers that were not broken off by a crash, a cut or the user."""
    return [
        message["content"]
        for number, message in enumerate(request.messages)
        if message["role"] == "assistant"
        and (
            any(block["type"] == "tool_use" for block in message["content"])
            or not (_notes(request, number + 1, "continue from") or _notes(request, number + 1, "interrupt"))
        )
    ]


def _notes(request: Request, number: int, words: str) -> bool:
    """Say whether message `number` has a note of the program, in square brackets, with these words."""
    if number >= len(request.messages):
        return False
    return any(
        _is_note(block["text"]) and words in block["text"].lower()
        for block in request.messages[number]["content"]
        if block["type"] == "text"
    )


def _is_note(text: str) -> bool:
    return text.strip().startswith("[") and text.strip().endswith("]")


def _take_up(work: _Work, prompt: str) -> None:
    if prompt.lower() == "help":
        return
    try:
        new = [replace(group) for group in parse(prompt)]
    except NotUnderstoodError as error:
        work.problems.append(str(error))
        return
    if work.groups and not work.groups[-1].steps and new:
        # What was to be said at the end of the one prompt is said before the next one's first step.
        said = work.groups.pop()
        new[0].text = "\n\n".join(part for part in (said.text, new[0].text) if part)
    work.groups += new


def _refusal(work: _Work) -> str:
    return "\n\n".join([HELP, *work.problems])


def _problems(work: _Work) -> list[str]:
    return [f"{problem} `help` shows what I understand." for problem in work.problems]


def _report(request: Request, work: _Work, results: dict[str, dict[str, Any]]) -> list[str]:
    calls = [
        block["id"]
        for message in request.messages
        if message["role"] == "assistant"
        for block in message["content"]
        if block["type"] == "tool_use" and block["id"] in results
    ]
    steps = [step for group in work.groups[: work.done] for step in group.steps]
    return [_said(step, results[call]) for step, call in zip(steps, calls, strict=False)]


def _said(step: Step, result: dict[str, Any]) -> str:
    text = text_of(result.get("content") or []).strip("\n")
    lines = text.splitlines()
    typed = _code(step.typed)
    if result.get("is_error"):
        return f"{typed} failed:\n\n{_fence(lines, last=True)}"
    if not lines:
        others = [part.get("type", "?") for part in result.get("content") or [] if isinstance(part, dict)]
        return f"{typed} gave {'a block of type ' + others[0] if others else 'nothing'}."
    if len(lines) == 1:
        return f"{typed}: {lines[0][:LINE_WIDTH]}"
    last = step.call.tool.lower() in {"bash", "task"}
    part = ""
    if len(lines) > SHOWN_LINES:
        part = f", the {'last' if last else 'first'} {SHOWN_LINES}"
    return f"{typed} gave {len(lines)} lines{part}:\n\n{_fence(lines, last=last)}"


def _fence(lines: list[str], *, last: bool) -> str:
    shown = [line[:LINE_WIDTH] for line in (lines[-SHOWN_LINES:] if last else lines[:SHOWN_LINES])]
    ticks = max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    return "\n".join([fence, *shown, fence])


def _code(typed: str) -> str:
    """Return what was typed as inline code of one line."""
    first, *more = typed.splitlines() or [""]
    text = first[:80] + (" …" if more or len(first) > 80 else "")
    ticks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def summary(request: Request) -> str:
    """Return a summary of the conversation: its prompts, files, commands, and the last answer."""
    prompts: list[str] = []
    files: dict[str, None] = {}
    commands: list[str] = []
    answer = ""
    for message in request.messages[:-1]:
        for block in message["content"]:
            if block["type"] == "text" and message["role"] == "user":
                prompts.append(block["text"].strip())
            elif block["type"] == "text" and message["role"] == "assistant":
                answer = block["text"].strip()
            elif block["type"] == "tool_use":
                if isinstance(block["input"].get("path"), str):
                    files[f"{block['name']} {block['input']['path']}"] = None
                if isinstance(block["input"].get("command"), str):
                    commands.append(block["input"]["command"])
    parts = ["Summary by the offline practice model (no language model)."]
    parts += _section("What was asked", prompts)
    parts += _section("Files", list(files))
    parts += _section("Commands", commands)
    if answer:
        parts.append(f"The last answer:\n\n{answer[:2000]}")
    return "\n\n".join(parts)


def _section(title: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [f"{title}:\n\n" + "\n".join(f"- {_code(line)}" for line in lines if line)]
