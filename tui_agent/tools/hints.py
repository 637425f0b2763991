"""What a failed command did not know about its sandbox and its environment, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tui_agent.redaction import is_secret_name
from tui_agent.sandbox import Access

MOST_NAMED = 5
"""Variables that a result names."""

_NETWORK = re.compile(
    r"name resolution|could not resolve (host|hostname|proxy)|name or service not known|network is unreachable"
    r"|enotfound|eai_again|getaddrinfo|no address associated|failed to establish a new connection|no such host"
    r"|nodename nor servname|unable to (resolve|look up)|failed to lookup address",
    re.IGNORECASE,
)
_GIT_SETTINGS = re.compile(r"could not lock config file|\.git/(config|hooks)\S*.{0,60}(read-only|busy|denied)", re.I)
_READ_ONLY = re.compile(r"read-only file system|EROFS|device or resource busy", re.IGNORECASE)
_NPM_REGISTRY = re.compile(
    r"npm (err!|error)\s.{0,80}\b(E401|E403|ENEEDAUTH|401 unauthorized|403 forbidden|404 not found - \w+ \S+/@)"
    r"|npm (err!|error) need auth|ERR_PNPM_FETCH_40[13]",
    re.IGNORECASE,
)
"""What npm and pnpm say of packages that need a registry or a token of the user's `.npmrc`."""
_REFUSED = re.compile(r"read-only file system|EROFS|permission denied|EACCES|operation not permitted|EPERM", re.I)
_MAKES_REPOSITORY = re.compile(r"cannot (mkdir|copy) .{0,300}/\.git/.{0,300}read-only", re.IGNORECASE)
READ_ONLY = (
    "it ran without a question because it seemed only to read, so it could not change anything or reach a network; "
    'access: "{}" asks the user for more'
)
"""The hint for a command that wanted more than to read."""

_TMP = re.compile(r"/tmp\b.*(permission denied|EACCES)|(permission denied|EACCES).*/tmp\b", re.IGNORECASE)


def sandbox_hint(output: str, kind: str, access: Access, *, read_only: bool = False) -> str:
    """Return why a command failed, where its output shows that the sandbox was the reason; empty where it does not.

    `kind` is the sandbox's, `none` without one. `read_only` says that the command ran as one that only reads.
    """
    if kind == "none" or access == "full":
        return ""
    if read_only:
        wanted = "network" if _NETWORK.search(output) else "write" if _REFUSED.search(output) else ""
        return READ_ONLY.format(wanted) if wanted else ""
    if _MAKES_REPOSITORY.search(output):
        return 'in the sandbox the workspace does not become a repository; access: "full" asks the user for it'
    if access == "sandbox" and _NETWORK.search(output):
        return 'the sandbox has no network; access: "network" asks the user for it'
    if _GIT_SETTINGS.search(output):
        return 'in the sandbox the settings and hooks of git are read-only; access: "full" asks the user for more'
    if _NPM_REGISTRY.search(output):
        return 'in the sandbox ~/.npmrc is hidden, as it can hold a token; access: "full" asks the user for it'
    if _READ_ONLY.search(output):
        return 'in the sandbox only the workspace and /tmp can be written; access: "full" asks for more'
    if kind != "bubblewrap" and _TMP.search(output):
        return "in this sandbox /tmp cannot be used; the session's folder for temporary files is $TMPDIR"
    return ""


def withheld_hint(names: Sequence[str], command: str, output: str, *, failed: bool) -> str:
    """Return which variables a command did not get, if it names one of them or, of secrets, has failed."""
    named = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", f"{command}\n{output}")]
    chosen = named or [name for name in names if failed and is_secret_name(name)]
    if not chosen:
        return ""
    more = f" and {len(chosen) - MOST_NAMED} more" if len(chosen) > MOST_NAMED else ""
    return (
        f"withheld from commands, which get no secrets and no unknown variables: {', '.join(chosen[:MOST_NAMED])}"
        f"{more}; the user can let one through with pass_environment in the settings"
    )


def masked_hint(masked: Sequence[str], workspace: Path, command: str, output: str, *, failed: bool) -> str:
    """Return which protected files looked empty to a command that names one of them or has failed; else nothing."""
    root = str(workspace.resolve())
    named = [path for path in masked if path.rpartition("/")[2] in f"{command}\n{output}"]
    chosen = named or (list(masked) if failed else [])
    if not chosen:
        return ""
    shown = ", ".join(path.removeprefix(f"{root}/") for path in chosen[:MOST_NAMED])
    more = f" and {len(chosen) - MOST_NAMED} more" if len(chosen) > MOST_NAMED else ""
    return f"protected, so it looked empty here: {shown}{more}"
