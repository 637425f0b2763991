"""Who may do what: modes, grants, decisions.

A decision is bound to the hash of one exact call; a grant says for how long others like it hold.
"""

from tui_agent.permissions.broker import NoSuchRequest, PermissionBroker
from tui_agent.permissions.engine import MODES, Verdict, hash_call, judge
from tui_agent.permissions.state import Grant, PermissionsState

__all__ = [
    "MODES",
    "Grant",
    "NoSuchRequest",
    "PermissionBroker",
    "PermissionsState",
    "Verdict",
    "hash_call",
    "judge",
]
