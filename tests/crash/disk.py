"""A disk that loses power: what was synced stays; the rest is dropped, torn and reordered at random.

Files keep the sectors that were synced; any subset of the sectors written since may be there too. Folders
keep the names that were synced; of the later ones either a prefix in order survives (as on a journalling file
system) or any subset (as POSIX allows).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.trace import Create, Link, Mark, Operation, Remove, Rename, Resize, Sync, TraceError, Write


@dataclass(eq=False)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    live: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Write | Resize]] = field(default_factory=list)


@dataclass(eq=False)
class _Folder:
    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    live: dict[str, _File | _Folder] = field(default_factory=dict)


@dataclass(eq=False)
class _NameChange:
    """A change of names, atomic: sets (folder, name) to a node, or takes it away (None)."""

    number: int
    changes: list[tuple[_Folder, str, _File | _Folder | None]]
    synced: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """How an image loses what was not synced. `names` and `data` are chances of survival.

    `sector` is in bytes. With `ordered`, the names survive as a prefix of their changes.
    """

    names: float
    data: float
    sector: int
    ordered: bool


def random_loss(chance: random.Random) -> Loss:
    """Draw a way of losing: everything, nothing, or some."""
    levels = (0.0, 0.5, 0.9, 1.0)
    return Loss(chance.choice(levels), chance.choice(levels), chance.choice((512, 4096)), chance.random() < 0.5)


class Disk:
    """The folder `root` as the kernel shows it and as the disk holds it."""

    def __init__(self, root: Path) -> None:
        self._path = str(root)
        self._count = 0
        self._root = _Folder()
        self._names: list[_NameChange] = []
        if root.is_dir():
            self._load(root, self._root)

    def _load(self, path: Path, folder: _Folder) -> None:
        for entry in sorted(path.iterdir()):
            node: _File | _Folder
            if entry.is_dir():
                node = _Folder()
                self._load(entry, node)
            else:
                content = entry.read_bytes()
                node = _File(bytearray(content), bytearray(content))
            folder.live[entry.name] = folder.durable[entry.name] = node

    def rebase(self, root: Path) -> None:
        """Take the paths of operations as below `root` from now on."""
        self._path = str(root)

    def apply(self, operation: Operation) -> None:
        """Take over one operation of a trace. Raises `TraceError` when it does not fit what went before."""
        number = self._count
        self._count += 1
        match operation:
            case Create():
                self._create(number, operation)
            case Write() | Resize():
                file = self._file(operation.path)
                _change(file.live, operation)
                file.pending.append((number, operation))
            case Rename():
                node = self._node(operation.source)
                source, target = self._parent(operation.source), self._parent(operation.target)
                self._rename(number, [(*source, None), (*target, node)])
            case Link():
                self._rename(number, [(*self._parent(operation.target), self._node(operation.source))])
            case Remove():
                self._rename(number, [(*self._parent(operation.path), None)])
            case Sync():
                self._sync(operation)
            case Mark():
                pass

    def _create(self, number: int, operation: Create) -> None:
        if operation.path == self._path:
            return
        folder, name = self._parent(operation.path)
        if name not in folder.live:
            self._rename(number, [(folder, name, _Folder() if operation.folder else _File())])
        elif operation.truncate:
            file = self._file(operation.path)
            file.pending.append((number, Resize(operation.path, 0)))
            file.live.clear()

    def _rename(self, number: int, changes: list[tuple[_Folder, str, _File | _Folder | None]]) -> None:
        change = _NameChange(number, changes)
        for folder, name, node in changes:
            _set(folder.live, name, node)
        self._names.append(change)

    def _sync(self, operation: Sync) -> None:
        if operation.path == "":
            nodes: Iterable[_File | _Folder] = list(_walk(self._root))
        else:
            nodes = [self._node(operation.path)]
        for node in nodes:
            if isinstance(node, _File):
                while node.pending and node.pending[0][0] < operation.since:
                    _change(node.durable, node.pending.pop(0)[1])
            else:
                for change in self._names:
                    if change.number < operation.since and any(f is node for f, _, _ in change.changes):
                        change.synced = True
        while self._names and self._names[0].synced:
            for folder, name, entry in self._names.pop(0).changes:
                _set(folder.durable, name, entry)

    def unsynced(self) -> int:
        """Return how many writes and changes of names a power loss could take away now."""
        return len(self._names) + sum(len(n.pending) for n in _walk(self._root) if isinstance(n, _File))

    def live(self) -> dict[str, bytes]:
        """Return every file as the kernel shows it, by its path relative to the root."""
        return {path: bytes(file.live) for path, file in _files(self._root)}

    def image(self, loss: Loss, chance: random.Random) -> dict[str, bytes | None]:
        """Return what the disk could hold if the power failed now: path to bytes; a folder is None."""
        survivors = len(self._names)
        if loss.names < 1.0:
            survivors = int((survivors + 1) * loss.names * chance.random())
        last = max((i for i, change in enumerate(self._names) if change.synced), default=-1)
        survivors = max(survivors, last + 1)
        entries: dict[int, dict[str, _File | _Folder]] = {}

        def names(folder: _Folder) -> dict[str, _File | _Folder]:
            return entries.setdefault(id(folder), dict(folder.durable))

        for index, change in enumerate(self._names):
            survives = index < survivors if loss.ordered else change.synced or chance.random() < loss.names
            if survives:
                for folder, name, node in change.changes:
                    _set(names(folder), name, node)
        result: dict[str, bytes | None] = {}
        contents: dict[int, bytes] = {}

        def visit(folder: _Folder, prefix: str, above: tuple[_Folder, ...]) -> None:
            for name, node in names(folder).items():
                if isinstance(node, _File):
                    if id(node) not in contents:
                        contents[id(node)] = _torn(node, loss, chance)
                    result[prefix + name] = contents[id(node)]
                elif node not in above:
                    result[prefix + name] = None
                    visit(node, f"{prefix}{name}/", (*above, node))

        visit(self._root, "", (self._root,))
        return result

    def _parent(self, path: str) -> tuple[_Folder, str]:
        head, name = path.rsplit("/", 1)
        node = self._node(head)
        if not isinstance(node, _Folder):
            raise TraceError(f"not a folder: {head}")
        return node, name

    def _node(self, path: str) -> _File | _Folder:
        node: _File | _Folder = self._root
        relative = path.removeprefix(self._path).strip("/")
        for name in relative.split("/") if relative else []:
            if not isinstance(node, _Folder) or name not in node.live:
                raise TraceError(f"the trace uses {path}, which was never made")
            node = node.live[name]
        return node

    def _file(self, path: str) -> _File:
        node = self._node(path)
        if not isinstance(node, _File):
            raise TraceError(f"not a file: {path}")
        return node


def write_image(image: dict[str, bytes | None], target: Path) -> None:
    """Make the image's folders and files in `target`, which must not exist yet or be empty."""
    target.mkdir(parents=True, exist_ok=True)
    for name, content in image.items():
        if content is None:
            (target / name).mkdir()
        else:
            (target / name).write_bytes(content)


