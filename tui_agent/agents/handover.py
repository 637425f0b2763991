"""What a subagent had done when it ended early, for the agent that asked for it."""

from __future__ import annotations

from tui_agent.agents.compaction import read_events
from tui_agent.agents.services import Services
from tui_agent.context import read_record
from tui_agent.events import RunStarted, StepFinished, StepPlanned

MOST_LINES = 40
"""Lines of each kind that are told."""


async def work_until_end(services: Services, step: str, order: int) -> str:
    """Return what the subagent of a step had done: files changed, commands run, calls that did not succeed.

    `order` is the seq of the step's plan. Empty where there was none. Raises the journal's errors.
    """
    started = await read_events(services, order, types=["run.started"])
    run = next((event for event in started if isinstance(event, RunStarted) and event.parent_step == step), None)
    if run is None:
        return ""
    events = await read_events(
        services, order, agent=run.agent, types=["step.planned", "step.finished", "turn.finished"]
    )
    record = read_record(events)
    looked = _looked_at([event for event in events if isinstance(event, StepPlanned | StepFinished)])
    sections = [
        ("Files changed", list(record.changed)),
        (
            "Commands run",
            [f"{' '.join(run.command.split())[:200]} → exit code {run.exit_code}" for run in record.commands],
        ),
        ("Not done", list(record.failed.values())),
        ("Looked at", looked),
    ]
    lines = [f"{title}:\n" + "\n".join(f"- {row}" for row in rows[-MOST_LINES:]) for title, rows in sections if rows]
    last = (await services.load_history(run.agent)).last_text
    if last:
        lines.append(f"Its last words: {last}")
    if not lines:
        return f"The agent {run.agent} had not done anything yet."
    return f"What the agent {run.agent} had done until then, which stays as it is:\n" + "\n".join(lines)


def _looked_at(events: list[StepPlanned | StepFinished]) -> list[str]:
    """Return the titles of calls that only read and succeeded."""
    titles = {event.step: event.title or event.tool for event in events if isinstance(event, StepPlanned)}
    read = [e.step for e in events if isinstance(e, StepFinished) and e.outcome == "ok" and e.tool in _READS]
    return list(dict.fromkeys(titles[step] for step in read if step in titles))


_READS = {"read", "grep", "glob"}
