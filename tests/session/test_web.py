"""Web search and fetch by the model's server: off unless turned on, shown, kept verbatim, in the projection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.session.support import opened, options
from tui_agent.events import Notice, PoolAssembled, TurnFinished, TurnProjected
from tui_agent.models.offline import OfflineServer

SEARCHING = """
[[turn]]
text = "Let me look."
stop = "pause_turn"
[[turn.call]]
tool = "web_search"
input = { query = "marzipan \\u001b[31m recipe" }
served = [{ type = "web_search_result", title = "Marzipan", url = "https://example.org/m", encrypted_content = "E" }]

[[turn]]
text = "And the page."
[[turn.call]]
tool = "web_fetch"
input = { url = "https://example.org/m" }
served = { type = "web_fetch_tool_result_error", error_code = "url_not_accessible" }

[[turn]]
text = "As I said."
"""


@pytest.fixture
def served(tmp_path: Path) -> Any:
    script = tmp_path / "scenario.toml"
    script.write_text(SEARCHING)
    with OfflineServer(script, record=True) as server:
        yield server


def configured(tmp_path: Path, server: Any, text: str) -> Any:
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/settings.toml").write_text(f'base_url = "{server.base_url}"\n{text}')
    environment = {"PATH": "/usr/bin:/bin", "ANTHROPIC_API_KEY": "k"}
    given = options(tmp_path, offline=False)
    given.runtime.environment.update(environment)  # type: ignore[attr-defined]
    return given


BOTH = "web_search = true\nweb_fetch = true\nweb_max_uses = 3\n"


async def test_what_the_server_searched_is_shown_and_kept_word_for_word(tmp_path: Path, served: Any) -> None:
    async with opened(configured(tmp_path, served, BOTH + 'web_allowed_domains = ["*.Example.org"]\n')) as watcher:
        await watcher.prompt("find a recipe")
        await watcher.prompt("again")
    tools = [tool for tool in served.requests[-1].body["tools"] if "type" in tool]
    assert [(tool["type"], tool["max_uses"], tool["allowed_domains"]) for tool in tools] == [
        ("web_search_20260318", 3, ["example.org"]),
        ("web_fetch_20260318", 3, ["example.org"]),
    ]
    finished = [event for event in watcher.of("turn.finished") if isinstance(event, TurnFinished)]
    sent = [block for message in served.requests[-1].body["messages"] for block in message["content"]]
    for turn in finished[:2]:
        assert all(block in sent for block in turn.content)
        assert {block["type"] for block in turn.content} >= {"server_tool_use"}
    assert finished[0].usage.web_searches == 1
    assert finished[1].usage.web_fetches == 1
    assert finished[0].cost is not None
    assert finished[0].cost >= 0.01
    said = [event.message for event in watcher.of("notice") if isinstance(event, Notice) and event.code == "web"]
    assert "1 result\n  Marzipan https://example.org/m" in said[0]
    assert "\x1b" not in said[0]
    assert "https://example.org/m, failed: url_not_accessible" in said[1]


async def test_the_first_projection_has_room_for_all_searches(tmp_path: Path, served: Any) -> None:
    costs = []
    for text in ("", BOTH):
        async with opened(configured(tmp_path, served, text + 'model = "sonnet"\n')) as watcher:
            await watcher.prompt("find")
        projected = watcher.of("turn.projected")[0]
        assert isinstance(projected, TurnProjected)
        costs.append(projected.max_cost or 0.0)
    assert costs[1] >= costs[0] + 3 * 0.01 + 6 * 20_000 * 2e-6


@pytest.mark.parametrize(
    ("text", "rules", "why"),
    [
        ("", "", None),
        (BOTH, 'deny = ["WebSearch", "WebFetch(domain:evil.example)"]', "forbids it"),
        (BOTH + 'web_allowed_domains = ["a.org"]\nweb_blocked_domains = ["b.org"]\n', "", None),
    ],
)
async def test_it_is_off_unless_the_user_turned_it_on_and_no_rule_denies_it(
    tmp_path: Path, served: Any, text: str, rules: str, why: str | None
) -> None:
    given = configured(tmp_path, served, text)
    if rules:
        (tmp_path / "config/permissions.toml").write_text(rules)
    async with opened(given) as watcher:
        await watcher.prompt("find")
    assert "web_" not in json.dumps(served.requests[0].body["tools"])
    pool = watcher.of("pool.assembled")[0]
    assert isinstance(pool, PoolAssembled)
    reasons = [entry.reason for entry in pool.entries if entry.name.startswith("web_")]
    assert all(why in reason for reason in reasons) if why else not reasons
