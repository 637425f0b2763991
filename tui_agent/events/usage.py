"""What a model response cost in tokens."""

from __future__ import annotations

from pydantic import Field

from tui_agent.events.base import Part


class Tokens(Part):
    """Tokens by what happens to them. The four input kinds do not overlap: `input_tokens` met no cache.

    `web_searches` and `web_fetches` are uses of the server's own tools; searches are priced one by one. `speed` and
    `inference_geo` are what the server reports of how and where it worked, where that has a price of its own.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    web_searches: int = 0
    web_fetches: int = 0
    speed: str = ""
    inference_geo: str = ""

    @property
    def prompt_tokens(self) -> int:
        """All input tokens of the request, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.cache_write_1h_tokens

    @property
    def total_tokens(self) -> int:
        """Prompt and output together."""
        return self.prompt_tokens + self.output_tokens


class UsagePart(Tokens):
    """What one of several rounds of a response used; `model` is empty where it is the one that was asked.

    `kind` is the API's name: `message`, `fallback_message`, `compaction`, `advisor_message`.
    """

    kind: str = "message"
    model: str = ""

    @property
    def of_message(self) -> bool:
        """Whether the round wrote the answer itself, and the top-level figures hold what it used."""
        return self.kind in {"message", "fallback_message"}


class Usage(Tokens):
    """Tokens of one response, as the server reported them or, after a cut, as estimated.

    `simulated` says that the offline model counted them: nobody is billed. `parts` are the rounds of one response
    that are priced one by one (a compaction, a fallback model, the server's own tools); the other figures are their
    sum.
    """

    estimated: bool = False
    simulated: bool = False
    parts: list[UsagePart] = Field(default_factory=list)

    @property
    def first(self) -> Tokens:
        """The usage of the first round: what the request itself was, before the server went on by itself."""
        return next((part for part in self.parts if part.of_message), self)

    @property
    def last(self) -> Tokens:
        """The usage of the last round: its tokens are what the window now holds."""
        return next((part for part in reversed(self.parts) if part.of_message), self)

    def __add__(self, other: Tokens) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            web_searches=self.web_searches + other.web_searches,
            web_fetches=self.web_fetches + other.web_fetches,
            estimated=self.estimated or (isinstance(other, Usage) and other.estimated),
            simulated=self.simulated or (isinstance(other, Usage) and other.simulated),
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