def _set(entries: dict[str, _File | _Folder], name: str, node: _File | _Folder | None) -> None:
    if node is None:
        entries.pop(name, None)
    else:
        entries[name] = node


def _change(content: bytearray, operation: Write | Resize) -> None:
    if isinstance(operation, Resize):
        if len(content) > operation.size:
            del content[operation.size :]
        else:
            content.extend(bytes(operation.size - len(content)))
        return
    end = operation.offset + len(operation.data)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = operation.data


def _torn(file: _File, loss: Loss, chance: random.Random) -> bytes:
    content = bytearray(file.durable)
    for _, operation in file.pending:
        if isinstance(operation, Resize):
            if chance.random() < loss.data:
                _change(content, operation)
            continue
        start, end = operation.offset, operation.offset + len(operation.data)
        position = start
        while position < end:
            stop = min(end, (position // loss.sector + 1) * loss.sector)
            if chance.random() < loss.data:
                part = operation.data[position - start : stop - start]
                _change(content, Write(operation.path, position, part))
            position = stop
    return bytes(content)


def _walk(folder: _Folder) -> Iterable[_File | _Folder]:
    yield folder
    for node in folder.live.values():
        if isinstance(node, _Folder):
            yield from _walk(node)
        else:
            yield node


def _files(folder: _Folder, prefix: str = "") -> Iterable[tuple[str, _File]]:
    for name, node in folder.live.items():
        if isinstance(node, _File):
            yield prefix + name, node
        else:
            yield from _files(node, f"{prefix}{name}/")
