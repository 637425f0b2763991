"""Receipts: nothing that was in the window is left out, and no summary's claim is taken on trust."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_agent.context import choose_user_words, find_doubts, read_record, receipt_lines, split_lines
from tui_agent.context.compaction import text_tokens
from tui_agent.context.receipt import USER_KINDS
from tui_agent.context.record import CommandRun, WorkRecord
from tui_agent.events import (
    EventBase,
    FileState,
    PermissionDecided,
    PromptAccepted,
    PromptQueued,
    QuestionAnswered,
    QuestionAsked,
    ReceiptLine,
    RunStarted,
    StepFinished,
    StepPlanned,
    TurnFinished,
    Usage,
)


def seeded(number: int) -> list[EventBase]:
    """Events that say decision `number`, in one of the ways in which a decision can be made."""
    what, seq = f"Decision {number}: use option {number}", number * 10 + 1
    match number % 5:
        case 0:
            return [RunStarted(prompt=what, seq=seq)]
        case 1:
            content: list[Any] = [{"type": "text", "text": what}]
            return [
                TurnFinished(turn="t", model="m", content=content, stop_reason="end_turn", usage=Usage(), seq=seq)
            ]  # type: ignore[arg-type]
        case 2:
            asked = QuestionAsked(step=f"s{number}", question=f"q{number}", text="Which?", seq=seq)
            return [asked, QuestionAnswered(step=f"s{number}", question=f"q{number}", answer=what, seq=seq + 1)]
        case 3:
            return [
                PermissionDecided(
                    step="s", tool="bash", call_hash="", verdict="deny", by="person", comment=what, seq=seq
                )
            ]
        case _:
            prompt = f"p{number}"
            return [
                PromptQueued(prompt_id=prompt, prompt=what, seq=seq),
                PromptAccepted(prompt_id=prompt, seq=seq + 1),
            ]


@given(st.integers(0, 20_000), st.integers(0, 2_100), st.integers(0, 2_100))
def test_each_of_200_decisions_is_kept_or_dropped(room: int, since: int, until: int) -> None:
    events = [event for number in range(200) for event in seeded(number)]
    lines = receipt_lines(events)
    user = choose_user_words(lines, room)
    kept, dropped = split_lines(lines, user, since=since or 1 << 62, until=until)
    assert len(kept) + len(dropped) == 200
    for number in range(200):
        name = f"Decision {number}:"
        assert any(name in line.text for line in kept) != any(name in line.text for line in dropped), number
    assert all(line in kept for line in user)
    assert all(line.seq > 0 for line in (*kept, *dropped))
    assert sum(text_tokens(line.text) for line in user) <= room
    assert all(line.kind in USER_KINDS for line in user)


def test_constraints_come_before_what_is_merely_newer() -> None:
    lines = [ReceiptLine(kind="prompt", text="Never touch the database", seq=1)]
    lines += [ReceiptLine(kind="prompt", text=f"look at {number} " * 10, seq=number) for number in range(2, 50)]
    chosen = choose_user_words(lines, 200)
    assert chosen[0].text == "Never touch the database"
    assert chosen[-1].seq == 49


DONE = WorkRecord(
    changed={"/w/src/app.py": 5},
    commands=[CommandRun(7, "pytest -q tests", 0), CommandRun(8, "sed -i s/a/b/ conf.ini", 0)],
)


@pytest.mark.parametrize(
    "claim",
    [
        "I updated src/app.py and `app.py` was changed.",
        "I ran `pytest -q`. All tests pass.",
        "conf.ini was edited.",
        "src/other.py should be created next.",
        "I did not write src/other.py.",
        "The person asked that src/other.py be deleted.",
        "Tests still fail.",
        "The file src/other.py explains the format.",
        "If the tests pass, we are done.",
    ],
)
def test_what_the_journal_holds_or_nobody_claims_is_not_doubted(claim: str) -> None:
    assert find_doubts(claim, DONE) == []


@pytest.mark.parametrize(
    ("claim", "named"),
    [
        ("I wrote src/other.py.", "src/other.py"),
        ("- `docs/guide.md` was created", "docs/guide.md"),
        ("Fixed the parser in lib/parse.rs and moved on.", "lib/parse.rs"),
        ("I ran `make deploy` successfully.", "make deploy"),
        ("`cargo build` was executed.", "cargo build"),
    ],
)
def test_a_claim_without_a_fact_is_doubted(claim: str, named: str) -> None:
    doubts = find_doubts(f"We talked. {claim} The end.", DONE)
    assert len(doubts) == 1
    assert named in doubts[0]


@pytest.mark.parametrize(
    ("claim", "missing", "command"),
    [
        ("I deleted the database.", "no command that deletes", "dropdb shop"),
        ("- Removed the old branch", "no command that deletes", "git branch -D old"),
        ("The staging bucket was removed.", "no command that deletes", "aws s3 rb s3://x && rm -r x"),
        ("I committed the fix and moved on.", "no commit", "git commit -am fix && mv a b"),
        ("Committed everything and pushed to origin.", "no push", "git commit -am x && git push origin main"),
        ("We have pushed the changes.", "no push", "git push"),
        ("I then installed numpy.", "no installation", "pip install numpy"),
        ("1. Installed the dependencies", "no installation", "npm ci"),
        ("I renamed the folder.", "nothing that was renamed", "git mv a b"),
        ("I created a new branch for it.", "nothing that was created", "git switch -c fix"),
        ("A backup has been created.", "nothing that was created", "pg_dump shop > b"),
        ("I've deployed the service.", "no deployment", "kubectl apply -f x"),
        ("I dropped the table by hand: the database is gone.", "no command that deletes", "psql -c 'DROP TABLE x'"),
        ("I merged the feature branch.", "no merge", "git merge feature"),
    ],
)
def test_an_act_that_no_command_did_is_doubted(claim: str, missing: str, command: str) -> None:
    assert any(missing in doubt for doubt in find_doubts(f"We talked. {claim} The end.", DONE))
    failed = WorkRecord(commands=[CommandRun(1, command, 1)])
    assert any(missing in doubt for doubt in find_doubts(claim, failed))
    assert find_doubts(claim, WorkRecord(commands=[CommandRun(1, command, 0)])) == []


@pytest.mark.parametrize(
    "claim",
    [
        "I removed the unused import and renamed the helper.",
        "I created a helper for it.",
        "The user deleted the database.",
        "The branch was created by the release job.",
        "Deleted rows are kept for a week.",
        "Python 3.11 is installed.",
        "The endpoint returns the deleted users.",
        "The parser pushed each token onto the stack.",
        "I pushed the value onto the stack in the example.",
        "I did not delete the database, and nothing was pushed.",
        "The changes should be committed and pushed.",
        "Committed transactions are durable.",
        "The table is created at the start.",
    ],
)
def test_what_is_no_act_of_this_work_is_not_doubted(claim: str) -> None:
    assert find_doubts(claim, DONE) == []


def test_tests_that_failed_last_do_not_pass() -> None:
    record = WorkRecord(commands=[CommandRun(1, "pytest", 0), CommandRun(2, "pytest", 1)])
    assert find_doubts("All tests pass.", record)
    assert find_doubts("The test suite is green.", WorkRecord())


@given(st.text(max_size=300))
def test_any_summary_can_be_looked_through(text: str) -> None:
    find_doubts(text, WorkRecord())


def test_a_record_of_the_work() -> None:
    def step(name: str, tool: str, outcome: str, seq: int, **changes: object) -> list[EventBase]:
        given: Any = changes.pop("input", {})
        title = str(changes.pop("title", tool))
        plan = StepPlanned(step=name, turn="t", call_id="c", tool=tool, input=given, effect="pure", title=title)
        return [plan, StepFinished(step=name, tool=tool, outcome=outcome, result=[], seq=seq, **changes)]  # type: ignore[arg-type]

    record = read_record(
        [
            *step("1", "write", "ok", 1, effects=[FileState(path="/w/a", sha256="x")]),
            *step("2", "read", "ok", 2, effects=[FileState(path="/w/b", sha256="x")]),
            *step("3", "bash", "error", 3, input={"command": "false"}, exit_code=1, title="bash false"),
            *step("4", "bash", "error", 4, input={"command": "flaky"}, exit_code=1, title="bash flaky"),
            *step("5", "bash", "ok", 5, input={"command": "flaky"}, exit_code=0, title="bash flaky"),
            *step("6", "edit", "denied", 6, title="edit c"),
        ]
    )
    assert list(record.changed) == ["/w/a"]
    assert [(run.command, run.exit_code) for run in record.commands] == [("false", 1), ("flaky", 1), ("flaky", 0)]
    assert set(record.failed) == {"bash false", "edit c"}
