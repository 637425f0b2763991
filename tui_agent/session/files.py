"""The files of a workspace that a user may mean: for completing paths in a prompt."""

from __future__ import annotations

import os
from collections import deque
from itertools import islice
from pathlib import Path

from tui_agent.tools.search_files import ignored, rules_of

SCANNED = 5_000
"""Entries of folders that are looked at, at most: the near ones, as folders are read level by level."""


def workspace_files(workspace: Path, most: int = SCANNED) -> list[str]:
    """Return the paths of files under `workspace`, relative to it, without those that git ignores.

    Looks at no more than `most` entries, so that a home folder costs no more than a project. Reads the disk:
    call it in a thread. What cannot be read is left out; links to folders are not followed.
    """
    found: list[str] = []
    root = os.fspath(workspace)
    folders = deque([(root, rules_of(root))])
    while folders and most > 0:
        folder, rules = folders.popleft()
        try:
            with os.scandir(folder) as scan:
                entries = sorted(islice(scan, most), key=lambda entry: entry.name)
        except OSError:
            continue
        most -= len(entries)
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name == ".git" or ignored(entry.path, is_folder, rules):
                continue
            if is_folder:
                folders.append((entry.path, rules + rules_of(entry.path)))
            elif entry.is_file():
                found.append(os.path.relpath(entry.path, root))
    return found
