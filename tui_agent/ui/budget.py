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

    `cache_hit_rate` is a share, None before there was any input. `simulated` says that nobody is billed.
    `next_` is what the next turn takes at most, `next_expected` what it will cost likely.
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
    turns: int = 0
    next_tokens: int | None = None
    next_cost: float | None = None
    next_expected: float | None = None


class BudgetPane(Widget, can_focus=True):
    """The gauges and what the next turn costs at most."""

    ALLOW_SELECT = False
    BORDER_TITLE = "Budget"

    data: reactive[BudgetData] = reactive(BudgetData())

    def watch_data(self) -> None:
        """Make room when the gauges take more or fewer lines than before; laying out the screen is dear."""
        width = self.size.width
        if width and self.render().get_height({}, width) != self.size.height:
            self.refresh(layout=True)

    def render(self) -> Content:
        return budget_content(self.data, max(self.size.width, 20))


def budget_content(data: BudgetData, width: int) -> Content:
    """Return the gauges for a pane `width` cells wide."""
    simulated = " simulated" if data.simulated else ""
    cost = dollars(data.cost) + simulated
    if data.unpriced:
        cost += f" + {data.unpriced} turns without a price"
    lines = [_gauge(gauge, width, simulated) for gauge in data.gauges]
    lines += [
        _fact("context", compact_number(data.context_tokens)),
        _fact("session", cost),
        _fact(
            "tokens",
            compact_number(data.tokens),
            f" · {compact_number(data.cached)} from cache · {compact_number(data.output)} out",
        ),
    ]
    if data.cache_hit_rate is not None:
        lines.append(_fact("cache", f"{data.cache_hit_rate:.0%}", " of the input read from it"))
    if data.next_tokens is not None:
        price = f", ≤ {dollars(data.next_cost)}{simulated}" if data.next_cost is not None else ""
        likely = f" · likely {dollars(data.next_expected)}" if data.next_expected is not None else ""
        lines.append(_fact("next turn", f"≤ {compact_number(data.next_tokens)} tokens{price}", likely))
    return Content("\n").join(lines)


def _fact(name: str, text: str, more: str = "") -> Content:
    return Content.assemble((f"{name:<9} ", "$foreground-muted"), text, (more, "$foreground-muted"))


def _gauge(gauge: Gauge, width: int, simulated: str) -> Content:
    label = f"{gauge.scope} {LABELS.get(gauge.kind, gauge.kind)} "
    share = min(1.0, gauge.used / gauge.limit)
    held = min(1.0 - share, gauge.reserved / gauge.limit)
    left = max(0.0, gauge.limit - gauge.used - gauge.reserved)
    reserved = f"+{_figure(gauge.kind, gauge.reserved)}" if gauge.reserved else ""
    figures = f" {_figure(gauge.kind, gauge.used)}{reserved}/{_figure(gauge.kind, gauge.limit)}"
    figures += f" left {_figure(gauge.kind, left)}" + (simulated if gauge.kind == "cost" else "")
    mark = " !" if share >= VERY_NEAR else ""
    bar = max(0, min(16, width - len(label) - len(figures) - len(mark)))
    full = round(share * bar)
    part = min(bar - full, round(held * bar))
    style = "$error" if share >= VERY_NEAR else "$warning" if share >= NEAR else "$success"
    return Content.assemble(
        (label, "$foreground-muted"),
        ("▓" * full, style),
        ("▒" * part, "$foreground-muted"),
        ("░" * (bar - full - part), "$foreground-muted"),
        figures + mark,
    )


def _figure(kind: str, value: float) -> str:
    match kind:
        case "cost":
            return dollars(value)
        case "time":
            return f"{value:,.0f}s"
    return compact_number(value)


def dollars(value: float) -> str:
    """Return dollars short enough for a gauge; cents where that says enough."""
    return f"${value:.2f}" if value >= 0.01 or not value else f"${value:.4f}"


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
        gauges=tuple(Gauge(*figures) for figures in budget.gauges(state.conversation.updated)),
        context_tokens=budget.context_tokens,
        tokens=budget.usage.total_tokens,
        cached=budget.usage.cache_read_tokens,
        output=budget.usage.output_tokens,
        cache_hit_rate=budget.cache_hit_rate,
        cost=budget.cost,
        unpriced=budget.unpriced,
        simulated=state.conversation.offline,
        turns=budget.run_turns,
        next_tokens=projection.input_tokens + projection.max_output_tokens if projection else None,
        next_cost=projection.max_cost if projection else None,
        next_expected=projection.expected_cost if projection else None,
    )
