"""A command's file system calls, recorded with strace: what it wrote, synced, renamed, and in which order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,rename,renameat,"
    "renameat2,mknod,mknodat,chdir,fchdir,unlink,unlinkat,rmdir,ftruncate,truncate,link,linkat,symlink,symlinkat,mkdir,mkdirat,lseek,"
    "fallocate,copy_file_range,sendfile"
)


class TraceError(Exception):
    """The trace could not be made, or holds a call that the simulated disk does not know."""


@dataclass(frozen=True, slots=True)
class Create:
    """A file or folder got a name; `truncate` empties a file that was there."""

    path: str
    folder: bool = False
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes went into a file's cache at `offset`."""

    path: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file was cut or extended to `size` bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Rename:
    """`source` became `target`."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Link:
    """`target` became a second name of `source`."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A name was taken away."""

    path: str


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or folder was synced; an empty path means all. Covers the operations before number `since`."""

    path: str
    since: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The traced program said something to the harness, e.g. that an event was acknowledged."""

    text: str


Operation = Create | Write | Resize | Rename | Link | Remove | Sync | Mark


def available() -> bool:
    """Say whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True)
    return probe.returncode == 0


def record(
    command: Sequence[str],
    *,
    root: Path,
    marks: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> list[Operation]:
    """Run `command` and return what it and its children did under `root`, marks included.

    Raises `TraceError` when the command fails.
    """
    sizes = {str(path): path.stat().st_size for path in root.rglob("*") if path.is_file()}
    strace = ["strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}"]
    done = subprocess.run(
        [*strace, "-o", str(log), *command],
        check=False,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
        timeout=120,
    )
    if done.returncode != 0:
        raise TraceError(f"{command} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
    with log.open(encoding="ascii") as lines:
        return parse(lines, root=str(root), marks=str(marks), sizes=sizes)


_LINE = re.compile(r"^(\d+)\s+(.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)(?:<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?)?", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_CURRENT = re.compile(r"AT_FDCWD<((?:\\x[0-9a-f]{2})*)>")
_FD = re.compile(r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>(\(deleted\))?")


def _unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def parse(lines: Iterable[str], *, root: str, marks: str, sizes: Mapping[str, int]) -> list[Operation]:
    """Turn strace's log into operations under `root`, in the order in which the calls ended.

    `sizes` are the bytes of the files that were there before.
    """
    parser = _Parser(root, marks, sizes)
    waiting: dict[str, tuple[str, int]] = {}
    for line in lines:
        match = _LINE.match(line.rstrip("\n"))
        if match is None:
            continue
        pid, text = match.groups()
        since = len(parser.operations)
        if text.endswith("<unfinished ...>"):
            waiting[pid] = (text.removesuffix("<unfinished ...>").rstrip(), since)
            continue
        resumed = _RESUMED.match(text)
        if resumed is not None:
            head, since = waiting.pop(pid, ("", since))
            text = head + resumed.group(2)
        call = _CALL.match(text)
        if call is not None:
            parser.call(pid, call, since)
    return parser.operations


class _Parser:
    def __init__(self, root: str, marks: str, sizes: Mapping[str, int]) -> None:
        self.operations: list[Operation] = []
        self._root = root
        self._marks = marks
        self._sizes = dict(sizes)
        # One writer a file at a time: what is traced here works so, and the disk's final state is compared.
        self._offsets: dict[str, int] = {}
        self._appending: set[str] = set()
        self._writable: set[tuple[str, str]] = set()
        self._special: set[str] = set()
        self._folders: dict[str, str] = {}
        self._pid = ""
        self._rest = b""

    def call(self, pid: str, call: re.Match[str], since: int) -> None:
        name, arguments, result = call.group(1), call.group(2), int(call.group(3))
        self._pid = pid
        if (current := _CURRENT.match(arguments)) is not None:
            self._folders[pid] = os.fsdecode(_unhex(current.group(1)))
        if result < 0:
            return
        match name:
            case "openat" | "open" | "creat":
                self._open(arguments, call)
            case "write" | "pwrite64":
                self._write(name, arguments, result)
            case "fsync" | "fdatasync":
                if (path := self._fd(arguments)) is not None:
                    self.operations.append(Sync(path, since))
            case "sync" | "syncfs":
                self.operations.append(Sync("", since))
            case "lseek":
                path = self._fd(arguments)
                if path is not None and (path, arguments.split("<", 1)[0]) in self._writable:
                    self._offsets[path] = result
            case "ftruncate":
                if (path := self._fd(arguments)) is not None:
                    self._resize(path, int(arguments.rsplit(",", 1)[1]))
            case "truncate":
                if (path := self._paths(arguments)[0]) is not None:
                    self._resize(path, int(arguments.rsplit(",", 1)[1]))
            case "rename" | "renameat" | "renameat2" | "link" | "linkat":
                self._two_names(name, arguments)
            case "unlink" | "unlinkat" | "rmdir":
                if (path := self._paths(arguments)[0]) is not None:
                    self._sizes.pop(path, None)
                    self.operations.append(Remove(path))
            case "mkdir" | "mkdirat":
                if (path := self._paths(arguments)[0]) is not None:
                    self.operations.append(Create(path, folder=True))
            case "chdir":
                if (string := _STRING.search(arguments)) is not None:
                    self._folders[pid] = self._absolute(os.fsdecode(_unhex(string.group(1))))
            case "fchdir":
                if (folder := _FD.match(arguments)) is not None:
                    self._folders[pid] = os.fsdecode(_unhex(folder.group(1)))
            case "mknod" | "mknodat":
                if (path := self._paths(arguments)[0]) is not None:
                    self._special.add(path)
            case "writev" | "pwritev" | "pwritev2" | "fallocate" | "copy_file_range" | "sendfile":
                if self._fd(arguments) is not None:
                    raise TraceError(f"{name} on a file is not modelled")
            case "symlink" | "symlinkat":
                if self._paths(arguments)[-1] is not None:
                    raise TraceError(f"{name} is not modelled")

    def _open(self, arguments: str, call: re.Match[str]) -> None:
        if call.group(5) or call.group(4) is None:
            return
        path = os.fsdecode(_unhex(call.group(4)))
        if "O_RDONLY" in arguments:
            self._writable.discard((path, call.group(3)))
            if "O_CREAT" in arguments and self._seen(path) is not None:
                self.operations.append(Create(path, truncate=False))
            return
        if self._seen(path) is None:
            return
        self._writable.add((path, call.group(3)))
        self._offsets[path] = 0
        if "O_APPEND" in arguments:
            self._appending.add(path)
        else:
            self._appending.discard(path)
        truncate = "O_TRUNC" in arguments or call.group(1) == "creat"
        if truncate:
            self._sizes[path] = 0
        if truncate or "O_CREAT" in arguments or call.group(1) == "creat":
            self.operations.append(Create(path, truncate=truncate))

    def _write(self, name: str, arguments: str, result: int) -> None:
        match = _FD.match(arguments)
        if match is None or match.group(2):
            return
        path = os.fsdecode(_unhex(match.group(1)))
        string = _STRING.search(arguments)
        if string is None:
            return
        if path == self._marks:
            *lines, self._rest = (self._rest + _unhex(string.group(1))[:result]).split(b"\n")
            self.operations.extend(Mark(line.decode()) for line in lines)
            return
        if self._seen(path) is None:
            return
        size = self._sizes.get(path, 0)
        if name == "pwrite64":
            offset = int(arguments.rsplit(",", 1)[1])
        elif path in self._appending:
            offset = size
        else:
            offset = self._offsets.get(path, 0)
        data = _unhex(string.group(1))[:result]
        if name == "write":
            self._offsets[path] = offset + result
        self._sizes[path] = max(size, offset + result)
        self.operations.append(Write(path, offset, data))

    def _resize(self, path: str, size: int) -> None:
        self._sizes[path] = size
        self.operations.append(Resize(path, size))

    def _two_names(self, name: str, arguments: str) -> None:
        source, target = self._paths(arguments)
        if source is None and target is None:
            return
        if source is None or target is None:
            raise TraceError(f"{name} across the edge of the traced folder is not modelled: {arguments}")
        if name.startswith("link"):
            self._sizes[target] = self._sizes.get(source, 0)
            self.operations.append(Link(source, target))
            return
        self._sizes[target] = self._sizes.pop(source, 0)
        self._offsets[target] = self._offsets.pop(source, 0)
        self.operations.append(Rename(source, target))

    def _fd(self, arguments: str) -> str | None:
        match = _FD.match(arguments)
        if match is None or match.group(2):
            return None
        return self._seen(os.fsdecode(_unhex(match.group(1))))

    def _paths(self, arguments: str) -> list[str | None]:
        found: list[str | None] = []
        for match in _STRING.finditer(arguments):
            path = os.fsdecode(_unhex(match.group(1)))
            folders = [fd for fd in _FD.finditer(arguments) if fd.end() <= match.start()]
            if folders and not path.startswith("/"):
                path = f"{os.fsdecode(_unhex(folders[-1].group(1)))}/{path}"
            found.append(self._seen(self._absolute(path)))
        return found

    def _absolute(self, path: str) -> str:
        if not path.startswith("/"):
            if self._pid not in self._folders:
                raise TraceError(f"the current folder of process {self._pid} is not known for {path}")
            path = f"{self._folders[self._pid]}/{path}"
        return os.path.normpath(path)

    def _seen(self, path: str) -> str | None:
        # SQLite's shared memory is mapped, not written, and is made anew after a power loss.
        if path.endswith("-shm") or path in self._special:
            return None
        return path if path == self._root or path.startswith(f"{self._root}/") else None
