"""What was decided on is what is acted on, whatever is put in its place meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.session.support import opened, options
from tests.tools.support import Bench, text
from tui_agent.sandbox import probe_sandbox
from tui_agent.submissions import Configure, Decide, Resolve, Submit
from tui_agent.tools import search
from tui_agent.tools.bash import Bash
from tui_agent.tools.edit import Edit
from tui_agent.tools.read import Read
from tui_agent.workflow import ToolError

SECRET = "token-of-somebody"


@contextmanager
def exchanging(folder: Path, link_to: Path) -> Iterator[None]:
    """Put a folder and a link to another in each other's place, again and again."""
    link = folder.with_name("link")
    link.symlink_to(link_to)
    aside = folder.with_name("aside")
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            folder.rename(aside)
            link.rename(folder)
            folder.rename(link)
            aside.rename(folder)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "home/.config/gh"
    folder.mkdir(parents=True)
    (folder / "hosts.yml").write_text(f"oauth: {SECRET}\n")
    return folder


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.file("d/hosts.yml", "oauth: mine\n")
    return made


@pytest.mark.parametrize(
    "call",
    [
        ("read", {"path": "d/hosts.yml"}),
        ("read", {"path": "d"}),
        ("grep", {"pattern": "oauth", "path": "d"}),
        ("grep", {"pattern": "oauth", "path": "d/hosts.yml"}),
        ("grep", {"pattern": "oauth"}),
        ("grep", {"pattern": "somebody", "mode": "files"}),
        ("grep", {"pattern": "somebody", "mode": "count"}),
        ("glob", {"pattern": "**/*"}),
    ],
)
@pytest.mark.parametrize("with_rg", [True, False])
async def test_a_link_put_in_the_way_shows_nothing_of_where_it_leads(
    bench: Bench, outside: Path, call: tuple[str, dict[str, object]], with_rg: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, given = call
    if not with_rg:
        monkeypatch.setattr(search, "_ripgrep", lambda context: None)
    (outside / "only_there").write_text(SECRET)
    (outside / "link_there").symlink_to("/usr")
    with exchanging(bench.workspace / "d", outside):
        for _ in range(12):
            try:
                plan = await bench.plan(bench.call(tool, **given))
                if plan.target is not None and not plan.target.real.is_relative_to(bench.workspace):
                    continue  # the decision is about that place then
                shown = text(await bench.act(bench.call(tool, **given), plan))
            except ToolError as error:
                shown = str(error)
            assert SECRET not in shown
            assert "only_there" not in shown
            assert "link_there" not in shown
            if given.get("mode") == "count":
                assert "hosts.yml: " not in shown


@pytest.mark.parametrize("tool", ["read", "edit", "write"])
async def test_a_plan_is_carried_out_where_it_was_made(bench: Bench, outside: Path, tool: str) -> None:
    more: dict[str, object] = {
        "read": {},
        "write": {"content": "new"},
        "edit": {"edits": [{"old": "mine", "new": "x"}]},
    }[tool]
    path = "d/new.txt" if tool == "write" else "d/hosts.yml"
    call = bench.call(tool, path=path, **more)
    plan = await bench.plan(call)
    (bench.workspace / "d").rename(bench.workspace / "old")
    (bench.workspace / "d").symlink_to(outside)
    outcome = await bench.act(call, plan)
    assert SECRET not in text(outcome)
    assert [path.name for path in outside.iterdir()] == ["hosts.yml"]
    assert (outside / "hosts.yml").read_text() == f"oauth: {SECRET}\n"
    if tool == "write":
        assert (bench.workspace / "old/new.txt").read_text() == "new"


async def test_an_approved_edit_is_not_made_to_what_was_put_in_its_place(tmp_path: Path) -> None:
    """A folder that becomes a link to .git between the question and the answer changes no .git/config."""
    given = options(tmp_path, mode="ask")
    workspace = given.workspace
    for folder in ("d", ".git"):
        (workspace / folder).mkdir(parents=True)
        (workspace / folder / "config").write_text("[core] bare = false\n")
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="edit d/config: bare = false => fsmonitor = ./x"))
        request = await session.event("permission.requested")
        (workspace / "d").rename(workspace / "old")
        (workspace / "d").symlink_to(".git")
        await session.handle.do(Decide(request=request.request, verdict="allow"))
        await session.idle()
        assert session.of("step.finished")[-1].outcome in ("denied", "error")
    assert "fsmonitor" not in (workspace / ".git/config").read_text()


async def test_a_file_changed_while_the_user_thought_is_asked_about_anew(tmp_path: Path) -> None:
    given = options(tmp_path, mode="ask")
    file = given.workspace / "a.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one\n")
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="edit a.txt: one => two"))
        first = await session.event("permission.requested")
        file.write_text("one\nand more\n")
        await session.handle.do(Decide(request=first.request, verdict="allow"))
        second = await session.event("permission.requested", 2)
        assert file.read_text() == "one\nand more\n"
        assert "has changed since" in second.why
        assert "and more" in second.preview
        await session.handle.do(Decide(request=second.request, verdict="allow"))
        await session.idle()
    assert file.read_text() == "two\nand more\n"


