"""The one reader for files that a project brings along: memory files, rules, settings.

Whoever wrote the project chose these names, links and contents. What is read is a regular file inside the project, of
bounded size, in one go: the hash is of the very bytes that are used.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


class UntrustedFileError(Exception):
    """The file is there and is not read; the message names it and says why. `reason` says why without the name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is not read: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UntrustedFile:
    """The content of a file and its SHA-256. `path` is where it really is, without links."""

    path: Path
    data: bytes
    sha256: str


def read_untrusted(path: Path, *, beneath: Path | None, limit: int) -> UntrustedFile:
    """Read a file of at most `limit` bytes that is really inside the folder `beneath`; None is anywhere.

    Links are followed as long as they stay inside; then each folder on the way is opened without following any more,
    so that nothing can be exchanged meanwhile. Never blocks on a pipe or device. Raises `FileNotFoundError` where
    there is no such file, `UntrustedFileError` for what is not read.
    """
    try:
        real = path.resolve(strict=True)
        root = real.parent if beneath is None else beneath.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: a NUL in the path
        raise UntrustedFileError(path, _reason(error)) from error
    if not real.is_relative_to(root):
        raise UntrustedFileError(path, f"it is a link to {real}, outside of {root}")
    try:
        descriptor = _open(root, real.relative_to(root).parts)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(str(path)) from error
    except OSError as error:
        raise UntrustedFileError(path, _reason(error)) from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UntrustedFileError(path, "it is not a regular file")
            data = file.read(limit + 1)
        except OSError as error:
            raise UntrustedFileError(path, _reason(error)) from error
    if len(data) > limit:
        raise UntrustedFileError(path, f"it is too large: it has more than {limit:,} bytes")
    return UntrustedFile(real, data, hashlib.sha256(data).hexdigest())


def _open(root: Path, parts: tuple[str, ...]) -> int:
    """Open a file below `root` without following a link on the way. Raises `OSError`."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    if not parts:
        raise IsADirectoryError(str(root))
    passing = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(root, passing)
    try:
        for part in parts[:-1]:
            below = os.open(part, passing, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(parts[-1], flags, dir_fd=folder)
    finally:
        with suppress(OSError):
            os.close(folder)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
