"""Commands with a language of their own, each with a small grammar of what is harmless in it."""

from __future__ import annotations

from collections.abc import Callable

from tui_agent.permissions.guard.grammars.archives import check_gzip, check_unzip, use_tar
from tui_agent.permissions.guard.grammars.awk import use_awk
from tui_agent.permissions.guard.grammars.find import use_find
from tui_agent.permissions.guard.grammars.git import use_git
from tui_agent.permissions.guard.grammars.jq import check_jq, check_yq
from tui_agent.permissions.guard.grammars.sed import use_sed
from tui_agent.permissions.guard.grammars.small import (
    check_bat,
    check_command,
    check_date,
    check_go,
    check_kubectl,
    check_man,
    check_marks,
    check_printenv,
    check_printf,
    check_sysctl,
    check_test,
    use_ps,
    use_python,
)
from tui_agent.permissions.guard.model import Command
from tui_agent.permissions.guard.usage import Usage

WHOLE: dict[str, Callable[[Command], Usage]] = {
    "awk": use_awk,
    "find": use_find,
    "git": use_git,
    "ps": use_ps,
    "python": use_python,
    "sed": use_sed,
    "tar": use_tar,
}
"""Grammars that read the whole call."""

AFTER: dict[str, Callable[[Command, Usage], None]] = {
    "bat": check_bat,
    "command": check_command,
    "date": check_date,
    "go": check_go,
    "gzip": check_gzip,
    "jq": check_jq,
    "kubectl": check_kubectl,
    "man": check_man,
    "marks": check_marks,
    "printenv": check_printenv,
    "printf": check_printf,
    "sysctl": check_sysctl,
    "test": check_test,
    "unzip": check_unzip,
    "yq": check_yq,
}
"""Grammars that look at a call after its flags were found harmless."""
