"""Who may do what: rules, modes, the bash guard, grants, decisions.

A decision is bound to the hash of one exact call; a grant says for how long others like it hold.
"""

from tui_agent.permissions.broker import EXACT, NoSuchRequest, PermissionBroker, hash_call
from tui_agent.permissions.narrowing import Narrowing, read_narrowing, together
from tui_agent.permissions.paths import as_spelled
from tui_agent.permissions.policy import MODES, PLAN_APPROVAL, SandboxState
from tui_agent.permissions.rule_sources import LoadedRules, load_rules
from tui_agent.permissions.rules import RuleSet
from tui_agent.permissions.sensitive import secret_level
from tui_agent.permissions.state import Grant, PermissionsState

__all__ = [
    "EXACT",
    "MODES",
    "PLAN_APPROVAL",
    "Grant",
    "LoadedRules",
    "Narrowing",
    "NoSuchRequest",
    "PermissionBroker",
    "PermissionsState",
    "RuleSet",
    "SandboxState",
    "as_spelled",
    "hash_call",
    "load_rules",
    "read_narrowing",
    "secret_level",
    "together",
]
