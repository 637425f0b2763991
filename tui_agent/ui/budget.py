"""The budget gauges: how near each limit is, in figures and in length, never in colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from tui_agent.session import SessionState

LABELS = {"turns": "turns", "input_tokens": "input", "output_tokens": "output", "cost": "cost", "time": "time"}
"""What a kind of limit is called on a gauge; others by their own name."""

NEAR, VERY_NEAR = 0.8, 0.95
"""Shares of a limit from which its gauge warns."""

ONE_ROW = 64
"""Cells from which all that is known of the next turn stands in one row."""
SHORTEST_BAR = 4
"""Cells of a bar below which the figures have a row of their own."""
LONGEST = {"cost": len("<$0.01"), "turns": 1, "time": len("0s")}
LONGEST_COUNT = len("12.3k")
"""Cells of the longest figure of a kind and of the others, unless its limit takes more."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A limit, what is used of it and what is reserved for requests under way."""

    scope: str
    kind: str
    used: float
    reserved: float
    limit: float


@dataclass(frozen=True, slots=True)
class BudgetData:
    """What the pane shows: a gauge for each limit, and the session's tokens and dollars.

    `cache_hit_rate` is a share, None before there was any input. `simulated` says that nobody is billed, `estimated`
    that a part of tokens and cost is not the server's figure. `next_` is what the next turn takes at most,
    `next_expected` what it will cost likely.
    """

    gauges: tuple[Gauge, ...] = ()
    context_tokens: int = 0
    tokens: int = 0
    cached: int = 0
    output: int = 0
    cache_hit_rate: float | None = None
    cost: float = 0.0
    unpriced: int = 0
    simulated: bool = False
    estimated: bool = False
    turns: int = 0
    next_tokens: int | None = None
    next_cost: float | None = None
    next_expected: float | None = None


class BudgetPane(Widget, can_focus=True):
    """The gauges and what the next turn costs at most."""

    DEFAULT_CSS = "BudgetPane { text-wrap: nowrap; text-overflow: ellipsis; }"
    ALLOW_SELECT = False
    BORDER_TITLE = "Budget"

    data: reactive[BudgetData] = reactive(BudgetData())

    def watch_data(self, old: BudgetData, new: BudgetData) -> None:
        """Make room for more gauges than before; laying out the screen is dear."""
        width = max(self.size.width, 20)
        if self.size.width and len(budget_content(old, width).plain.split("\n")) != len(
            budget_content(new, width).plain.split("\n")
        ):
            self.refresh(layout=True)

    def render(self) -> Content:
        return budget_content(self.data, max(self.size.width, 20))


def budget_content(data: BudgetData, width: int) -> Content:
    """Return the gauges for a pane `width` cells wide: as many rows whatever the figures are."""
    simulated = " simulated" if data.simulated else ""
    about = "≈ " if data.estimated else ""
    cost = about + dollars(data.cost) + simulated
    if data.unpriced:
        cost += f" + {data.unpriced} turns without a price"
    lines = [row for gauge in data.gauges for row in _gauge(gauge, width, simulated)]
    rate = "—" if data.cache_hit_rate is None else f"{data.cache_hit_rate:<4.0%} of the input"
    cached = f", {compact_number(data.cached)}" if data.cached else ""
    lines += [
        _fact("context", compact_number(data.context_tokens)),
        _fact("session", cost),
        _fact("tokens", f"{about}{compact_number(data.tokens):<5}", f" · {compact_number(data.output)} out"),
        _fact("cache", rate, cached),
    ]
    tokens = "—" if data.next_tokens is None else f"≤ {compact_number(data.next_tokens)} tokens"
    most = "" if data.next_cost is None else f"at most {dollars(data.next_cost)}"
    likely = "" if data.next_expected is None else _likely(data.next_expected)
    if width >= ONE_ROW:
        price = ", ".join(filter(None, (likely, most)))
        figures = (price + simulated, f" · {tokens}") if price else (tokens, "")
        return Content("\n").join([*lines, _fact("next turn", *figures)])
    # Two dollar figures and the word that nobody is billed are too much for a row.
    lines += [
        _fact("next turn", tokens),
        _fact("", likely and likely + simulated),
        _fact("", most and most + simulated),
    ]
    return Content("\n").join(lines)


