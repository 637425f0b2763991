"""Reading what a project brings along: inside it, regular, bounded, and the hash of what was read."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted


def test_the_hash_is_of_the_bytes_that_were_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.md").write_bytes(b"text\xff")
    (tmp_path / "link").symlink_to("a/b.md")
    for name in ("a/b.md", "link", "a/../link"):
        found = read_untrusted(tmp_path / name, beneath=tmp_path, limit=5)
        assert found.data == b"text\xff"
        assert found.sha256 == hashlib.sha256(found.data).hexdigest()
        assert found.path == (tmp_path / "a/b.md").resolve()


def test_missing_files_are_told_from_refused_ones(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").write_text("x")
    (tmp_path / "in/long").write_text("123456")
    (tmp_path / "in/link").symlink_to("../out")
    (tmp_path / "in/loop").symlink_to("loop")
    os.mkfifo(tmp_path / "in/pipe")
    for name in ("none", "none/none", "long/none"):
        with pytest.raises(FileNotFoundError):
            read_untrusted(tmp_path / "in" / name, beneath=tmp_path / "in", limit=5)
    for name in ("link", "../out", "pipe", "long", ".", "loop"):
        with pytest.raises(UntrustedFileError):
            read_untrusted(tmp_path / "in" / name, beneath=tmp_path / "in", limit=5)


def test_a_folder_exchanged_for_a_link_meanwhile_never_leads_out(tmp_path: Path) -> None:
    (tmp_path / "in/d").mkdir(parents=True)
    (tmp_path / "in/d/f").write_text("inside")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/f").write_text("secret")
    (tmp_path / "in/link").symlink_to(tmp_path / "out")
    done = threading.Event()

    def exchange() -> None:
        while not done.is_set():
            (tmp_path / "in/d").rename(tmp_path / "in/kept")
            (tmp_path / "in/link").rename(tmp_path / "in/d")
            (tmp_path / "in/d").rename(tmp_path / "in/link")
            (tmp_path / "in/kept").rename(tmp_path / "in/d")

    working = threading.Thread(target=exchange)
    working.start()
    read = set()
    try:
        for _ in range(2_000):
            try:
                read.add(read_untrusted(tmp_path / "in/d/f", beneath=tmp_path / "in", limit=100).data)
            except (FileNotFoundError, UntrustedFileError):
                continue
    finally:
        done.set()
        working.join()
    assert read <= {b"inside"}
