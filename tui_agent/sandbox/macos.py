"""Commands under macOS's `sandbox-exec`: a profile in its language, default deny."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox.profile import Profile

PROGRAM = Path("/usr/bin/sandbox-exec")

_ALWAYS = """\
(version 1)
(deny default)
(allow process-exec process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))
(allow ipc-posix-sem)
(allow pseudo-tty)
(allow file-ioctl (literal "/dev/null") (regex #"^/dev/ttys[0-9]+$"))
(allow file-write* (literal "/dev/null") (literal "/dev/zero"))
(allow file-read*)
"""


def macos_argv(profile: Profile, argv: Sequence[str], *, network: bool) -> list[str]:
    """Return the argument list that runs `argv` under the rules of `profile`."""
    return [str(PROGRAM), "-p", macos_profile(profile, network=network), *argv]


def macos_profile(profile: Profile, *, network: bool) -> str:
    """Return the rules as `sandbox-exec` reads them: of several that match, the last one counts."""
    lines = [_ALWAYS.rstrip()]
    lines += [f"(deny file-read* file-write* {_subpath(path)})" for path in profile.hidden]
    # Programs look at each folder on the way to theirs.
    lines.append("(allow file-read-metadata)")
    lines += [f"(allow file-read* {_subpath(path)})" for path in profile.readable]
    scratch = [profile.scratch / name for name in ("tmp", "cache", "home")]
    if profile.read_only:
        lines += [f"(allow file-read* {_subpath(path)})" for path in (*profile.writable, scratch[0])]
        lines.append(f"(allow file-read* file-write* {_subpath(profile.scratch / 'private')})")
    else:
        lines += [f"(allow file-read* file-write* {_subpath(path)})" for path in (*profile.writable, *scratch)]
    # Not even a parent may be renamed away and made anew.
    lines += [f"(deny file-write-unlink {_literal(path)})" for path in profile.pinned]
    guarded = (*profile.fixed, *profile.masked, *(path for path, _ in (*profile.placeholders, *profile.links)))
    lines += [f"(deny file-write* {_subpath(path)})" for path in guarded]
    lines += [f"(deny file-read* file-write* {_subpath(path)})" for path in profile.kept_out]
    if network:
        lines += [
            "(allow network*)",
            "(allow system-socket)",
            '(allow mach-lookup (global-name "com.apple.dnssd.service"))',
        ]
    return "\n".join(lines) + "\n"


def _subpath(path: Path) -> str:
    return f"(subpath {_quoted(path)})"


def _literal(path: Path) -> str:
    return f"(literal {_quoted(path)})"


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
