"""The session's facts that the model is told: the mode, whether the user is there, what commands run in, the date.

Each is one or two sentences, from `prompts/session.toml`. The system prompt states them at the start; when one
changes, it is told with the next message. Nothing that was said is rewritten.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_agent.workflow.state import BackgroundCommand


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What holds for an agent's next request.

    `mode` is the session's mode, empty for agents that only ever read; `offers_exit_plan` says whether the agent
    can hand in a plan. `sandbox` is what commands run in: `none`, `reduced`, or a kind of full sandbox; `domains`
    are the hosts that they reach without the user's approval. `attended` says that the user is there. `now` is in
    seconds since the epoch. `background` are the commands that run in the background, `ended` says how others ended.
    `folders` are those added besides the workspace, None where none ever was.
    """

    mode: str
    offers_exit_plan: bool
    sandbox: str
    domains: Sequence[str]
    attended: bool
    now: float
    background: Sequence[BackgroundCommand] = ()
    ended: Sequence[str] = ()
    folders: Sequence[str] | None = None

    def sentences(self) -> dict[str, str]:
        """Return each fact by its name, as the model reads it."""
        texts = _texts()
        told = {"date": f"Date: {time.strftime('%Y-%m-%d', time.gmtime(self.now))} (UTC)."}
        mode = self.mode
        if mode == "plan" and not (self.offers_exit_plan and self.attended):
            mode = "plan-without-approval"
        if mode:
            told["mode"] = texts["mode"].get(mode, f"Mode: {mode}.")
        told["user"] = texts["user"]["present" if self.attended else "absent"]
        if self.sandbox:
            told["sandbox"] = texts["sandbox"].get(self.sandbox, texts["sandbox"]["full"])
        if self.sandbox and self.sandbox != "none":
            domains = ", ".join(self.domains)
            told["network"] = (
                texts["network"]["domains"].format(domains=domains) if domains else texts["network"]["none"]
            )
        if self.folders is not None:
            listed = ", ".join(self.folders)
            told["folders"] = texts["folders"]["some" if listed else "none"].format(folders=listed)
        if self.background or self.ended:
            told["background"] = self._background()
        return told

    def _background(self) -> str:
        """Return which commands run in the background, and how the last ones ended."""
        running = [
            f"{command.step} ({command.title}), until {time.strftime('%H:%M', time.gmtime(command.until))} UTC"
            for command in self.background
        ]
        text = f"Running in the background: {'; '.join(running) if running else 'nothing'}."
        return text + (f" Ended: {'; '.join(self.ended)}." if self.ended else "")


def changed_facts(told: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the facts that are not as the model was told, or that it was never told."""
    return {name: text for name, text in now.items() if told.get(name) != text}


def facts_note(facts: Mapping[str, str]) -> str:
    """Return what the model reads when facts of the session have changed."""
    return "<session>\nThis holds from now on:\n" + "\n".join(f"- {text}" for text in facts.values()) + "\n</session>"


@cache
def _texts() -> dict[str, dict[str, str]]:
    return tomllib.loads((files("tui_agent.context") / "prompts" / "session.toml").read_text(encoding="utf-8"))
