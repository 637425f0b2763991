"""The layout: any stored value is read without an error, and what was stored comes back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tui_agent.ui.layout import SIDE_MAX, SIDE_MIN, Layout, parse_layout

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["version", "panes", "tab", "focus", "theme", "conversation", "timeline", "draft", "new"])


@given(st.dictionaries(keys, anything) | anything)
def test_any_value_is_read(data):
    layout = parse_layout(data)
    assert SIDE_MIN <= layout.side <= SIDE_MAX
    assert parse_layout(layout.to_json()) == layout


@given(st.integers(-200, 200), st.integers(-200, 200))
def test_round_trip_after_resizing(side, timeline):
    layout = Layout(draft={"text": "x"}).resized(side=side, timeline=timeline)
    assert parse_layout(json.loads(json.dumps(layout.to_json()))) == layout
