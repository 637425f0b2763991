"""A tool's effect against what its intent announced."""

from __future__ import annotations

from tui_agent.events import Intent
from tui_agent.workflow import Outcome


def check_read_back(intent: Intent, outcome: Outcome) -> str:
    """Return how the files read back after a step differ from what its intent announced; empty if they agree.

    A step that reports an error has announced nothing to hold it to.
    """
    if outcome.error or not intent.after:
        return ""
    found = {state.path: state.sha256 for state in outcome.effects}
    for expected in intent.after:
        actual = found.get(expected.path, "not read back")
        if actual != expected.sha256:
            return (
                f"{expected.path} is not as it was to be after this step "
                f"(expected SHA-256 {expected.sha256}, found {actual}): something else changed it meanwhile"
            )
    return ""
