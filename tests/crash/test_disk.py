"""The simulated disk itself: it loses what it may lose, and nothing that was synced."""

from __future__ import annotations

import random
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.crash import trace
from tests.crash.disk import Disk, Loss, random_loss, write_image
from tests.crash.trace import Create, Mark, Operation, Rename, Sync, Write

NOTHING = Loss(names=0.0, data=0.0, sector=512, ordered=False)

needs_strace = pytest.mark.skipif(not trace.available(), reason="strace is not there or may not trace")


def disk_after(root: Path, operations: list[Operation]) -> Disk:
    disk = Disk(root)
    for operation in operations:
        disk.apply(operation)
    return disk


def test_only_what_was_synced_is_sure(tmp_path: Path) -> None:
    root = tmp_path / "root"
    a = f"{root}/a"
    operations: list[Operation] = [Create(a), Write(a, 0, b"one"), Sync(a, 2), Sync(str(root), 3)]
    assert disk_after(root, operations[:3]).image(NOTHING, random.Random(1)) == {}
    assert disk_after(root, operations).image(NOTHING, random.Random(1)) == {"a": b"one"}
    operations.append(Write(a, 3, b"two"))
    assert disk_after(root, operations).image(NOTHING, random.Random(1)) == {"a": b"one"}
    assert disk_after(root, operations).live() == {"a": b"onetwo"}


def test_a_write_during_a_sync_is_not_covered_by_it(tmp_path: Path) -> None:
    root = tmp_path / "root"
    a = f"{root}/a"
    operations: list[Operation] = [Create(a), Write(a, 0, b"x"), Sync(a, 1), Sync(str(root), 3)]
    assert disk_after(root, operations).image(NOTHING, random.Random(1)) == {"a": b""}


def test_a_rename_without_a_sync_of_the_folder_is_old_or_new(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    b, a = f"{tmp_path}/b", f"{tmp_path}/a"
    disk = disk_after(tmp_path, [Create(b), Write(b, 0, b"new"), Sync(b, 2), Rename(b, a)])
    chance = random.Random(2)
    seen = {disk.image(Loss(0.5, 0.5, 512, ordered), chance)["a"] for ordered in (True, False) for _ in range(50)}
    assert seen == {b"old", b"new"}


def test_a_large_write_tears_at_sectors(tmp_path: Path) -> None:
    a = f"{tmp_path}/a"
    disk = disk_after(tmp_path, [Create(a), Sync(str(tmp_path), 1), Write(a, 0, b"x" * 1024)])
    chance = random.Random(3)
    seen = {disk.image(Loss(1.0, 0.5, 512, True), chance)["a"] for _ in range(50)}
    assert seen == {b"", b"x" * 512, bytes(512) + b"x" * 512, b"x" * 1024}


WRITER = """
import os, sqlite3, subprocess, sys
root, marks, level = sys.argv[1:]
os.mkdir(root + "/session")
mark = os.open(marks, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
db = sqlite3.connect(root + "/session/a.db", isolation_level=None)
db.execute("pragma journal_mode=wal")
db.execute("create table t (x integer)")
db.execute("pragma wal_autocheckpoint=20")
db.execute("pragma synchronous=" + level)
for folder in (root + "/session", root):
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
for number in range(60):
    db.execute("insert into t values (?)", (number,))
    os.write(mark, b"%d\\n" % number)
with open(root + "/other", "a") as file:
    file.write("first ")
    file.flush()
    subprocess.run(["bash", "-c", "echo second >> other; sync other; mv other renamed"], cwd=root, check=True)
db.close()
"""


@needs_strace
def test_sqlite_loses_acknowledged_rows_exactly_where_it_does_not_sync(tmp_path: Path) -> None:
    lost: dict[str, int] = {}
    for level in ("FULL", "NORMAL", "OFF"):
        root = tmp_path / level
        root.mkdir()
        disk = Disk(root)
        command = [sys.executable, "-c", WRITER, str(root), str(tmp_path / "marks"), level]
        operations = trace.record(command, root=root, marks=tmp_path / "marks", log=tmp_path / "log")
        chance = random.Random(4)
        instants = set(chance.sample(range(len(operations)), 25))
        lost[level] = acknowledged = 0
        for instant, operation in enumerate(operations):
            disk.apply(operation)
            if isinstance(operation, Mark):
                acknowledged += 1
            if acknowledged and instant in instants:
                image = tmp_path / f"{level}-{instant}"
                write_image(disk.image(random_loss(chance), chance), image)
                lost[level] += rows(image / "session" / "a.db") < acknowledged
        assert acknowledged == 60
        real = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert disk.live() == real
    assert lost["FULL"] == 0
    assert lost["NORMAL"] > 0
    assert lost["OFF"] > 0


def rows(path: Path) -> int:
    try:
        with sqlite3.connect(path) as db:
            count: int = db.execute("select count(*) from t").fetchone()[0]
            return count
    except sqlite3.DatabaseError:
        return 0
