"""Commands under Landlock and seccomp: for machines where no namespaces can be made.

It holds less than bubblewrap, and is shown as reduced: paths inside the workspace cannot be protected, a command that
may change the workspace can change file modes and times anywhere the user may, and there is no network but also no
loopback and no Unix socket. A command that only reads changes nothing here either.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox.profile import Profile
from tui_agent.sandbox.seccomp import seccomp_program

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_WRITABLE_DEVICES = ("/dev/null", "/dev/full", "/dev/zero")
_CREATE_RULESET = 444
_SCOPED_SIGNALS = 6
"""The version from which on a process cannot signal those outside."""

_HIDDEN = ("/run", "/tmp", "/var/tmp", "/var/run", "/dev", "/proc")


def landlock_argv(
    profile: Profile, argv: Sequence[str] = ("/bin/true",), *, network: bool = False, private: Path | None = None
) -> list[str]:
    """Return the argument list that runs `argv` under the rules of `profile`.

    A command that only reads can write in the folder `private` alone. Raises `UnsupportedMachine` where no seccomp
    filter is known.
    """
    order = _reading(profile, private) if profile.read_only else _working(profile)
    filter_ = seccomp_program(
        internet=network,
        unix=False,
        changes=not profile.read_only,
        signals=not profile.read_only or _version() >= _SCOPED_SIGNALS,
    )
    order |= {"network": network, "seccomp": filter_.hex()}
    launcher = str(Path(__file__).with_name("confine.py"))
    return [sys.executable, "-I", "-S", "-E", launcher, json.dumps(order), *argv]


def _working(profile: Profile) -> dict[str, object]:
    scratch = profile.scratch
    hidden = (*profile.hidden, *map(Path, _HIDDEN), scratch, profile.home)
    writable = (*profile.writable, scratch / "tmp", scratch / "cache", scratch / "home")
    return {
        "read": [*map(str, _visible(Path("/"), hidden)), *map(str, profile.readable), "/proc", *_devices()],
        "write": [*map(str, writable), *_WRITABLE_DEVICES],
        "list": [],
    }


def _reading(profile: Profile, private: Path | None) -> dict[str, object]:
    """Return the rules for a command that only reads: names of files that look empty are seen, no content."""
    shut = (*profile.hidden, *profile.kept_out)
    roots = [*(path for path in profile.shown if not path.is_symlink()), *profile.readable, *profile.writable]
    read, listed = [], []
    for root in roots:
        inner = [path for path in shut if path != root and path.is_relative_to(root)]
        if any(root == path or path in root.parents for path in profile.kept_out):
            continue
        if inner:
            listed.append(root)
        read += _visible(root, inner) if inner else [root]
    return {
        "read": [*map(str, read), str(profile.scratch / "tmp"), "/proc", *_devices()],
        "write": [*([str(private)] if private else []), *_WRITABLE_DEVICES],
        "list": [str(path) for path in listed],
    }


def _version() -> int:
    """Return the version of Landlock's interface in this kernel, 0 or less without it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


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
