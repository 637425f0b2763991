"""The budget gauges: how near each limit is, in figures and in length, never in colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from tui_agent.session import SessionState


@dataclass(frozen=True, slots=True)
class BudgetData:
    """What the gauges show: tokens, dollars, turns; a limit of None means there is none."""

    context_tokens: int = 0
    context_limit: int | None = None
    tokens: int = 0
    cached: int = 0
    output: int = 0
    cost: float = 0.0
    unpriced: int = 0
    cost_limit: float | None = None
    turns: int = 0
    max_turns: int | None = None
    next_tokens: int | None = None
    next_cost: float | None = None


class BudgetPane(Widget, can_focus=True):
    """Four gauges and what the next turn costs at most."""

    ALLOW_SELECT = False
    BORDER_TITLE = "Budget"

    data: reactive[BudgetData] = reactive(BudgetData(), layout=True)

    def render(self) -> Content:
        return budget_content(self.data, max(self.size.width, 20))


def budget_content(data: BudgetData, width: int) -> Content:
    """Return the gauges for a pane `width` cells wide."""
    bar = max(6, min(24, width - 32))
    cost = f"${data.cost:.2f}" if data.cost >= 0.01 or not data.cost else f"${data.cost:.4f}"
    if data.unpriced:
        cost += f" + {data.unpriced} turns without a price"
    lines = [
        _row("context", data.context_tokens, data.context_limit, bar, compact_number(data.context_tokens)),
        _row("turns", data.turns, data.max_turns, bar, str(data.turns)),
        _row("cost", data.cost, data.cost_limit, bar, cost),
        Content.assemble(
            ("tokens   ", "$foreground-muted"),
            f"{compact_number(data.tokens)}",
            (
                f" · {compact_number(data.cached)} from cache · {compact_number(data.output)} out",
                "$foreground-muted",
            ),
        ),
    ]
    if data.next_tokens is not None:
        price = f", ≤ ${data.next_cost:.2f}" if data.next_cost is not None else ""
        lines.append(
            Content.assemble(
                ("next turn ", "$foreground-muted"), f"≤ {compact_number(data.next_tokens)} tokens{price}"
            )
        )
    return Content("\n").join(lines)


def _row(name: str, used: float, limit: float | None, bar: int, figure: str) -> Content:
    label = (f"{name:<9}", "$foreground-muted")
    if not limit:
        return Content.assemble(label, figure)
    share = min(1.0, used / limit)
    filled = round(share * bar)
    style = "$error" if share >= 0.9 else "$warning" if share >= 0.7 else "$success"
    of = f"${limit:.2f}" if name == "cost" else compact_number(limit)
    mark = " !" if share >= 0.9 else ""
    return Content.assemble(
        label,
        ("▓" * filled, style),
        ("░" * (bar - filled), "$foreground-muted"),
        f" {share:>4.0%} {figure}/{of}{mark}",
    )


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
    """Return what the gauges show of a session's state."""
    budget = state.budget
    projection = budget.projection
    return BudgetData(
        context_tokens=budget.context_tokens,
        tokens=budget.usage.total_tokens,
        cached=budget.usage.cache_read_tokens,
        output=budget.usage.output_tokens,
        cost=budget.cost,
        unpriced=budget.unpriced,
        turns=budget.run_turns,
        max_turns=budget.max_turns,
        next_tokens=projection.input_tokens + projection.max_output_tokens if projection else None,
        next_cost=projection.max_cost if projection else None,
    )
