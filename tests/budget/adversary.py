"""A server that does its worst within what it may: wrong counts, largest answers, no cache hit, side iterations."""

from __future__ import annotations

import hashlib
import math
import threading
from random import Random
from typing import Any

from tui_agent.models.offline import OfflineServer
from tui_agent.models.offline.answer import Answer, Call
from tui_agent.models.offline.request import Request

COUNT_ERROR = 0.10


class Adversary(OfflineServer):
    """Bills what `seed` draws for each request. `excess` is how much more than it may it bills, as a factor.

    `counts` and `bills` are what it said and what it asked for, in order; safe to read while it is idle.
    """

    def __init__(self, seed: int, *, excess: float = 1.0, answers: int = 4, **options: Any) -> None:
        super().__init__(**options)
        self.counts: list[int] = []
        self.bills: list[dict[str, int]] = []
        self._seed = seed
        self._excess = excess
        self._answers = answers
        self._lock = threading.Lock()
        self._player.answer = self._say  # type: ignore[method-assign]

    def counted(self, request: Request) -> int:
        """Be off by up to a tenth, either way."""
        true = self._true(request)
        share = self._random(request, "count").choice([-COUNT_ERROR, -COUNT_ERROR, COUNT_ERROR, 0.0])
        counted = math.ceil(true * (1 + share)) if share < 0 else math.floor(true * (1 + share))
        with self._lock:
            self.counts.append(counted)
        return counted

    def billed(self, request: Request, usage: dict[str, Any]) -> dict[str, Any]:
        """Read nothing from the cache, and use all the room for output, often."""
        random = self._random(request, "bill")
        prompt = math.ceil(self._true(request) * self._excess)
        output = random.choice([*[request.max_tokens] * 4, int(usage["output_tokens"])])
        written = random.choice([prompt, prompt, prompt, prompt // 2])
        with self._lock:
            self.bills.append({"prompt": prompt, "output": output, "written": written})
        whole = _usage(prompt - written, written, output)
        if random.random() < 0.3:
            side = _usage((prompt - written) // 2, written // 2, output // 2)
            rest = _usage(
                prompt - written - side["input_tokens"],
                written - side["cache_creation_input_tokens"],
                output - side["output_tokens"],
            )
            top = random.choice([rest, _usage(0, 0, 0)])
            return {**top, "iterations": [{"type": "compaction", **side}, {"type": "message", **rest}]}
        return whole

    def _true(self, request: Request) -> int:
        return math.ceil(request.tokens * self._random(request, "true").uniform(0.5, 3.0))

    def _random(self, request: Request, what: str) -> Random:
        key = f"{self._seed} {what} {request.prefix[-1].hash}"
        return Random(hashlib.sha256(key.encode()).digest())

    def _say(self, request: Request) -> Answer:
        random = self._random(request, "answer")
        said = sum(message["role"] == "assistant" for message in request.messages)
        if said >= self._answers:
            return Answer(text="done")
        if "task" in request.tool_names and random.random() < 0.4:
            calls = [Call("task", {"agent": "explore", "prompt": f"look {n}"}) for n in range(random.randint(1, 3))]
            return Answer(text="ask others", calls=tuple(calls))
        return Answer(text="look " * random.randint(1, 200), calls=(Call("read", {"path": "a.txt"}),))


def _usage(fresh: int, written: int, output: int) -> dict[str, Any]:
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
    }
