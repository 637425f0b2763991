"""Why an answer ended: the API's stop reasons in words, and whether the answer is whole."""

from __future__ import annotations

from dataclasses import dataclass

from tui_agent.budget.limits import split

CUT_REASONS = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Stop reasons of an answer that breaks off where the model would have gone on."""

WHOLE_REASONS = frozenset({"end_turn", "tool_use", "pause_turn", "stop_sequence"})
"""Stop reasons of an answer that is as the model, or the server on purpose, ended it."""


@dataclass(frozen=True, slots=True)
class AnswerStop:
    """How an answer ended. `reason` is the API's stop reason, empty before the first answer.

    `detail` says more about a refusal or a stop sequence. `max_tokens` is the output limit of the request, in tokens;
    `clamped_by` what made it less than usual: a limit as `scope.kind`, or `window`.
    """

    reason: str = ""
    detail: str = ""
    max_tokens: int = 0
    clamped_by: str = ""

    @property
    def cut(self) -> bool:
        """Whether the answer breaks off where the model would have gone on."""
        return self.reason in CUT_REASONS

    @property
    def note(self) -> str:
        """Return a sentence that says how the answer ended, empty when it simply ended."""
        match self.reason:
            case "" | "end_turn" | "tool_use":
                return ""
            case "max_tokens":
                return self._cut_note()
            case "refusal":
                return "The model declined to answer" + (f": {self.detail}." if self.detail else ".")
            case "model_context_window_exceeded":
                return "The answer was cut: the context window is full."
            case "pause_turn":
                return "The server paused the turn; it goes on."
            case "stop_sequence":
                return "The answer ended at a stop sequence" + (f": {self.detail!r}." if self.detail else ".")
        detail = f" ({self.detail})" if self.detail else ""
        return f"The answer ended for a reason that is not known: {self.reason!r}{detail}."

    def _cut_note(self) -> str:
        tokens = f" of {self.max_tokens:,} tokens" if self.max_tokens else ""
        if self.clamped_by == "window":
            return f"The answer was cut at its output limit{tokens}: the context window had no room for more."
        if self.clamped_by:
            scope, kind = split(self.clamped_by)
            name = kind.replace("_", " ")
            return (
                f"The answer was cut at its output limit{tokens}: the {scope}'s {name} limit left no room for more."
            )
        return f"The answer was cut at its output limit{tokens}."
