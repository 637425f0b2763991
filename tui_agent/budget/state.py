"""The state of the budget, folded from events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tui_agent.budget.estimate import Anchor, Calibration, anchored, calibrated, measured, without
from tui_agent.budget.limits import LAYERS, Account, amount, chosen, effective, split
from tui_agent.events import (
    MAIN_AGENT,
    Amounts,
    BudgetClocked,
    BudgetWarned,
    ContextCompacted,
    ContextRepaired,
    EventBase,
    RunFinished,
    RunStarted,
    Scope,
    SessionConfigured,
    SessionCreated,
    Spent,
    TurnFinished,
    TurnProjected,
    TurnStarted,
    Usage,
    spent,
)


@dataclass(frozen=True, slots=True)
class DayState:
    """What all sessions had used and reserved on a day (UTC), as this session last saw it, its own included."""

    date: str = ""
    used: Amounts = Amounts()
    reserved: Amounts = Amounts()


@dataclass(frozen=True, slots=True)
class RunSpend:
    """What one agent's run took, the runs that it asked for included.

    `cost` is dollars of all with a known price, `unpriced` counts those without. `parent` is the run that asked for
    it, empty for the main agent's.
    """

    agent: str
    parent: str = ""
    turns: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0

    @property
    def known_cost(self) -> float | None:
        """The dollars, None where the price of a part is not known."""
        return None if self.unpriced else self.cost


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Spend of the session and of the run, the limits, and what is reserved.

    A fork begins with nothing spent: what it copied was paid for by the session that it comes from.

    `cost` is dollars of all turns with a known price, `unpriced` counts those without. `context_tokens` is
    the main agent's window after its last response. The `run_` figures are of the run in progress or the last
    one, subagents' included; `subruns` are those of subagents' runs in progress, by run. `seconds` are booked
    wall-clock time; `since` is when the time that is not booked yet began (seconds since the epoch), None while
    no run goes. `projection` is what the next turn costs at most; `reserved` are the requests under way.
    `warned` are the limits that were told to be near, and how near.
    """

    usage: Usage = Usage()
    cost: float = 0.0
    unpriced: int = 0
    turns: int = 0
    run_turns: int = 0
    run_usage: Usage = Usage()
    run_cost: float = 0.0
    run_unpriced: int = 0
    subruns: dict[str, RunSpend] = field(default_factory=dict)
    context_tokens: int = 0
    projection: TurnProjected | None = None
    seconds: float = 0.0
    run_seconds: float = 0.0
    since: float | None = None
    run: str = ""
    layers: dict[str, dict[str, float | None]] = field(default_factory=dict)
    reserved: tuple[TurnProjected, ...] = ()
    anchors: dict[str, Anchor] = field(default_factory=dict)
    calibrations: dict[str, Calibration] = field(default_factory=dict)
    warned: dict[str, float] = field(default_factory=dict)
    day: DayState = DayState()

    @property
    def limits(self) -> dict[str, float]:
        """The limits that hold, by `scope.kind`."""
        return effective(self.layers)

    @property
    def chosen(self) -> set[str]:
        """The limits that the user set or lifted, by `scope.kind`; the others are defaults."""
        return chosen(self.layers)

    def limits_for(self, *, priced: bool) -> dict[str, float]:
        """Return the limits that a request must keep.

        Without a known price a limit on cost cannot be kept: one that the user set then refuses the request, a
        default does not hold.
        """
        if priced:
            return self.limits
        mine = self.chosen
        return {key: value for key, value in self.limits.items() if key in mine or split(key)[1] != "cost"}

    @property
    def max_turns(self) -> int | None:
        """The limit on the turns of a run."""
        limit = self.limits.get("run.turns")
        return int(limit) if limit is not None else None

    @property
    def cache_hit_rate(self) -> float | None:
        """The share of the session's input that was read from the cache; None before there was any."""
        total = self.usage.prompt_tokens
        return self.usage.cache_read_tokens / total if total else None

    def spend_of(self, run: str) -> RunSpend:
        """Return what a run in progress has taken so far; nothing for one that is not in progress."""
        if run in self.subruns or run != self.run:
            return self.subruns.get(run, RunSpend(""))
        return RunSpend(MAIN_AGENT, "", self.run_turns, self.run_usage, self.run_cost, self.run_unpriced)

    def account(self, scope: Scope, now: float, *, beside: str = "") -> Account:
        """Return what is used and reserved of a scope at `now`; the reservation for turn `beside` is left out.

        Of the day it is what this session knows.
        """
        if scope == "day":
            return Account(self.day.used, self.day.reserved)
        elapsed = max(0.0, now - self.since) if self.since is not None else 0.0
        if scope == "run":
            used = _amounts(self.run_turns, self.run_usage, self.run_cost, self.run_seconds + elapsed)
        else:
            used = _amounts(self.turns, self.usage, self.cost, self.seconds + elapsed)
        held = Amounts()
        for projected in self.reserved:
            if projected.turn != beside:
                held += reservation(projected)
        return Account(used, held)

    def gauges(self) -> list[tuple[Scope, str, float, float, float]]:
        """Return scope, kind, used, reserved and limit of each limit that holds; the day as this session knows it.

        Time is what is booked of it. Between two runs nothing of a run's limits is used: they hold for the next one.
        """
        found = []
        for key, maximum in self.limits.items():
            scope, kind = split(key)
            account = self.account(scope, self.since or 0.0) if scope != "run" or self.run else Account()
            found.append((scope, kind, amount(account.used, kind), amount(account.reserved, kind), maximum))
        return found


