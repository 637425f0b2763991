"""jq and yq filters: no modules, no environment, no files but the operands."""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import Command
from tui_agent.permissions.guard.usage import NotHarmless, Usage

_JQ = re.compile(
    r"(?<![\w.])(env|import|include|input_filename|modulemeta|get_search_list|\$__prog_args)\b|(?<![\w.])ENV\b|\$\s*__"
)
_YQ = re.compile(r"\b(env|envsubst|strenv|load\w*|eval|splitDoc|system|filename)\b|\$ENV")


def check_jq(command: Command, usage: Usage) -> None:
    """Refuse filters that read the environment or other files."""
    _filter(usage, _JQ)


def check_yq(command: Command, usage: Usage) -> None:
    """Refuse expressions that read the environment or other files, or change the document in place."""
    if usage.operands and usage.operands[0].text in ("e", "eval", "ea", "eval-all", "shell-completion"):
        raise NotHarmless("write the expression first")
    _filter(usage, _YQ)


def _filter(usage: Usage, refused: re.Pattern[str]) -> None:
    text = usage.operands[0].text if usage.operands else ""
    match = refused.search(text)
    if match:
        raise NotHarmless(f"the filter uses {match.group()}")
