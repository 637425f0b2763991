"""An answer of the offline model, and its way onto the wire."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tui_agent.models.offline.faults import Fault
from tui_agent.models.offline.memory import COMPACTED, signature
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.tokens import BYTES_PER_TOKEN, canonical, text_tokens

STOP_REASONS = (
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call. `raw`, where given, is sent as the input's JSON, valid or not.

    `served` is what the server's own tool found, as the content of its result block; None for the client's tools.
    """

    tool: str
    input: dict[str, Any] = field(default_factory=dict)
    raw: str | None = None
    served: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says, in this order: thinking, text, calls.

    An empty `stop` follows from the calls. `speed` is in tokens a second, None for all at once. With `compaction`
    the text is the content of a compaction block, which is all of the answer.
    """

    text: str = ""
    thinking: str = ""
    calls: tuple[Call, ...] = ()
    stop: str = ""
    stop_detail: str = ""
    speed: float | None = None
    fault: Fault | None = None
    compaction: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of the stream, and the tokens it brings."""

    event: str
    body: dict[str, Any]
    tokens: int = 0

    def encode(self) -> bytes:
        """Return the event as it goes over the wire."""
        data = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        return f"event: {self.event}\ndata: {data}\n\n".encode()


class Message:
    """The message that answers a request: blocks, stop reason, usage; ids follow from the request's hash."""

    def __init__(self, request: Request, answer: Answer, input_usage: dict[str, Any]) -> None:
        digest = hashlib.sha256(f"{request.model} {request.prefix[-1].hash}".encode()).hexdigest()
        self.id = f"msg_{digest[:24]}"
        self.model = request.model
        self.diagnostics: dict[str, Any] | None = None
        self.content: list[dict[str, Any]] = []
        self.raw: dict[int, str] = {}
        self.stop_detail = answer.stop_detail
        self._budget = request.max_tokens
        self._truncated = False
        self.usage: dict[str, Any] = {}
        if answer.thinking and request.thinking:
            thinking = self._fit(answer.thinking)
            thinking = thinking if request.thinking_shown else ""
            signed = signature(request.prefix[-1].hash, thinking)
            self._append({"type": "thinking", "thinking": thinking, "signature": signed})
        if answer.compaction:
            content = self._fit(answer.text)
            signed = signature(COMPACTED, content)
            self._append({"type": "compaction", "content": content, "signature": signed})
        elif answer.text:
            self._append({"type": "text", "text": self._fit(answer.text)})
        for number, call in enumerate(answer.calls):
            self._call(f"toolu_{digest[24:44]}{number:02}", call)
        own = any(call.served is None for call in answer.calls)
        self.stop_reason = "max_tokens" if self._truncated else answer.stop or ("tool_use" if own else "end_turn")
        output = min(request.max_tokens, request.max_tokens - self._budget + 1)
        self.usage = {**input_usage, **self.usage, "output_tokens": output}
        if answer.compaction:
            # As the API does: what the compaction used stands in its iteration, and the top level is 0.
            used = {key: value for key, value in self.usage.items() if key in _ITERATION}
            nothing = dict.fromkeys((key for key in used if key != "cache_creation"), 0)
            self.usage = {**self.usage, **nothing, "iterations": [{"type": "compaction", **used}]}

    def _append(self, block: dict[str, Any]) -> None:
        if self._truncated and not any(block.get(key) for key in ("text", "thinking", "input")):
            return
        self.content.append(block)

    def _fit(self, text: str) -> str:
        """Return as much of `text` as the output limit leaves room for."""
        if self._truncated:
            return ""
        wanted = text_tokens(text)
        if wanted <= self._budget:
            self._budget -= wanted
            return text
        self._truncated = True
        room, self._budget = self._budget, 0
        return text.encode()[: room * BYTES_PER_TOKEN].decode("utf-8", "ignore")

    def _call(self, call_id: str, call: Call) -> None:
        if self._truncated:
            return
        whole = canonical(call.input) if call.raw is None else call.raw
        sent = self._fit(whole)
        if sent != whole or call.raw is not None:
            self.raw[len(self.content)] = sent
        if call.served is None:
            self.content.append({"type": "tool_use", "id": call_id, "name": call.tool, "input": call.input})
            return
        served_id = call_id.replace("toolu_", "srvtoolu_")
        self.content.append({"type": "server_tool_use", "id": served_id, "name": call.tool, "input": call.input})
        self.content.append({
            "type": f"{call.tool}_tool_result", "tool_use_id": served_id, "content": call.served
        })  # fmt: skip
        name = f"{call.tool}_requests"
        counts = self.usage.setdefault("server_tool_use", {"web_search_requests": 0, "web_fetch_requests": 0})
        counts[name] = counts.get(name, 0) + 1

    def body(self) -> dict[str, Any]:
        """Return the message whole, as an answer that is not streamed has it."""
        return self._head() | {
            "content": self.content,
            "stop_reason": self.stop_reason,
            "stop_sequence": self._stop_sequence,
            "stop_details": self._stop_details,
            "usage": self.usage,
        }

    def pieces(self, delta_tokens: int) -> Iterator[Piece]:
        """Yield the events of the stream, with `delta_tokens` tokens in each delta."""
        head = self._head() | {"content": [], "stop_reason": None, "stop_sequence": None}
        head["usage"] = {**self.usage, "output_tokens": 1}
        yield Piece("message_start", {"type": "message_start", "message": head})
        yield Piece("ping", {"type": "ping"})
        for index, block in enumerate(self.content):
            yield from self._block_pieces(index, block, delta_tokens)
        delta = {
            "stop_reason": self.stop_reason,
            "stop_sequence": self._stop_sequence,
            "stop_details": self._stop_details,
        }
        usage = {"output_tokens": self.usage["output_tokens"]}
        yield Piece("message_delta", {"type": "message_delta", "delta": delta, "usage": usage})
        yield Piece("message_stop", {"type": "message_stop"})

    def _block_pieces(self, index: int, block: dict[str, Any], delta_tokens: int) -> Iterator[Piece]:
        if block["type"].endswith("_tool_result"):
            yield _piece("content_block_start", index, "content_block", block)
            yield Piece("content_block_stop", {"type": "content_block_stop", "index": index})
            return
        empty: dict[str, Any] = {
            "server_tool_use": {**block, "input": {}},
            "text": {**block, "text": ""},
            "thinking": {**block, "thinking": "", "signature": ""},
            "tool_use": {**block, "input": {}},
            "compaction": {"type": "compaction", "content": None},
        }[block["type"]]
        yield _piece("content_block_start", index, "content_block", empty)
        kind, key = _DELTAS[block["type"]]
        if block["type"] == "compaction":
            delta = {"type": kind, "content": block["content"], "signature": block["signature"]}
            yield _piece("content_block_delta", index, "delta", delta, text_tokens(block["content"]))
            yield Piece("content_block_stop", {"type": "content_block_stop", "index": index})
            return
        if block["type"] in {"tool_use", "server_tool_use"}:
            text = self.raw.get(index, json.dumps(block["input"], ensure_ascii=False))
        else:
            text = block[key]
        size = delta_tokens * BYTES_PER_TOKEN
        for start in range(0, len(text), size):
            delta = {"type": kind, key: text[start : start + size]}
            yield _piece("content_block_delta", index, "delta", delta, delta_tokens)
        if block["type"] == "thinking":
            delta = {"type": "signature_delta", "signature": block["signature"]}
            yield _piece("content_block_delta", index, "delta", delta)
        yield Piece("content_block_stop", {"type": "content_block_stop", "index": index})

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "diagnostics": self.diagnostics,
        }

    @property
    def _stop_sequence(self) -> str | None:
        return self.stop_detail if self.stop_reason == "stop_sequence" else None

    @property
    def _stop_details(self) -> dict[str, Any] | None:
        if self.stop_reason != "refusal":
            return None
        explanation = self.stop_detail or "The offline model was told to decline."
        return {"type": "refusal", "category": None, "explanation": explanation}


_ITERATION = {
    "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation",
}  # fmt: skip

_DELTAS = {
    "compaction": ("compaction_delta", "content"),
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
    "server_tool_use": ("input_json_delta", "partial_json"),
}


def _piece(event: str, index: int, key: str, body: dict[str, Any], tokens: int = 0) -> Piece:
    return Piece(event, {"type": event, "index": index, key: body}, tokens)
