"""How long the server is asked to keep the prompt: five minutes, or an hour while its user takes long to answer."""

from __future__ import annotations

from tui_agent.context import LastTurn
from tui_agent.events import Notice
from tui_agent.models import Capabilities, Model, Rates

LONG_WAIT_SECONDS = 240.0
"""A wait for the user after which the short cache, of 300 seconds, lapses or is about to."""

USUAL_RATES = Rates(input=1.0, output=5.0, cache_read=0.1, cache_write_5m=1.25, cache_write_1h=2.0)
"""What tokens cost in relation to each other where a model's price is not known (documentation of prompt caching)."""


def keeps_an_hour(
    model: Model, can: Capabilities, last: LastTurn | None, prompt_tokens: int, *, waited: float, now: float
) -> bool:
    """Return whether the next request, of `prompt_tokens`, asks for the cache of an hour.

    `waited` is for how many of the seconds since the turn before, `last`, a request or a question was open. Where
    that was long, it is assumed that one more such wait comes. By then the short cache has lapsed and all of the
    prompt is written anew; the long one is read. So the long one is asked for when

        written * (write for an hour - write for 5 minutes)  <  prompt * (write for 5 minutes - read)

    where `written` are the tokens that this request writes in either case: all of them if the cache has lapsed by
    now, only the new ones if not. A server that cached nothing of the turn before is not asked.
    """
    if last is None or waited < LONG_WAIT_SECONDS or not last.cached_tokens:
        return False
    if not (can.offers("cache", model.id) and can.offers("cache_1h", model.id)):
        return False
    rates = model.price.tier(prompt_tokens) if model.price is not None else USUAL_RATES
    alive = now - last.time < last.cache_life
    written = max(0, prompt_tokens - last.cached_tokens) if alive else prompt_tokens
    dearer = written * (rates.cache_write_1h - rates.cache_write_5m)
    return dearer < prompt_tokens * (rates.cache_write_5m - rates.cache_read)


def hour_notice(waited: float) -> Notice:
    """Return the notice that the long cache is asked for after a wait of that many seconds."""
    message = (
        f"A request waited {waited / 60:.0f} min for you. The server is asked to keep the prompt for 1 hour, not for "
        "5 minutes: writing it costs more, but after another such wait it is read and not written anew."
    )
    return Notice(level="info", code="cache", message=message)
