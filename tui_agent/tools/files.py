"""Files as the tools touch them: paths, hashes, and writing that is all or nothing."""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from tui_agent.events import FileState
from tui_agent.held import Held
from tui_agent.permissions import as_spelled
from tui_agent.runtime import Runtime
from tui_agent.workflow import ToolError

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file that is read whole."""


@dataclass(frozen=True)
class Target:
    """A path that a call names.

    `shown` is how a user would write it, relative to the workspace where it is inside, and always valid
    Unicode; `real` has no symbolic links; `inside` is about `real`. `linked_out` says that the path itself
    looks inside and a link leads out.
    """

    shown: str
    real: Path
    inside: bool
    linked_out: bool = False

    @functools.cached_property
    def held(self) -> Held:
        """The place of `real`, open from the first use on. Raises `ToolError` when it cannot be opened."""
        try:
            return Held(self.real)
        except OSError as error:
            raise ToolError(f"{self.shown}: {error.strerror}") from error

    def mode(self) -> int:
        """Return the mode of what is there, 0 for nothing. Raises `ToolError` when it is a link by now."""
        try:
            mode = self.held.status().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return 0
            raise ToolError(f"{self.shown}: {error.strerror}") from error
        if stat.S_ISLNK(mode):
            raise ToolError(f"{self.shown} has become a link meanwhile; nothing was done.")
        return mode

    @property
    def exists(self) -> bool:
        """Whether something is there."""
        return self.mode() != 0

    @property
    def is_folder(self) -> bool:
        """Whether a folder is there."""
        return stat.S_ISDIR(self.mode())


def resolve(text: str, workspace: Path, home: Path) -> Target:
    """Return what `text` names, relative to the workspace; `~` is the home. Raises `ToolError` for no path."""
    if not text or "\0" in text:
        raise ToolError("path is empty" if not text else "path holds a NUL character")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ToolError("path holds characters that a file name cannot have") from None
    if text == "~" or text.startswith("~/"):
        text = str(home) + text[1:]
    root = Path(os.path.realpath(workspace))
    written = Path(os.path.normpath(workspace / text))
    try:
        real = Path(os.path.realpath(as_spelled(str(workspace / text))))
    except OSError as error:
        raise ToolError(f"{text}: {error.strerror}") from error
    inside = real.is_relative_to(root)
    looks_inside = written.is_relative_to(workspace) or written.is_relative_to(root)
    shown = display(str(real.relative_to(root)) if inside else str(real))
    return Target(shown, real, inside, linked_out=looks_inside and not inside)


def display(path: str) -> str:
    """Return a file name as valid Unicode: bytes that are none become escapes like `\\xff`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def hash_bytes(data: bytes | None) -> str | None:
    """Return the SHA-256 in hex, None for None (no file)."""
    return None if data is None else hashlib.sha256(data).hexdigest()


def file_state(path: Path, data: bytes | None) -> FileState:
    """Return the state of a file with the content `data`, None where there is no file."""
    return FileState(path=display(str(path)), sha256=hash_bytes(data))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A regular file as it was read: its content, and the file itself, to see later whether it is the same."""

    data: bytes
    status: os.stat_result

    @property
    def identity(self) -> tuple[int, int, int, int, int]:
        """Return what changes when somebody writes to or replaces the file."""
        s = self.status
        return (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)


def read_file(target: Target, largest: int = LARGEST_FILE) -> Snapshot | None:
    """Read a regular file whole; None if there is none. Raises `ToolError` for anything else."""
    shown = target.shown
    try:
        descriptor = target.held.open()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ToolError(f"{shown}: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise ToolError(f"{shown} is a folder")
        if not stat.S_ISREG(status.st_mode):
            raise ToolError(f"{shown} is not a regular file (a device, socket or pipe)")
        if status.st_size > largest:
            raise ToolError(
                f"{shown} has {status.st_size:,} bytes; at most {largest:,} can be taken whole. Use bash."
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return Snapshot(file.read(), status)
    except OSError as error:
        raise ToolError(f"{shown}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def temporary_name(step: str) -> str:
    """Return the name of the step's temporary file: known from the step, so that what a crash leaves is found."""
    return f".tui-agent-{step}.tmp"


def write_file(target: Target, data: bytes, *, over: Snapshot | None, step: str, runtime: Runtime) -> None:
    """Put `data` in place of the file, whole or not at all, on disk before this returns.

    `over` is the file as it was read, None where none may be. Mode and, where permitted, owner stay. Folders
    that are missing are made. Raises `ToolError` and changes nothing if the file is another by now, or
    cannot be written.
    """
    temporary, shown, name = temporary_name(step), target.shown, target.held.names[-1]
    try:
        with target.held.folder(make=over is None) as folder:
            try:
                _write_temporary(folder, temporary, data, over)
                _check_unchanged(folder, name, shown, over)
                runtime.failpoint("effect.before")
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            runtime.failpoint("effect.after")
            os.fsync(folder)
    except OSError as error:
        raise ToolError(f"{shown} could not be written: {error.strerror}") from error


def sync_name(target: Target) -> None:
    """Make the name of a file that was found in place survive the loss of power.

    A crash may have come between its rename and the sync of its folder.
    """
    with target.held.folder() as folder:
        os.fsync(folder)


def remove_temporary(target: Target, step: str) -> None:
    """Remove what a crash left of the step's write to `target`."""
    with contextlib.suppress(OSError, ToolError), target.held.folder() as folder:
        os.unlink(temporary_name(step), dir_fd=folder)


def _write_temporary(folder: int, name: str, data: bytes, over: Snapshot | None) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    # An existing file's content must not be readable by more people, however briefly.
    mode = 0o666 if over is None else 0o600
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, mode, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        if over is not None:
            now = os.fstat(file.fileno())
            if (now.st_uid, now.st_gid) != (over.status.st_uid, over.status.st_gid):
                # Only root may give files away; others keep the content and become the owner.
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), over.status.st_uid, over.status.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(over.status.st_mode))
        os.fsync(file.fileno())


def _check_unchanged(folder: int, name: str, shown: str, over: Snapshot | None) -> None:
    try:
        now = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        if over is None:
            return
        raise ToolError(f"{shown} was deleted meanwhile; nothing was written") from None
    if over is None or Snapshot(b"", now).identity != over.identity:
        raise ToolError(f"{shown} was changed by somebody else meanwhile; nothing was written. Read it again.")