async def test_a_call_is_decided_by_where_it_was_planned(tmp_path: Path) -> None:
    """A name that leads to a secret when it is planned asks, also where it leads elsewhere when it is decided."""
    given = options(tmp_path, mode="ask", unattended=True)
    workspace = given.workspace
    (workspace / "d").mkdir(parents=True)
    (tmp_path / "home/.ssh").mkdir(parents=True)
    (tmp_path / "home/.ssh/id_rsa").write_text(SECRET)
    (workspace / "d/id_rsa").symlink_to(tmp_path / "home/.ssh/id_rsa")
    async with opened(given) as session:
        await session.prompt("read d/id_rsa")
        assert SECRET not in str(session.of("step.finished")[-1].result)


def never(monkeypatch: pytest.MonkeyPatch, tool: type) -> None:
    """Have a tool start and never get to its effect, as in a crash."""

    async def run(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(tool, "run", run)


async def test_a_read_that_a_crash_cut_off_reads_nothing_else_after_it(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(tmp_path, mode="ask")
    (given.workspace / "d").mkdir(parents=True)
    (given.workspace / "d/hosts.yml").write_text("oauth: mine\n")
    with monkeypatch.context() as patch:
        never(patch, Read)
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="read d/hosts.yml"))
            await session.event("step.started")
            name = session.handle.session
    (given.workspace / "d").rename(given.workspace / "old")
    (given.workspace / "d").symlink_to(outside)
    async with opened(given, name) as session:
        await session.idle()
        [done] = session.of("step.finished")
        assert SECRET not in str(done.result)
        assert "leads elsewhere" in str(done.result)


async def test_a_command_allowed_for_the_sandbox_is_not_run_without_it_after_a_crash(
    tmp_path: Path, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if probe_sandbox().kind != "bubblewrap":
        pytest.skip("no bubblewrap here")
    with monkeypatch.context() as patch:
        never(patch, Bash)
        async with opened(options(tmp_path, mode="sandboxed")) as session:
            await session.handle.do(Submit(prompt="run python3 -c \"open('made', 'w')\""))
            await session.event("step.started")
            name = session.handle.session
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/settings.toml").write_text('sandbox = "off"\n')
    async with opened(options(tmp_path, mode="sandboxed"), name) as session:
        await session.idle()
        assert session.of("step.recovered")[0].finding == "not_started"
        assert "there is none now" in str(session.of("step.finished")[0].result)
    assert not (isolated / "made").exists()


async def test_an_edit_run_again_goes_to_no_other_place_without_a_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(tmp_path, mode="ask")
    workspace = given.workspace
    for folder in ("d", ".git"):
        (workspace / folder).mkdir(parents=True)
        (workspace / folder / "config").write_text("[core] bare = false\n")
    with monkeypatch.context() as patch:
        never(patch, Edit)
        async with opened(given) as session:
            await session.handle.do(Submit(prompt="edit d/config: bare = false => fsmonitor = ./x"))
            request = await session.event("permission.requested")
            await session.handle.do(Decide(request=request.request, verdict="allow"))
            await session.event("step.started")
            name = session.handle.session
    (workspace / "d/config").write_text("somebody's, bare = false\n")
    async with opened(given, name) as session:
        recovered = await session.event("step.recovered")
        assert recovered.finding == "uncertain"
        (workspace / "d").rename(workspace / "old")
        (workspace / "d").symlink_to(".git")
        await session.handle.do(Resolve(step=recovered.step, resolution="run_again"))
        await session.until(
            lambda: bool(session.of("permission.requested") + session.of("step.finished")),
        )
        assert "fsmonitor" not in (workspace / ".git/config").read_text()
        for asked in session.of("permission.requested"):
            await session.handle.do(Decide(request=asked.request, verdict="deny"))
        await session.idle()
        assert session.of("step.finished")[-1].outcome == "denied"
    assert "fsmonitor" not in (workspace / ".git/config").read_text()


async def test_a_question_about_what_cannot_be_looked_at_any_more_is_left_to_the_user(tmp_path: Path) -> None:
    given = options(tmp_path, mode="ask")
    file = given.workspace / "a.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("one\n")
    async with opened(given) as session:
        await session.handle.do(Submit(prompt="edit a.txt: one => two"))
        asked = await session.event("permission.requested")
        name = session.handle.session
    file.write_text("nothing of it\n")
    async with opened(given, name) as session:
        await session.handle.do(Configure(mode="accept-edits"))
        assert [request.request for request in session.handle.state.permissions.pending] == [asked.request]
        assert session.of("permission.decided") == []
