"""Commands under Landlock and seccomp: for machines where no namespaces can be made.

It holds less than bubblewrap, and is shown as reduced: paths inside the workspace cannot be protected, file
modes and times can be changed anywhere the user may, there is no network but also no loopback, and a process
that leaves the process session is not ended with the command.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox.profile import Profile
from tui_agent.sandbox.seccomp import seccomp_program

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_HIDDEN = ("/run", "/tmp", "/var/tmp", "/var/run", "/dev", "/proc")


def landlock_argv(profile: Profile, argv: Sequence[str] = ("/bin/true",), *, network: bool = False) -> list[str]:
    """Return the argument list that runs `argv` under the rules of `profile`.

    Raises `UnsupportedMachine` where no seccomp filter is known.
    """
    scratch = profile.scratch
    hidden = (*profile.hidden, *map(Path, _HIDDEN), scratch, profile.home)
    writable = (*profile.writable, scratch / "tmp", scratch / "cache", scratch / "home")
    order = {
        "read": [*map(str, _visible(Path("/"), hidden)), *map(str, profile.readable), "/proc", *_devices()],
        "write": [*map(str, writable), "/dev/null", "/dev/full", "/dev/zero"],
        "network": network,
        "seccomp": seccomp_program(internet=network).hex(),
    }
    launcher = str(Path(__file__).with_name("confine.py"))
    return [sys.executable, "-I", "-S", "-E", launcher, json.dumps(order), *argv]


def _devices() -> list[str]:
    return [f"/dev/{name}" for name in _DEVICES]


def _visible(folder: Path, hidden: Sequence[Path]) -> list[Path]:
    """Return the widest folders and files that together hold all but what is hidden."""
    found = []
    for path in folder.iterdir():
        if path.is_symlink() or path in hidden:
            continue
        if any(inner.is_relative_to(path) for inner in hidden):
            found += _visible(path, hidden) if path.is_dir() else []
        else:
            found.append(path)
    return found
