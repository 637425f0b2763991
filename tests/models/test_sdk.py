"""The SDK is imported in part, and still is all of the SDK to whoever asks for more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.waiting import MAX_WAIT_SECONDS
from tui_agent.models.sdk import reexported

IN_PART = """
import sys
from tui_agent.models.sdk import import_sdk
import_sdk()
import anthropic
client = anthropic.AsyncAnthropic(api_key="x")
anthropic.AsyncStream, anthropic.Timeout, anthropic.APIStatusError, anthropic.DEFAULT_CONNECTION_LIMITS
print(sum(name.startswith("anthropic") for name in sys.modules))
"""

ALL_NAMES = """
import anthropic.types.beta
for package in (anthropic, anthropic.types, anthropic.types.beta):
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing, (package, missing)
assert len(anthropic.types.__all__) > 100
assert anthropic.types.Message is sys.modules["anthropic.types.message"].Message
assert type(client.messages).__name__ == "AsyncMessages" and type(client.beta.messages).__name__ == "AsyncMessages"
try:
    anthropic.no_such_name
except AttributeError as error:
    print(error)
"""


def run(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=MAX_WAIT_SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_client_needs_less_than_half_of_the_sdk() -> None:
    whole = "import sys, anthropic\nprint(sum(name.startswith('anthropic') for name in sys.modules))"
    assert int(run(IN_PART)[0]) < int(run(whole)[0]) / 2


def test_every_other_name_of_the_sdk_is_there_when_asked_for() -> None:
    assert "no_such_name" in run(IN_PART + ALL_NAMES)[-1]


@pytest.mark.parametrize(
    ("source", "homes"),
    [
        ("", {}),
        ("# made\nfrom __future__ import annotations\n", {}),
        ("from .a import A as A, B\n", {"A": (".a", "A"), "B": (".a", "B")}),
        ("from ..a import (\n    A as A,\n    B as C,\n)\n", {"A": ("..a", "A"), "C": ("..a", "B")}),
        ("from .a import A\n\n__all__ = [\n    'A',\n]\n", {"A": (".a", "A")}),
        ("from .a import A\nprint(A)\n", None),
        ("from .a import *\n", None),
        ("from . import a\n", None),
        ("from .a import A  # one\n", None),
        ("from typing import Any\n", None),
        ("def f(): pass\n", None),
    ],
)
def test_only_packages_that_re_export_names_are_imported_in_part(
    source: str, homes: dict[str, tuple[str, str]] | None
) -> None:
    assert reexported(source) == homes