def _fact(name: str, text: str, more: str = "") -> Content:
    return Content.assemble((f"{name:<9} ", "$foreground-muted"), text, (more, "$foreground-muted"))


def _gauge(gauge: Gauge, width: int, simulated: str) -> list[Content]:
    label = f"{gauge.scope} {LABELS.get(gauge.kind, gauge.kind)} "
    share = min(1.0, gauge.used / gauge.limit)
    held = min(1.0 - share, gauge.reserved / gauge.limit)
    left = max(0.0, gauge.limit - gauge.used - gauge.reserved)
    reserved = f"+{_figure(gauge.kind, gauge.reserved)}" if gauge.reserved else ""
    most_allowed = f"${gauge.limit:g}" if gauge.kind == "cost" and gauge.limit < 0.01 else ""
    limit = f"/{most_allowed or _figure(gauge.kind, gauge.limit)} left "
    note = simulated if gauge.kind == "cost" else ""
    mark = " !" if share >= VERY_NEAR else ""
    figures = f" {_figure(gauge.kind, gauge.used)}{reserved}{limit}{_figure(gauge.kind, left)}"
    # The longest that they can become: neither the bar nor the rows must move while they do.
    longest = max(len(_figure(gauge.kind, gauge.limit)), LONGEST.get(gauge.kind, LONGEST_COUNT))
    most = len(f" +{limit}") + 3 * longest
    after = len(note) + 2
    split = width - len(label) - most - after < SHORTEST_BAR
    beside = split and most + after > width  # the note has no room behind the figures
    bar = max(0, min(16, width - len(label) - (after if beside else 0 if split else most + after)))
    full = round(share * bar)
    part = min(bar - full, round(held * bar))
    style = "$error" if share >= VERY_NEAR else "$warning" if share >= NEAR else "$success"
    drawn = Content.assemble(
        (label, "$foreground-muted"),
        ("▓" * full, style),
        ("▒" * part, "$foreground-muted"),
        ("░" * (bar - full - part), "$foreground-muted"),
    )
    rest = note + mark
    if split:
        return [drawn + Content(rest), Content(figures)] if beside else [drawn, Content(figures + rest)]
    return [drawn + Content(figures + rest)]


def _figure(kind: str, value: float) -> str:
    match kind:
        case "cost":
            return dollars(value)
        case "time":
            return f"{value:,.0f}s"
    return compact_number(value)


def _likely(cost: float) -> str:
    shown = dollars(cost)
    return shown if shown.startswith("<") else f"about {shown}"


def dollars(value: float) -> str:
    """Return dollars in whole cents."""
    return f"${value:.2f}" if value >= 0.005 or not value else "<$0.01"


def compact_number(number: float) -> str:
    """Return a count short enough for a gauge: 950, 12.3k, 1.20M."""
    if number < 1_000:
        return f"{number:.0f}"
    if number < 99_950:
        return f"{number / 1_000:.1f}k"
    if number < 999_500:
        return f"{number / 1_000:.0f}k"
    return f"{number / 1_000_000:.2f}M"


def budget_data(state: SessionState) -> BudgetData:
    """Return what the gauges show of a session's state, at the time of its last event."""
    budget = state.budget
    projection = budget.projection
    return BudgetData(
        gauges=tuple(Gauge(*figures) for figures in budget.gauges()),
        context_tokens=budget.context_tokens,
        tokens=budget.usage.total_tokens,
        cached=budget.usage.cache_read_tokens,
        output=budget.usage.output_tokens,
        cache_hit_rate=budget.cache_hit_rate,
        cost=budget.cost,
        unpriced=budget.unpriced,
        simulated=state.conversation.offline,
        estimated=budget.usage.estimated,
        turns=budget.run_turns,
        next_tokens=projection.input_tokens + projection.max_output_tokens if projection else None,
        next_cost=projection.max_cost if projection else None,
        next_expected=projection.expected_cost if projection else None,
    )