def reservation(projected: TurnProjected) -> Amounts:
    """Return what a request under way holds. Its turn counts as used already."""
    return Amounts(
        input_tokens=projected.input_tokens,
        output_tokens=projected.max_output_tokens,
        cost=projected.max_cost or 0.0,
    )


def apply(state: BudgetState, event: EventBase) -> BudgetState:
    """Return the state after `event`. Pure."""
    match event:
        case SessionCreated() if event.forked_from is not None:
            return replace(state, usage=Usage(), cost=0.0, unpriced=0, turns=0, seconds=0.0)
        case RunStarted() if event.agent == MAIN_AGENT:
            return replace(
                state,
                run=event.run,
                since=event.time,
                run_turns=0,
                run_usage=Usage(),
                run_cost=0.0,
                run_unpriced=0,
                subruns={},
                run_seconds=0.0,
                warned={key: share for key, share in state.warned.items() if not key.startswith("run.")},
            )
        case RunStarted():
            parent = next((run for run, known in state.subruns.items() if known.agent == event.parent_agent), "")
            return replace(state, subruns={**state.subruns, event.run: RunSpend(event.agent, parent)})
        case RunFinished():
            if event.agent == MAIN_AGENT:
                return replace(state, since=None, run="", subruns={})
            subruns = {run: known for run, known in state.subruns.items() if run != event.run}
            return replace(state, anchors=without(state.anchors, event.agent), subruns=subruns)
        case SessionConfigured() if event.limits or event.max_turns is not None:
            return _configured(state, event)
        case TurnProjected():
            return _projected(state, event)
        case TurnStarted() if event.attempt == 1:
            return _turn_begun(state, event)
        case BudgetClocked():
            return _clocked(state, event)
        case ContextRepaired():
            return replace(state, anchors=without(state.anchors, event.agent))
        case BudgetWarned():
            return replace(state, warned={**state.warned, warning_key(event, state.day.date): event.fraction})
    taken = spent(event)
    if taken is None:
        return state
    if isinstance(event, TurnFinished):
        state = _with_window(_learn(state, event), event)
    state = _book(state, taken, event.run)
    return _compacted(state, event) if isinstance(event, ContextCompacted) else state


def warning_key(event: BudgetWarned, date: str) -> str:
    """Return under which name a warning is remembered: each limit's own, each day anew."""
    return f"{event.scope}.{event.limit}" + (f".{date}" if event.scope == "day" else "")


def _amounts(turns: int, usage: Usage, cost: float, seconds: float) -> Amounts:
    return Amounts(
        turns=turns,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.output_tokens,
        cost=cost,
        seconds=seconds,
    )


def _configured(state: BudgetState, event: SessionConfigured) -> BudgetState:
    layers = {**state.layers, **{name: dict(layer) for name, layer in event.limits.items() if name in LAYERS}}
    if event.max_turns is not None:
        layers["person"] = {**layers.get("person", {}), "run.turns": event.max_turns or None}
        layers["start"] = {key: value for key, value in layers.get("start", {}).items() if key != "run.turns"}
    before, after = state.limits, effective(layers)
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    warned = {key: share for key, share in state.warned.items() if ".".join(key.split(".")[:2]) not in changed}
    return replace(state, layers=layers, warned=warned)


