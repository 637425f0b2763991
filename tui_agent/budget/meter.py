"""Checks and reserves before each request, in one step; books after it; ends a run whose time is up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

from tui_agent.budget.limits import Account, Demand, amount, fit, quantity, split, tightest
from tui_agent.budget.state import BudgetState, warning_key
from tui_agent.events import (
    Amounts,
    BudgetClocked,
    BudgetStopped,
    BudgetWarned,
    EventBase,
    Notice,
    Scope,
    TurnProjected,
    Usage,
)
from tui_agent.journal import Recorder
from tui_agent.runtime import Runtime

WARN_AT = (0.5, 0.8, 0.95)
"""Shares of a limit that are told once each."""

ESTIMATE_ENOUGH = 0.5
"""Share of every limit under which nobody counts: a request taken at one token a byte still leaves half of it."""

TIME_SLICE = 10.0
"""Seconds of a day's time that a run reserves at once."""

LEAST_BOOKED = 1.0
"""Seconds that are worth an event of their own while a run goes on."""

MOST_MARKS = 4
"""Beginnings of unbooked time that are remembered: the present one, and one that is just being written."""

TIME_KEY = "time"
"""The key of a run's reservation of time; others are `turn.attempt`."""

Decide = Callable[[Account], Amounts | None]


class DayLedger(Protocol):
    """What all sessions have used and reserved of a day (UTC, as `2026-01-31`), on disk."""

    async def reserve(self, key: str, day: str, decide: Decide) -> Account:
        """Ask `decide`, in one transaction, what to reserve under `key` and reserve it; None reserves nothing.

        The account returned is what `decide` saw: without what `key` itself held before.
        """

    async def book(self, events: Sequence[EventBase]) -> None:
        """Book what these events of the session cost, in place of what was reserved. Twice is as good as once."""

    async def release(self, key: str) -> None:
        """Give a reservation back."""

    async def account(self, day: str) -> Account:
        """Return what is used and reserved."""


