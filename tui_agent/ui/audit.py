"""The audit screen: what was decided in all sessions and why, the grants that live, and what other rules would do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui_agent.session import Query, RuleChange, SessionHandle, revoke_grant
from tui_agent.submissions import Revoke
from tui_agent.text import inert, inert_line
from tui_agent.ui.dialogs import ConfirmDialog, TextDialog
from tui_agent.ui.line import Line
from tui_agent.ui.line_input import LineInput
from tui_agent.ui.text_lines import StyledLine
from tui_agent.ui.why import why_lines

if TYPE_CHECKING:
    from tui_agent.redaction import Redactor
    from tui_agent.session import AuditEntry, Grant, Trail, WhatIf
    from tui_agent.ui.app import TuiAgentApp

_MOST_SHOWN = 1_000
_STYLES = {"allow": "$text-success", "deny": "$text-error"}
_BACK = Content.styled("Esc goes back", "$foreground-muted")


async def show_audit(app: TuiAgentApp, handle: SessionHandle) -> None:
    """Show the trail of all sessions, the newest decision first, and the grants that live."""
    await app.push_screen(AuditScreen(handle))


async def show_what_if(app: TuiAgentApp, handle: SessionHandle, verb: str, rule: str) -> None:
    """Show what the whole trail would have been with a rule more (allow, ask, deny) or less (without)."""
    change = RuleChange(
        allow=(rule,) if verb == "allow" else (),
        ask=(rule,) if verb == "ask" else (),
        deny=(rule,) if verb == "deny" else (),
        without=(rule,) if verb == "without" else (),
    )
    found, problems = await asyncio.to_thread(handle.inspect.audit.what_if, Query(), change)
    lines = _without_secrets(what_if_lines(found, problems), handle.inspect.audit.redactor)
    await app.push_screen(TextDialog(f"What if: {verb} {inert_line(rule)}", lines, _BACK))


def what_if_lines(found: WhatIf, problems: Sequence[str]) -> list[StyledLine]:
    """Return what other rules would have changed, as lines."""
    lines: list[StyledLine] = [(problem, "warning") for problem in dict.fromkeys(problems)]
    lines += [(f"{found.calls} calls, {found.prompts_saved} questions saved", "title")]
    asked = [change for change in found.changes if change.after == "ask"]
    for title, changes, style in (
        ("Newly allowed", found.newly_allowed, "added"),
        ("Newly blocked", found.newly_blocked, "removed"),
        ("Newly asked", asked, "warning"),
    ):
        lines += [("", ""), (f"{title}: {len(changes)}", "title")]
        lines += [(f"  {change.before} → {change.after}  {_call(change.entry)}", style) for change in changes]
    for title, rules in (
        ("Rules that matched nothing", found.never_matched),
        ("Rules without effect", found.shadowed),
    ):
        lines += [("", ""), (f"{title}: {len(rules)}", "title")]
        lines += [
            (f"  {rule.verdict} {rule.text}  ({rule.origin.file}:{rule.origin.line})", "muted") for rule in rules
        ]
    return lines


class AuditScreen(ModalScreen[None]):
    """Lists grants and decisions; typing filters; Enter shows why, or takes a grant back when that is confirmed."""

    AUTO_FOCUS = "#dialog-input"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f9", "dismiss", "back", priority=True),
        Binding("down", "move(1)", "next", show=False, priority=True),
        Binding("up", "move(-1)", "previous", show=False, priority=True),
        Binding("pagedown", "move(10)", "page down", show=False),
        Binding("pageup", "move(-10)", "page up", show=False),
    ]

    def __init__(self, handle: SessionHandle) -> None:
        super().__init__()
        self._handle = handle
        self._secrets = handle.inspect.audit.redactor
        self._entries: list[AuditEntry] = []
        self._rows: list[Content] = []
        self._grants: list[tuple[str, Grant]] = []
        self.keys_wait = True
        """Whether the trail is still being read: keys that choose from it wait."""

    def compose(self) -> ComposeResult:
        """Lay out filter, list and keys."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Audit"
            yield LineInput(
                placeholder="words, or tool:bash verdict:allow|ask|deny rule:TEXT agent:ID session:ID",
                id="dialog-input",
            )
            yield OptionList(id="audit-list", markup=False)
            foot = Line(id="dialog-foot")
            foot.content = Content.assemble(
                ("Enter", "bold"), " why, or revoke a grant  ", ("Esc", "bold"), " back  ",
                ("/audit allow|ask|deny|without RULE: what if", "$foreground-muted"),
            )  # fmt: skip
            yield foot

    def on_mount(self) -> None:
        """Read the trail off the loop."""
        self.query_one(OptionList).can_focus = False
        self.run_worker(self._load(), exit_on_error=False)

    async def _load(self) -> None:
        try:
            trail, rows = await asyncio.to_thread(self._read)
        except Exception as error:  # a trail that cannot be read must not look like an empty one
            self.notify(inert(f"The trail cannot be read: {error}"), severity="error", markup=False)
            return
        finally:
            self.keys_wait = False
        for problem in trail.problems:
            self.notify(inert(problem), severity="warning", markup=False)
        self._entries = trail.entries[::-1]
        self._rows = rows
        self._grants = [(session, grant) for session, grants in trail.grants.items() for grant in grants]
        self._fill(self.query_one(Input).value)

    def _read(self) -> tuple[Trail, list[Content]]:
        trail = self._handle.inspect.audit.trail()
        return trail, [_row(entry, self._secrets) for entry in reversed(trail.entries)]

    def _fill(self, text: str) -> None:
        listing = self.query_one(OptionList)
        listing.clear_options()
        query, words = parse_filter(text)
        for number, (session, grant) in enumerate(self._grants):
            held_by = "this session" if session == self._handle.session else session
            row = inert_line(self._secrets.text(f"grant  {grant.pattern}  · {held_by}"))
            if query == Query() and all(word in row.casefold() for word in words):
                listing.add_option(Option(Content.styled(row, "$text-warning"), id=f"grant-{number}"))
        for number, entry in enumerate(self._entries):
            if listing.option_count >= _MOST_SHOWN:
                listing.add_option(Option(Content.styled("… older ones: filter, or tui-agent audit"), disabled=True))
                break
            shown = self._rows[number]
            if query.matches(entry) and all(word in shown.plain.casefold() for word in words):
                listing.add_option(Option(shown, id=f"entry-{number}"))
        if listing.option_count:
            listing.highlighted = 0
        else:
            listing.add_option(Option(Content.styled("Nothing fits.", "$foreground-muted"), disabled=True))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        event.stop()
        self._fill(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open what is highlighted."""
        event.stop()
        listing = self.query_one(OptionList)
        if listing.highlighted is not None:
            self._open(listing.get_option_at_index(listing.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open what was clicked."""
        event.stop()
        self._open(event.option.id)

    def _open(self, option: str | None) -> None:
        kind, _, number = (option or "").partition("-")
        if kind == "entry":
            entry = self._entries[int(number)]
            lines: list[StyledLine] = [(_call(entry), "title"), (f"{entry.session} · {entry.workspace}", "muted")]
            lines = _without_secrets([*lines, *why_lines([entry.decision])], self._secrets)
            self.app.push_screen(TextDialog("Why?", lines, _BACK))
        elif kind == "grant":
            self.run_worker(self._revoke(*self._grants[int(number)]), exit_on_error=False)

    async def _revoke(self, session: str, grant: Grant) -> None:
        lines: list[StyledLine] = [
            (self._secrets.text(grant.pattern), "title"),
            (f"From now on {session} asks again.", "muted"),
        ]
        if not await self.app.push_screen_wait(ConfirmDialog("Take this grant back?", lines, "take it back")):
            return
        try:
            if session == self._handle.session:
                await self._handle.do(Revoke(grant=grant.pattern))
            else:
                audit = self._handle.inspect.audit
                await revoke_grant(audit.paths, session, grant.pattern, audit.runtime)
        except Exception as error:
            self.notify(inert(f"Not taken back: {error}"), severity="error", markup=False)
            return
        await self._load()

    def action_move(self, by: int) -> None:
        """Move the highlight; the filter keeps the focus."""
        listing = self.query_one(OptionList)
        if listing.option_count:
            at = (listing.highlighted or 0) + by
            listing.highlighted = max(0, min(listing.option_count - 1, at))


def parse_filter(text: str) -> tuple[Query, list[str]]:
    """Return the query and the plain words of what the user typed; a key that is not known is a word."""
    given: dict[str, str] = {}
    words: list[str] = []
    for part in text.split():
        key, _, value = part.partition(":")
        known = key in {"tool", "verdict", "rule", "agent", "session"} and value
        if known and (key != "verdict" or value in {"allow", "ask", "deny"}):
            given[key] = value
        else:
            words.append(part.casefold())
    return Query(**given), words  # type: ignore[arg-type]  # a verdict is one of the three


_WORDS = {"person": "you", "tier": "harmless tool", "path": "its path", "mode": "the mode"}
"""What decided, in the user's words, where the trail has a name of the program's own."""


def _without_secrets(lines: Iterable[StyledLine], secrets: Redactor) -> list[StyledLine]:
    return [(secrets.text(text), style) for text, style in lines]


def _row(entry: AuditEntry, secrets: Redactor) -> Content:
    decided = entry.decision
    winner = entry.judgement.winner if entry.judgement and decided.by != "person" else decided.by
    winner = _WORDS.get(winner, winner)
    when = time.strftime("%m-%d %H:%M", time.localtime(entry.time))
    return Content.assemble(
        (f"{when}  ", "$foreground-muted"),
        (f"{decided.verdict:<5}", _STYLES[decided.verdict]),
        f"  {secrets.text(_call(entry))}  ",
        (inert_line(secrets.text(winner)), "$foreground-muted"),
    )


def _call(entry: AuditEntry) -> str:
    what = entry.input.get("command", entry.input.get("path", ""))
    agent = "" if entry.agent in ("", "main") else f" [{entry.agent}]"
    return inert_line(f"{entry.tool}{agent} {what if isinstance(what, str) else ''}")
