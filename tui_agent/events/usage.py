"""What a model response cost in tokens."""

from __future__ import annotations

from tui_agent.events.base import Part


class Usage(Part):
    """Tokens of one response, as the server reported them or, after a cut, as estimated.

    The four input kinds do not overlap: `input_tokens` were neither read from nor written to the cache.
    `web_searches` are requests of the server's own search, which are priced one by one. `simulated` says that
    the offline model counted them: nobody is billed.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    web_searches: int = 0
    estimated: bool = False
    simulated: bool = False

    @property
    def prompt_tokens(self) -> int:
        """All input tokens of the request, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens

    @property
    def total_tokens(self) -> int:
        """Prompt and output together."""
        return self.prompt_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            web_searches=self.web_searches + other.web_searches,
            estimated=self.estimated or other.estimated,
            simulated=self.simulated or other.simulated,
        )


class Amounts(Part):
    """What a limit can bound: turns, tokens, dollars, wall-clock seconds.

    `input_tokens` are all tokens of the prompts, cached or not.
    """

    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            turns=self.turns + other.turns,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=self.cost + other.cost,
            seconds=self.seconds + other.seconds,
        )
