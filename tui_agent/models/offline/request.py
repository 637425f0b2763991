"""A request to the offline model, seen as the API sees it: blocks in order, each with the hash of all before it."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tui_agent.models.offline.tokens import block_tokens, canonical


@dataclass(frozen=True, slots=True)
class PrefixBlock:
    """One block of the prompt: the hash of the prompt up to and with it, its tokens, the life of a cache mark.

    `lifetime` is in seconds, None without a mark.
    """

    hash: str
    tokens: int
    lifetime: float | None


class Request:
    """A checked request body. `messages` have their content as lists of blocks.

    What it has in common with an `earlier` one is not reckoned again: a conversation only grows at its end.
    """

    def __init__(self, body: dict[str, Any], earlier: Request | None = None) -> None:
        self.body = body
        self.model: str = body["model"]
        self.max_tokens: int = body.get("max_tokens", 0)
        self.tools: list[dict[str, Any]] = body.get("tools") or []
        self.messages = [{**message, "content": blocks(message["content"])} for message in body["messages"]]
        shared = self._shared(earlier) if earlier is not None else 0
        self._known_spelled = earlier.spelled[:shared] if earlier is not None else []
        self._known_prefix = earlier.prefix[: earlier.starts[shared]] if earlier is not None and shared else []
        # the hash of all up to and with each message, as far as it is known
        self._running: list[hashlib._Hash] = earlier._running[:shared] if earlier is not None else []

    def _shared(self, earlier: Request) -> int:
        """Return how many of the first messages are those of an earlier request, in the same surroundings."""
        if earlier.tools != self.tools or earlier.body.get("system") != self.body.get("system"):
            return 0
        pairs = zip(self.messages, earlier.messages, strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    @property
    def thinking(self) -> bool:
        """Whether the request lets the model think."""
        return (self.body.get("thinking") or {}).get("type") in {"enabled", "adaptive"}

    @property
    def thinking_shown(self) -> bool:
        """Whether the answer shows what was thought: by default it does not, as on the API's current models."""
        return (self.body.get("thinking") or {}).get("display") == "summarized"

    @cached_property
    def tool_names(self) -> set[str]:
        """The names of the offered tools."""
        return {tool["name"] for tool in self.tools}

    @cached_property
    def spelled(self) -> list[list[str]]:
        """The canonical JSON of every block, by message."""
        known = self._known_spelled
        new = self.messages[len(known) :]
        return known + [[canonical(block) for block in message["content"]] for message in new]

    @cached_property
    def starts(self) -> list[int]:
        """The number of the first block of every message, in `prefix`."""
        first = len(self.prefix) - sum(len(message["content"]) for message in self.messages)
        counts = (len(message["content"]) for message in self.messages)
        return list(itertools.accumulate(counts, initial=first))

    @cached_property
    def prefix(self) -> list[PrefixBlock]:
        """Every block of tools, system and messages, in the API's order."""
        result = list(self._known_prefix)
        first = len(self._running)
        running = self._running[-1].copy() if first else hashlib.sha256()

        def add(where: str, block: dict[str, Any], text: str) -> None:
            running.update(f"{where} {text}\n".encode())
            result.append(PrefixBlock(running.hexdigest(), block_tokens(block, text), lifetime(block)))

        if not first:
            for tool in self.tools:
                add("tool", tool, canonical(tool))
            for block in blocks(self.body.get("system") or []):
                add("system", block, canonical(block))
        for number, message in enumerate(self.messages[first:], first):
            for block, text in zip(message["content"], self.spelled[number], strict=True):
                add(f"{number}:{message['role']}", block, text)
            self._running.append(running.copy())
        return result

    def before(self, message: int) -> str:
        """Return the hash of all that stands before message number `message`."""
        count = self.starts[message]
        return self.prefix[count - 1].hash if count else ""

    @cached_property
    def tokens(self) -> int:
        """The tokens of the whole prompt."""
        return sum(block.tokens for block in self.prefix)

    @property
    def first_user_text(self) -> str:
        """The text of the first user message: what tells conversations apart."""
        return text_of(self.messages[0]["content"])


def blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return content as a list of blocks, as the API treats it."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def text_of(content: str | list[dict[str, Any]]) -> str:
    """Return the text blocks of `content`, joined by newlines."""
    return "\n".join(block["text"] for block in blocks(content) if block.get("type") == "text")


def lifetime(block: dict[str, Any]) -> float | None:
    """Return how long the API keeps a prefix ending at `block`, in seconds; None if it has no cache mark."""
    mark = block.get("cache_control")
    if not mark:
        return None
    return 3600.0 if mark.get("ttl") == "1h" else 300.0
