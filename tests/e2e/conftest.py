"""What the tests in a real terminal share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal


@pytest.fixture
def start(isolated: Path) -> Iterator[Callable[..., Terminal]]:
    """Return a function that starts the app in the test's workspace; all are ended afterwards."""
    terminals: list[Terminal] = []
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")

    def begin(*arguments: str, **size: int) -> Terminal:
        terminals.append(Terminal(isolated, *arguments, **size))
        return terminals[-1]

    yield begin
    for terminal in terminals:
        terminal.close()
