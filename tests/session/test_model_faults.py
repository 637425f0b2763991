"""Whatever the server does: a typed notice, the session stays usable, nothing runs twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.session.support import Watcher, opened, options
from tui_agent.models.offline import Fault, OfflineServer


async def _no_wait(_seconds: float) -> None:
    """Retries without the wait."""


@asynccontextmanager
async def against(tmp_path: Path, *faults: Fault) -> AsyncIterator[Watcher]:
    """A session whose server has these faults, one a request."""
    server = OfflineServer(faults=faults)
    base_url = await asyncio.to_thread(server.start)
    runtime = replace(options(tmp_path).runtime, sleep=_no_wait)
    given = options(tmp_path, offline=False, base_url=base_url, api_key="k", mode="bypass", runtime=runtime)
    try:
        async with opened(given) as session:
            yield session
    finally:
        await asyncio.to_thread(server.stop)


@pytest.mark.parametrize("kind", ["overloaded", "rate_limit", "server_error", "disconnect"])
async def test_a_passing_fault_is_tried_again_in_view(tmp_path: Path, kind: str) -> None:
    async with against(tmp_path, Fault(kind, times=2)) as session:  # type: ignore[arg-type]
        await session.prompt("say 5")
        assert session.of("run.finished")[0].outcome == "completed"
        failed = session.of("turn.failed")
        assert len(failed) == 2
        assert all(attempt.retry_seconds is not None for attempt in failed)
        assert [started.attempt for started in session.of("turn.started")] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["auth", "permission", "billing"])
async def test_a_lasting_fault_ends_the_run_and_not_the_session(tmp_path: Path, kind: str) -> None:
    async with against(tmp_path, Fault(kind)) as session:  # type: ignore[arg-type]
        await session.prompt("say 5")
        assert session.of("run.finished")[0].outcome == "failed"
        assert len(session.of("turn.started")) == 1
        await session.prompt("say 5")
        assert session.of("run.finished")[1].outcome == "completed"


@pytest.mark.parametrize("kind", ["cut", "malformed", "error_event", "garbage"])
@pytest.mark.parametrize("after", [2, 6, 14])
async def test_a_broken_answer_runs_nothing_twice(tmp_path: Path, isolated: Path, kind: str, after: int) -> None:
    async with against(tmp_path, Fault(kind, after_events=after)) as session:  # type: ignore[arg-type]
        await session.prompt("run echo once >> ledger")
        await session.prompt("say 5")
        assert session.of("run.finished")[-1].outcome == "completed"
        ledger = isolated / "ledger"
        assert not ledger.exists() or ledger.read_text() == "once\n"
        assert len(session.of("step.started")) <= 1


async def test_a_fault_that_does_not_pass_gives_up_in_the_end(tmp_path: Path) -> None:
    async with against(tmp_path, Fault("overloaded", times=99)) as session:
        await session.prompt("say 5")
        finished = session.of("run.finished")[0]
        assert finished.outcome == "failed"
        assert "overloaded" in finished.reason
        assert session.of("turn.failed")[-1].retry_seconds is None


@pytest.mark.parametrize(("kind", "reason"), [("refusal", "declined"), ("truncation", "output limit")])
async def test_an_early_end_is_named(tmp_path: Path, kind: str, reason: str) -> None:
    async with against(tmp_path, Fault(kind)) as session:  # type: ignore[arg-type]
        await session.prompt("say 50")
        assert reason in session.of("run.finished")[0].reason
        await session.prompt("say 5")
        assert session.of("run.finished")[1].outcome == "completed"


async def test_a_dead_server(tmp_path: Path) -> None:
    runtime = replace(options(tmp_path).runtime, sleep=_no_wait)
    given = options(tmp_path, offline=False, base_url="http://127.0.0.1:9", api_key="k", runtime=runtime)
    async with opened(given) as session:
        await session.prompt("hello")
        assert session.of("run.finished")[0].outcome == "failed"
        assert "connection" in session.of("run.finished")[0].reason


@pytest.mark.parametrize(
    "raw",
    [
        r'{"path": "a\ud800.py"}',
        '{"path": "a.py", "offset": NaN}',
        '{"path": "a.py", "offset": -1e999}',
        '{"path": ' + "[" * 3_000 + "]" * 3_000 + "}",
        '{"path": ' + "[" * 300 + "]" * 300 + "}",
    ],
    ids=["surrogate", "no number", "infinity", "nested too deeply to read", "nested too deeply to store"],
)
async def test_a_call_that_cannot_be_stored_or_sent_again_leaves_no_run_stuck(tmp_path: Path, raw: str) -> None:
    script = tmp_path / "scenario.toml"
    script.write_text(f"""
[[turn]]
[[turn.call]]
tool = "read"
raw = '''{raw}'''
[[turn]]
text = "Then not."
""")
    async with opened(options(tmp_path, scenario=script)) as session:
        await session.prompt("go")
        assert session.of("step.finished")[0].outcome == "error"
        assert session.of("run.finished")[0].outcome == "completed"
        content = session.of("turn.finished")[0].content
        assert content == json.loads(json.dumps(content, allow_nan=False).encode())