class Meter:
    """The one place where a session's agents draw on its limits."""

    def __init__(self, runtime: Runtime, state: Callable[[], BudgetState], ledger: DayLedger) -> None:
        self._runtime = runtime
        self._state = state
        self._ledger = ledger
        self._changed = asyncio.Condition()
        self._live: set[str] = set()
        self._marks: dict[float, float] = {}
        self._doubts_told = False
        self._unpriced_told: set[str] = set()

    def today(self) -> str:
        """Return the date (UTC) whose limits hold now."""
        return datetime.fromtimestamp(self._runtime.now(), UTC).date().isoformat()

    def time(self) -> float:
        """Return the time up to which the run has run, in seconds on the scale of the state's `since`.

        It goes on by the monotonic clock from when the time that is not booked yet began: setting the system's clock
        neither ends a run nor gives it time. Time that the machine is suspended does not count, as far as the
        system's monotonic clock leaves it out (Linux and macOS do).
        """
        since, tick = self._state().since, self._runtime.monotonic()
        if since is None:
            return self._runtime.now()
        begun = self._marks.setdefault(since, tick)
        self._marks = dict(list(self._marks.items())[-MOST_MARKS:])
        return since + max(0.0, tick - begun)

    def run_seconds(self) -> float:
        """Return how long the run in progress has run, what is not booked yet included."""
        state = self._state()
        return state.run_seconds + (self.time() - state.since if state.since is not None else 0.0)

    def counting_needed(self, demand: Demand) -> bool:
        """Whether a limit is so near that an estimate of the input is not enough.

        `demand` has the input at one token a byte: more than any text has.
        """
        state = self._state()
        worst = demand.worst(demand.output_tokens)
        for key, maximum in state.limits.items():
            scope, kind = split(key)
            if scope == "day" and state.day.date != self.today():
                return True  # what others used today is not known yet
            account = state.account(scope, self.time())
            taken = amount(account.used, kind) + amount(account.reserved, kind) + amount(worst, kind)
            if kind not in {"turns", "time"} and taken > maximum * ESTIMATE_ENOUGH:
                return True
        return False

    async def reserve(
        self, demand: Demand, projected: TurnProjected, commit: Callable[[TurnProjected], Awaitable[None]]
    ) -> TurnProjected | BudgetStopped:
        """Check every limit and reserve the worst case of the request; `commit` puts it on disk.

        `commit` is called with the projection, filled in, while nobody else can reserve; the request may go out
        when this has returned it. Where another agent of the session holds what the request would have room for
        otherwise, this waits until that is given back. Where the least does not fit, nothing is reserved and the
        stop returned, for the caller to record. Call `done` when the request has ended, however it did.
        Raises the journal's errors.
        """
        async with self._changed:
            while True:
                outcome = await self._try(demand, projected, commit)
                if outcome is not None:
                    return outcome
                await self._changed.wait()

    async def _try(
        self, demand: Demand, projected: TurnProjected, commit: Callable[[TurnProjected], Awaitable[None]]
    ) -> TurnProjected | BudgetStopped | None:
        """Return the outcome, None to wait for others."""
        state, now = self._state(), self.time()
        limits = state.limits_for(priced=demand.cost(0) is not None)
        scopes: list[Scope] = ["run", "session"] if state.run else ["session"]
        accounts = {scope: state.account(scope, now, beside=projected.turn) for scope in scopes}
        others = bool(self._live - {projected.turn})
        verdict: int | BudgetStopped = 0
        waits = False
        clamped_by = projected.clamped_by

        def decide(day: Account | None) -> Amounts | None:
            nonlocal verdict, waits, clamped_by
            known = accounts if day is None else {**accounts, "day": day}
            verdict = fit(limits, known, demand)
            if others and verdict != demand.output_tokens:
                free = fit(limits, {scope: Account(known[scope].used) for scope in known}, demand)
                waits = _more(free, verdict)
                if not waits and isinstance(free, BudgetStopped):
                    verdict = free  # what holds once the others are through is the reason
            if waits or isinstance(verdict, BudgetStopped):
                return None
            if verdict < demand.output_tokens:
                clamped_by = tightest(limits, known, demand)
            worst = demand.worst(verdict)
            return worst if day is not None else None

        key = f"{projected.turn}.{projected.attempt}"
        day_limited = any(split(limit)[0] == "day" for limit in limits)
        seen, date = None, ""
        if day_limited:
            date = self.today()
            seen = await self._reserve_day(key, date, decide)
            self._runtime.failpoint("budget.after_day_reserved")
        else:
            decide(None)
        if waits:
            return None
        if isinstance(verdict, BudgetStopped):
            return verdict
        filled = projected.model_copy(
            update={
                "max_output_tokens": verdict,
                "max_cost": demand.cost(verdict),
                "clamped": verdict < demand.output_tokens,
                "clamped_by": clamped_by,
                "day": date,
                "day_used": seen.used if seen else None,
                "day_reserved": seen.reserved if seen else None,
            }
        )
        try:
            await commit(filled)
        except Exception:
            if day_limited:
                await self._ledger.release(key)
            raise
        self._live.add(projected.turn)
        self._runtime.failpoint("budget.after_reserved")
        return filled

    async def _reserve_day(self, key: str, date: str, decide: Decide) -> Account:
        """Reserve of the day; cancelled meanwhile, give it back: the request will not go out."""
        reserving = asyncio.ensure_future(self._ledger.reserve(key, date, decide))
        try:
            return await asyncio.shield(reserving)
        except asyncio.CancelledError:
            await reserving
            await self._ledger.release(key)
            raise

    async def book(self, recorder: Recorder, events: Sequence[EventBase]) -> None:
        """Bring committed events into the day's books, and warn where a limit has come near."""
        self._runtime.failpoint("budget.before_booked")
        if any(split(limit)[0] == "day" for limit in self._state().limits):
            await self._ledger.book(events)
        warnings = self.warnings()
        if warnings:
            await recorder.record(*warnings)

    async def done(self, turn: str) -> None:
        """Say that a request is over, so that who waits for its reservation looks again."""
        self._live.discard(turn)
        async with self._changed:
            self._changed.notify_all()

    def forget(self) -> None:
        """Take no request for under way any more: no agent is at work. What is reserved on disk stays so."""
        self._live.clear()

    def warnings(self) -> list[BudgetWarned]:
        """Return a warning for each limit that has come nearer than was told."""
        state = self._state()
        found = []
        for key, maximum in state.limits.items():
            scope, kind = split(key)
            if scope == "run" and not state.run:
                continue
            used = amount(state.account(scope, self.time()).used, kind)
            reached = max((share for share in WARN_AT if used >= share * maximum), default=0.0)
            warning = BudgetWarned(scope=scope, limit=kind, used=used, maximum=maximum, fraction=reached)
            if reached > state.warned.get(warning_key(warning, state.day.date), 0.0):
                found.append(warning)
        return found

    def clocked(self) -> list[BudgetClocked]:
        """Return the event that books the run's time up to now; nothing when no run goes."""
        since = self._state().since
        if since is None:
            return []
        return [self._clocked(self.time() - since, self.today())]

    def clocked_until(self, last: float) -> list[BudgetClocked]:
        """Return the event that books a run's time up to `last`, when an earlier start last wrote something.

        The time in which nothing ran is nobody's.
        """
        since = self._state().since
        if since is None:
            return []
        day = datetime.fromtimestamp(since, UTC).date().isoformat()
        return [self._clocked(max(0.0, last - since), day)]

    def _clocked(self, seconds: float, day: str) -> BudgetClocked:
        """Return the event that books time; what is not booked yet begins with it."""
        now = self._runtime.now()
        self._marks[now] = self._runtime.monotonic()
        return BudgetClocked(seconds=seconds, day=day, time=now)

    async def time_left(self, recorder: Recorder) -> tuple[float | None, BudgetStopped | None]:
        """Return the seconds until time has to be looked at again, None if no limit bounds it, or the stop.

        The time used is booked at each look, so that the screen shows it; where the day is bounded, the next slice is
        reserved.
        """
        state, now = self._state(), self.time()
        limits = {key: maximum for key, maximum in state.limits.items() if split(key)[1] == "time"}
        if not limits or state.since is None:
            return None, None
        if "day.time" in limits or now - state.since >= LEAST_BOOKED:
            clocked = self.clocked()
            await recorder.record(*clocked)
            if "day.time" in limits:
                await self._ledger.book(clocked)
            state, now = self._state(), self.time()
        lefts = [limits[key] - state.account(split(key)[0], now).used.seconds for key in limits if key != "day.time"]
        left = min(TIME_SLICE, *lefts) if lefts else TIME_SLICE
        demand = Demand("", 0, 0, 0, 0.0, 0.0)
        accounts: dict[Scope, Account] = {scope: state.account(scope, now) for scope in ("run", "session")}
        stop = fit({key: limits[key] for key in limits if key != "day.time"}, accounts, demand)
        if isinstance(stop, BudgetStopped):
            return 0.0, stop
        if "day.time" in limits:
            slice_, stop = await self._lease(limits["day.time"], demand)
            left = min(left, slice_)
        return left, stop if isinstance(stop, BudgetStopped) else None

    async def _lease(self, maximum: float, demand: Demand) -> tuple[float, BudgetStopped | int]:
        leased = 0.0

        def decide(day: Account) -> Amounts | None:
            nonlocal leased
            leased = min(TIME_SLICE, maximum - day.used.seconds - day.reserved.seconds)
            return Amounts(seconds=leased) if leased > 0 else None

        seen = await self._ledger.reserve(TIME_KEY, self.today(), decide)
        return max(0.0, leased), fit({"day.time": maximum}, {"day": seen}, demand)

    def unpriced(self, demand: Demand) -> list[Notice]:
        """Return the notice that a default limit on cost does not hold for a model, once for each model."""
        limits, told = self._state().limits, self._unpriced_told
        left_out = limits.keys() - self._state().limits_for(priced=demand.cost(0) is not None).keys()
        if not left_out or demand.model in told:
            return []
        told.add(demand.model)
        turns = limits.get("run.turns")
        bound = f", and a run stops at {quantity('turns', turns)}" if turns is not None else ""
        message = (
            f"The price of {demand.model!r} is not known, so the default cost limit of a run does not hold for it. "
            f"Turns and tokens are counted{bound}. To limit tokens: /budget run tokens N, or --max-tokens N."
        )
        return [Notice(level="info", code="no-price", message=message)]

    def doubted(self, what: str) -> list[Notice]:
        """Return the notice about a server whose figures cannot be true, the first time; `what` names them."""
        if self._doubts_told:
            return []
        self._doubts_told = True
        message = (
            f"The server's usage figures cannot be right: {what}. What was projected is booked in their place and "
            "marked as estimated (≈), so that the limits hold. This is said once."
        )
        return [Notice(level="warning", code="usage-estimated", message=message)]

    def overrun(self, projected: TurnProjected, usage: Usage, cost: float | None) -> list[Notice]:
        """Return the notice that names a server whose figures go beyond what it could be held to."""
        faults = []
        bound = projected.input_tokens
        if not projected.counted:
            # Nobody had counted: only what no text can have is the server's doing.
            bound = max(bound, projected.request_bytes)
        if usage.prompt_tokens > bound:
            how = "its own count allows" if projected.counted else "the size of the request allows"
            faults.append(f"{usage.prompt_tokens:,} input tokens where {how} {bound:,}")
        if usage.output_tokens > projected.max_output_tokens:
            asked = projected.max_output_tokens
            faults.append(f"{usage.output_tokens:,} output tokens where {asked:,} were asked for at most")
        if not faults and projected.max_cost is not None and cost is not None and cost > projected.max_cost + 1e-9:
            worst, spent = quantity("cost", projected.max_cost), quantity("cost", cost)
            if projected.counted:
                faults.append(f"a cost of {spent} where the prices allow {worst}")
        if not faults:
            return []
        message = (
            f"The server reports more than was projected: {'; '.join(faults)}. It is booked as reported, and a limit "
            "can be overrun by this turn; the next one is checked against what is left."
        )
        return [Notice(level="error", code="budget-overrun", message=message)]


def _more(free: int | BudgetStopped, now: int | BudgetStopped) -> bool:
    """Whether a request could have more without what others hold."""
    if isinstance(free, BudgetStopped):
        return False
    return isinstance(now, BudgetStopped) or free > now