def _projected(state: BudgetState, event: TurnProjected) -> BudgetState:
    others = tuple(projected for projected in state.reserved if projected.turn != event.turn)
    state = replace(state, projection=event, reserved=(*others, event))
    if event.day and event.day_used is not None:
        date = event.day
        warned = {key: share for key, share in state.warned.items() if not key.startswith("day.") or date in key}
        held = (event.day_reserved or Amounts()) + reservation(event)
        state = replace(state, day=DayState(date, event.day_used, held), warned=warned)
    return state


def _turn_begun(state: BudgetState, event: TurnStarted) -> BudgetState:
    day = state.day
    if any(projected.turn == event.turn and projected.day == day.date for projected in state.reserved):
        day = replace(day, used=day.used + Amounts(turns=1))
    return replace(
        state,
        turns=state.turns + 1,
        run_turns=state.run_turns + 1 if state.run else state.run_turns,
        subruns=_with_spend(state.subruns, event.run, Spent(turns=1)),
        day=day,
    )


def _learn(state: BudgetState, event: TurnFinished) -> BudgetState:
    projected = next((p for p in state.reserved if p.turn == event.turn), None)
    if projected is None or not projected.model or not projected.request_bytes:
        return state
    if not measured(projected, event.usage):
        # Built upon, one guess would double the next.
        return replace(state, anchors=without(state.anchors, event.agent))
    calibration = calibrated(state.calibrations.get(projected.model), projected, event.usage)
    anchor = anchored(projected, event.usage, event.time)
    return replace(
        state,
        calibrations={**state.calibrations, projected.model: calibration},
        anchors={**state.anchors, event.agent: anchor},
    )


def _with_window(state: BudgetState, event: TurnFinished) -> BudgetState:
    """Return the state with the main agent's window as it is after its response."""
    if event.agent != MAIN_AGENT:
        return state
    projected = next((p for p in state.reserved if p.turn == event.turn), None)
    if projected is None or measured(projected, event.usage):
        return replace(state, context_tokens=event.usage.last.total_tokens)
    return replace(state, context_tokens=projected.expected_input_tokens + event.usage.output_tokens)


def _compacted(state: BudgetState, event: ContextCompacted) -> BudgetState:
    state = replace(state, anchors=without(state.anchors, event.agent))
    if event.agent == MAIN_AGENT:
        state = replace(state, context_tokens=event.receipt.tokens_after)
    return state


def _clocked(state: BudgetState, event: BudgetClocked) -> BudgetState:
    state = replace(state, seconds=state.seconds + event.seconds)
    if state.run:
        state = replace(state, run_seconds=state.run_seconds + event.seconds, since=event.time)
    if event.day == state.day.date:
        day = replace(state.day, used=state.day.used + Amounts(seconds=event.seconds))
        state = replace(state, day=day)
    return state


def _book(state: BudgetState, taken: Spent, run: str) -> BudgetState:
    """Book what a request took, in place of what it had reserved. Its turn was counted when it began."""
    held = next((projected for projected in state.reserved if projected.turn == taken.turn), None)
    taken = replace(taken, turns=0)
    day = state.day
    if day.date:
        released = reservation(held) if held is not None and held.day == day.date else Amounts()
        left = Amounts(
            turns=day.reserved.turns,
            input_tokens=max(0, day.reserved.input_tokens - released.input_tokens),
            output_tokens=max(0, day.reserved.output_tokens - released.output_tokens),
            cost=max(0.0, day.reserved.cost - released.cost),
            seconds=day.reserved.seconds,
        )
        day = DayState(day.date, day.used + taken.amounts, left)
    cost, unpriced = taken.cost or 0.0, int(taken.cost is None)
    state = replace(
        state,
        usage=state.usage + taken.usage,
        cost=state.cost + cost,
        unpriced=state.unpriced + unpriced,
        reserved=tuple(projected for projected in state.reserved if projected.turn != taken.turn),
        subruns=_with_spend(state.subruns, run, taken),
        day=day,
    )
    if state.run:
        state = replace(
            state,
            run_usage=state.run_usage + taken.usage,
            run_cost=state.run_cost + cost,
            run_unpriced=state.run_unpriced + unpriced,
        )
    return state


def _with_spend(subruns: dict[str, RunSpend], run: str, taken: Spent) -> dict[str, RunSpend]:
    """Return the subagents' runs after one of them took something: it counts for those that asked for it too."""
    found, seen = dict(subruns), set[str]()
    while (known := found.get(run)) is not None and run not in seen:
        seen.add(run)
        found[run] = replace(
            known,
            turns=known.turns + taken.turns,
            usage=known.usage + taken.usage,
            cost=known.cost + (taken.cost or 0.0),
            unpriced=known.unpriced + (taken.cost is None),
        )
        run = known.parent
    return found
