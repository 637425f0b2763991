"""A request reckons with what it has in common with an earlier one as if it had reckoned it itself."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tui_agent.models.offline.request import Request

texts = st.sampled_from(["a", "b", "c"])
marks = st.sampled_from([{}, {"cache_control": {"type": "ephemeral"}}])
content = st.lists(st.builds(lambda text, mark: {"type": "text", "text": text, **mark}, texts, marks), max_size=2)
messages = st.lists(
    st.builds(
        lambda role, blocks: {"role": role, "content": blocks},
        st.sampled_from(["user", "assistant"]),
        content | texts,
    ),
    min_size=1,
    max_size=4,
)
bodies = st.builds(
    lambda tools, system, said: {"model": "m", "tools": tools, "system": system, "messages": said},
    st.lists(st.builds(lambda name: {"name": name}, texts), max_size=1),
    texts,
    messages,
)


@given(st.lists(bodies, min_size=1, max_size=4), messages)
def test_what_is_shared_is_as_if_reckoned_anew(bodies: list[dict[str, Any]], more: list[dict[str, Any]]) -> None:
    grown = [bodies[0], {**bodies[0], "messages": bodies[0]["messages"] + more}, *bodies[1:]]
    earlier: Request | None = None
    for body in grown:
        fresh, earlier = Request(body), Request(body, earlier)
        assert (earlier.prefix, earlier.spelled, earlier.starts) == (fresh.prefix, fresh.spelled, fresh.starts)
