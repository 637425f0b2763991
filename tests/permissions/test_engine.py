"""The policy in its first form."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.permissions import Grant, hash_call, judge


@pytest.mark.parametrize(
    ("effect", "inside", "mode", "verdict"),
    [
        ("pure", True, "ask", "allow"),
        ("pure", False, "ask", "ask"),
        ("checkable", True, "ask", "ask"),
        ("supervised", True, "ask", "ask"),
        ("irreversible", True, "ask", "ask"),
        ("supervised", True, "bypass", "allow"),
    ],
)
def test_the_verdict(effect: str, inside: bool, mode: str, verdict: str) -> None:
    decided = judge(effect=effect, inside=inside, scope="s", mode=mode, grants=[])  # type: ignore[arg-type]
    assert decided.verdict == verdict
    assert decided.reason


@given(st.text(), st.text())
def test_a_grant_covers_exactly_its_scope(scope: str, granted: str) -> None:
    grants = [Grant(granted, "step", 0.0)]
    decided = judge(effect="supervised", inside=True, scope=scope, mode="ask", grants=grants)
    assert (decided.verdict == "allow") == (scope == granted != "")


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_a_decision_is_bound_to_the_exact_call(one: dict[str, str], other: dict[str, str]) -> None:
    hashes = [hash_call("bash", dict(value), Path("/w")) for value in (one, other)]
    assert (hashes[0] == hashes[1]) == (one == other)
    assert hash_call("bash", dict(one), Path("/w")) != hash_call("read", dict(one), Path("/w"))
    assert hash_call("bash", dict(one), Path("/w")) != hash_call("bash", dict(one), Path("/v"))
