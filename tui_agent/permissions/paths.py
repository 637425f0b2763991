"""Whether a file that a tool names may be read or written: containment and the files that matter.

Containment is decided by the kernel where it can: `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS`
refuses every way out, `..`, links and `/proc/self/root` alike. Elsewhere a walk does the same, part by part.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import stat
import struct
import sys
import unicodedata
from dataclasses import dataclass
from typing import Literal

from tui_agent.permissions.guard.model import Places
from tui_agent.permissions.guard.places import second_name
from tui_agent.permissions.sensitive import own_file, secret_level, write_level

_OPENAT2 = 437  # the number is the same on every architecture that Linux added it to
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class PathFinding:
    """What is to be said of a path. `real` is where it leads, `inside` whether that is in a granted folder.

    `level` is about the file itself (a secret, the app's own, a second name for another file), whatever the
    rules say; `firm` says that it holds in the mode bypass too.
    """

    shown: str
    real: str
    inside: bool
    level: Literal["pass", "ask", "deny"] = "pass"
    reason: str = ""
    firm: bool = False


def look_at(path: str, *, purpose: Literal["read", "write"], cwd: str, places: Places) -> PathFinding:
    """Return what is to be said of `path` before it is read or written. Raises nothing; what is odd asks."""
    if not path or "\0" in path:
        return PathFinding(path, "", False, "ask", "the path is empty or holds a NUL", True)
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return PathFinding(path, "", False, "ask", "the path is not valid Unicode", True)
    if path == "~" or path.startswith("~/"):
        path = places.home + path[1:]
    joined = os.path.join(cwd, path)
    if places.temporary is not None:
        joined = places.temporary.locate(joined, reading=purpose == "read")
    joined = as_spelled(joined)
    try:
        real = os.path.realpath(joined)
    except OSError as error:
        return PathFinding(path, "", False, "ask", f"the path cannot be followed: {error.strerror}", True)
    written = os.path.normpath(joined)
    inside = any(contains(folder, joined) for folder in (places.workspace, *places.folders))
    for place in (real, written):
        temporary = places.temporary is not None and places.temporary.contains(place)
        if purpose == "write" and not temporary and own_file(place, places):
            return PathFinding(path, real, inside, "deny", "it is the app's own: settings, rules or sessions", True)
        level = secret_level(place)
        if level == "deny":
            return PathFinding(path, real, inside, "deny", "it holds keys or credentials", True)
    for place in (real, written):
        if secret_level(place):
            return PathFinding(path, real, inside, "ask", "it looks like a file with secrets", False)
    if purpose == "write":
        for place in (real, written):
            level, reason = write_level(place)
            if level:
                return PathFinding(path, real, inside, level, reason)
    reason = odd_file(real, purpose)
    return PathFinding(path, real, inside, "ask" if reason else "pass", reason)


def as_spelled(path: str) -> str:
    """Return an absolute path with the names as they stand on disk, where only the Unicode form differs.

    One sees no difference between an é of one character and one of two (NFC and NFD): where a name is not there and
    exactly one other in its folder is the same in NFC, that one is meant. The check of a path and its use both see
    it so. Blocking.
    """
    if path.isascii() or os.path.lexists(path):
        return path
    found = "/" if path.startswith("/") else ""
    for part in path.split("/"):
        name = part
        if part and not part.isascii() and not os.path.lexists(os.path.join(found, part)):
            wanted = unicodedata.normalize("NFC", part)
            try:
                names = [other for other in os.listdir(found or ".") if unicodedata.normalize("NFC", other) == wanted]
            except OSError:
                return path
            name = names[0] if len(names) == 1 else part
        found = os.path.join(found, name)
    return found


def odd_file(real: str, purpose: Literal["read", "write"]) -> str:
    """Return why the file at a real path is no plain file of its folder alone, empty where it is one."""
    try:
        mode = os.lstat(real).st_mode
    except OSError:
        return ""
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "it is a device, a socket or a pipe"
    return second_name(real, packages=purpose == "write")


def contains(folder: str, path: str) -> bool:
    """Say whether `path`, absolute, leads into `folder`; what does not exist yet counts by its folder."""
    root = os.path.realpath(folder)
    for base in dict.fromkeys((os.path.normpath(folder), root)):
        inside = path == base or path.startswith(base.rstrip("/") + "/")
        if inside and beneath(root, path[len(base) :].lstrip("/") or "."):
            return True
    # an absolute link may still lead back inside: then the place itself is what counts
    real = os.path.realpath(path)
    return (real == root or real.startswith(root.rstrip("/") + "/")) and beneath(root, os.path.relpath(real, root))


def beneath(root: str, relative: str) -> bool:
    """Say whether `relative`, followed from the real folder `root`, never leaves it."""
    existing, missing = relative.rstrip("/") or ".", ""
    while existing != "." and not os.path.lexists(os.path.join(root, existing)):
        head, _, tail = existing.rpartition("/")
        existing, missing = head or ".", f"{tail}/{missing}"
    if ".." in missing.split("/"):
        return _beneath_walk(root, relative)
    outcome = _beneath_kernel(root, existing)
    return _beneath_walk(root, relative) if outcome is None else outcome


def _beneath_kernel(root: str, existing: str) -> bool | None:
    """Ask the kernel about a path that exists; None where it cannot say."""
    call = _openat2()
    if call is None:
        return None
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
        found = call(_OPENAT2, descriptor, os.fsencode(existing), how, len(how))
    finally:
        os.close(descriptor)
    if found >= 0:
        os.close(found)
        return True
    return False if ctypes.get_errno() in (errno.EXDEV, errno.ELOOP) else None


def _beneath_walk(root: str, relative: str) -> bool:
    """Follow `relative` part by part, refusing every step out of `root`."""
    root = os.path.realpath(root)
    at, links = root, 0
    waiting = [part for part in relative.split("/") if part not in ("", ".")][::-1]
    if relative.startswith("/"):
        return False
    while waiting:
        part = waiting.pop()
        if part == "..":
            if at == root:
                return False
            at = os.path.dirname(at)
            continue
        following = os.path.join(at, part)
        try:
            target = os.readlink(following)
        except OSError:
            at = following
            continue
        links += 1
        if links > _MOST_LINKS or target.startswith("/"):
            return False
        waiting += [piece for piece in target.split("/") if piece not in ("", ".")][::-1]
    return True


class _Call:
    """`syscall(2)`, typed."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._syscall = library.syscall
        self._syscall.restype = ctypes.c_long

    def __call__(self, number: int, descriptor: int, path: bytes, how: bytes, size: int) -> int:
        return int(
            self._syscall(
                ctypes.c_long(number),
                ctypes.c_int(descriptor),
                ctypes.c_char_p(path),
                ctypes.c_char_p(how),
                ctypes.c_size_t(size),
            )
        )


@functools.cache
def _openat2() -> _Call | None:
    """Return the system call, None where the kernel or a filter has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        call = _Call()
        how = struct.pack("QQQ", os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_BENEATH)
        descriptor = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = call(_OPENAT2, descriptor, b".", how, len(how))
        finally:
            os.close(descriptor)
    except (OSError, AttributeError):
        return None
    if found < 0:
        return None
    os.close(found)
    return call
