"""A file or folder held open from the decision about it to the act on it, so that no exchanged link leads elsewhere.

What is held is the folder that a real path stands in, opened without following any link on the way. Whatever is put
in the place of that path later, what is read or written is below the folder that was decided on.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import struct
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

_OPENAT2 = 437  # the number is the same on every architecture that Linux added it to
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PASSING = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Held:
    """The place of a real path: the nearest folder above it that exists, open, and the names from there to it."""

    def __init__(self, real: Path) -> None:
        """Open it. Raises `OSError`, also when a part of the path is a link by now."""
        self.real = real
        names: list[str] = []
        folder = real.parent
        while True:
            try:
                self._folder = open_folder(folder)
                break
            except FileNotFoundError:
                names.insert(0, folder.name)
                folder = folder.parent
        self.names = (*names, real.name) if real != real.parent else (".",)
        weakref.finalize(self, os.close, self._folder)

    @contextlib.contextmanager
    def folder(self, *, make: bool = False) -> Iterator[int]:
        """Open the folder that the path's last name is in; with `make`, folders that are missing are made.

        Raises `OSError`, also when one of them has become a link.
        """
        descriptor = os.dup(self._folder)
        try:
            for name in self.names[:-1]:
                try:
                    below = os.open(name, _FOLDER, dir_fd=descriptor)
                except FileNotFoundError:
                    if not make:
                        raise
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                    os.fsync(descriptor)
                    below = os.open(name, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, flags: int = os.O_RDONLY) -> int:
        """Open the path itself. Never waits for a pipe. Raises `OSError`, `ELOOP` where it is a link by now."""
        with self.folder() as folder:
            return os.open(self.names[-1], flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)

    def status(self) -> os.stat_result:
        """Return the status of what the path names, of a link itself. Raises `OSError`."""
        with self.folder() as folder:
            return os.stat(self.names[-1], dir_fd=folder, follow_symlinks=False)


def open_folder(real: Path) -> int:
    """Open a folder by its real path without following a link on the way. Raises `OSError`."""
    call = _openat2()
    if call is not None:
        resolve = _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
        try:
            return call(_root(), os.fsencode(str(real)), _FOLDER, resolve)
        except PermissionError:
            return call(_root(), os.fsencode(str(real)), _PASSING, resolve)
    return open_beneath(_root(), real.parts[1:])


def open_beneath(folder: int, names: tuple[str, ...], flags: int = _FOLDER) -> int:
    """Open what `names` lead to from an open folder, following no link. Raises `OSError`."""
    if not names:
        return os.open(".", flags, dir_fd=folder)
    call = _openat2()
    if call is not None and ".." not in names:
        resolve = _RESOLVE_BENEATH | _RESOLVE_NO_SYMLINKS | _RESOLVE_NO_MAGICLINKS
        return call(folder, os.fsencode("/".join(names)), flags, resolve)
    descriptor = os.dup(folder)
    try:
        for name in names[:-1]:
            below = os.open(name, _PASSING, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        return os.open(names[-1], flags | os.O_NOFOLLOW, dir_fd=descriptor)
    finally:
        os.close(descriptor)


@functools.cache
def _root() -> int:
    return os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


class _Call:
    """`openat2(2)`, typed."""

    def __init__(self) -> None:
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long

    def __call__(self, folder: int, path: bytes, flags: int, resolve: int) -> int:
        how = struct.pack("QQQ", flags, 0, resolve)
        while True:
            found = int(
                self._syscall(
                    ctypes.c_long(_OPENAT2),
                    ctypes.c_int(folder),
                    ctypes.c_char_p(path),
                    ctypes.c_char_p(how),
                    ctypes.c_size_t(len(how)),
                )
            )
            if found >= 0:
                return found
            number = ctypes.get_errno()
            if number not in (errno.EINTR, errno.EAGAIN):
                raise OSError(number, os.strerror(number), os.fsdecode(path))


@functools.cache
def _openat2() -> _Call | None:
    """Return the system call, None where the kernel or a filter has none."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        call = _Call()
        os.close(call(_root(), b".", _PASSING, _RESOLVE_BENEATH))
    except (OSError, AttributeError):
        return None
    return call
