"""From the bytes of a streamed response to its blocks: an SSE decoder and an accumulator, both plain and pure.

The SDK's typed stream builds pydantic objects for each event: 20,000 deltas cost it four times the CPU of this,
which cuts and decodes a chunk of bytes in one go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, cast

from tui_agent.events import JsonObject, Usage
from tui_agent.models.errors import (
    MalformedResponseError,
    ModelError,
    error_type,
    with_hint,
)
from tui_agent.text import well_formed

INVALID_JSON = "__invalid_json__"
"""The only key of a tool_use input whose JSON could not be read; its value is the raw text."""

BYTES_PER_TOKEN = 4
"""For estimating the output of a cut response only; never for a request."""


MOST_NESTED = 100
"""Levels of lists and objects within each other; the journal can store about twice as many."""


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more of a block. `tool` names the tool of a `tool_input` delta, whose `text` is raw JSON."""

    block: int
    kind: Literal["text", "thinking", "tool_input"]
    text: str
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A whole response. `content` holds the blocks verbatim, signatures and all.

    `stop_detail` says more about a refusal or a stop sequence. A tool_use whose input was no JSON object has
    the input `{INVALID_JSON: raw text}`. `cache_miss_reason` is the diagnosis the server gave, if any.
    """

    message_id: str
    model: str
    content: list[JsonObject]
    stop_reason: str
    stop_detail: str
    usage: Usage
    cache_miss_reason: str = ""


class EventDecoder:
    """Cuts a byte stream into the data of its server-sent events, however the bytes are chunked."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Return the (event name, data) of each event that `chunk` completes."""
        data = self._rest + chunk
        if b"\r" in data:
            # A chunk may end between CR and LF: that CR waits for the next chunk.
            held = b"\r" if data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *records, rest = data.split(b"\n\n")
        self._rest = rest + held
        return [event for record in records if (event := _decode(record)) is not None]

    def finish(self) -> list[tuple[str, bytes]]:
        """Return the event that the stream's end completes, if its last blank line is missing."""
        return self.feed(b"\n\n")


def _decode(record: bytes) -> tuple[str, bytes] | None:
    name = b""
    data: list[bytes] = []
    for line in record.split(b"\n"):
        field_name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field_name == b"data":
            data.append(value)
        elif field_name == b"event":
            name = value
    if not data:
        return None
    return name.decode("utf-8", "replace"), b"\n".join(data)


@dataclass
class _Block:
    body: dict[str, Any]
    text: list[str] = field(default_factory=list)
    complete: bool = False


_TEXT_DELTAS: dict[str, tuple[str, Literal["text", "thinking"]]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
}


class ResponseBuilder:
    """Accumulates the events of one response; what came so far can be had at any time."""

    def __init__(self) -> None:
        self.finished = False
        self.started = False
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}
        self._stop: dict[str, Any] = {}

    def add(self, name: str, data: bytes) -> Delta | None:
        """Take in one event; return what a person would see of it.

        Unknown events and deltas are tolerated. Raises `ModelError`: the typed error of an `error` event,
        `MalformedResponseError` for what is no event of the Messages API.
        """
        try:
            event = _parsed(data.decode("utf-8", "replace"))
        except ValueError as error:
            raise MalformedResponseError(f"The server sent an event that is no JSON: {_shown(data)}") from error
        if not isinstance(event, dict):
            raise MalformedResponseError(f"The server sent an event that is no object: {_shown(data)}")
        try:
            return self._add(str(event.get("type") or name), event)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise MalformedResponseError(
                f"The server sent an event that lacks what it must have: {_shown(data)}"
            ) from error

    def _add(self, kind: str, event: dict[str, Any]) -> Delta | None:
        match kind:
            case "content_block_delta":
                return self._grow(event["index"], event["delta"])
            case "content_block_start":
                return self._begin(event["index"], event["content_block"])
            case "content_block_stop":
                block = self._blocks[event["index"]]
                block.body = _whole(block)
                block.text = []
                block.complete = True
            case "message_start":
                if self.started:
                    raise MalformedResponseError("The server began a response twice.")
                self._message = dict(event["message"])
                self._count(self._message.get("usage"))
                self.started = True
            case "message_delta":
                self._stop.update({k: v for k, v in event["delta"].items() if v is not None})
                self._count(event.get("usage"))
                if event.get("diagnostics"):
                    self._message["diagnostics"] = event["diagnostics"]
            case "message_stop":
                self._check_whole()
                self.response()
                self.finished = True
            case "error":
                raise stream_error(event)
        return None

    def _count(self, usage: dict[str, Any] | None) -> None:
        """Lay `usage` over what was counted: the figures are cumulative, absent ones stay."""
        counted = {**self._usage, **{k: v for k, v in (usage or {}).items() if v is not None}}
        read_usage(counted)
        self._usage = counted

    # Where text is taken from an event, `+ ""` raises TypeError for what is no text: see `add`.

    def _begin(self, index: int, body: dict[str, Any]) -> Delta | None:
        if not self.started or self.finished or index in self._blocks or not isinstance(index, int):
            raise MalformedResponseError(f"The server began block {index!r} where none can begin.")
        block = self._blocks[index] = _Block(dict(body))
        match body.get("type"):
            case "text" if body.get("text"):
                block.text.append(body["text"] + "")
                return Delta(index, "text", body["text"])
            case "thinking" if body.get("thinking"):
                block.text.append(body["thinking"] + "")
                return Delta(index, "thinking", body["thinking"])
            case "tool_use":
                return Delta(index, "tool_input", "", str(body["name"]))
        return None

    def _grow(self, index: int, delta: dict[str, Any]) -> Delta | None:
        block = self._blocks[index]
        if block.complete:
            raise MalformedResponseError(f"The server went on with block {index}, which it had ended.")
        kind = delta["type"]
        if kind in _TEXT_DELTAS:
            key, shown = _TEXT_DELTAS[kind]
            text: str = delta[key]
            block.text.append(text + "")
            return Delta(index, shown, text)
        if kind == "input_json_delta":
            text = delta["partial_json"]
            block.text.append(text + "")
            if text and block.body.get("type") == "tool_use":
                return Delta(index, "tool_input", text, str(block.body["name"]))
        elif kind == "citations_delta":
            block.body["citations"] = [*(block.body.get("citations") or []), delta["citation"]]
        else:  # signature_delta, compaction_delta, and kinds that are not known yet
            block.body.update({k: v for k, v in delta.items() if k != "type"})
        return None

    def _check_whole(self) -> None:
        if not self.started or not self._stop.get("stop_reason"):
            raise MalformedResponseError("The server ended a response without a stop reason.")
        if not all(block.complete for block in self._blocks.values()):
            raise MalformedResponseError("The server ended a response with a block that it had not ended.")

    @property
    def content(self) -> list[JsonObject]:
        """The blocks so far, in order, incomplete ones with as much of their text as came."""
        return [cast("JsonObject", _whole(self._blocks[index])) for index in sorted(self._blocks)]

    @property
    def blocks_completed(self) -> int:
        """How many blocks, from the first, are whole."""
        count = 0
        for index in sorted(self._blocks):
            if not self._blocks[index].complete:
                break
            count += 1
        return count

    def response(self) -> Response:
        """Return the whole response; only after `finished`."""
        details = self._stop.get("stop_details") or {}
        said = [details.get("category"), details.get("explanation"), self._stop.get("stop_sequence")]
        miss = (self._message.get("diagnostics") or {}).get("cache_miss_reason") or {}
        return Response(
            message_id=str(self._message.get("id", "")),
            model=str(self._message.get("model", "")),
            content=self.content,
            stop_reason=str(self._stop["stop_reason"]),
            stop_detail=": ".join(str(part) for part in said if part),
            usage=read_usage(self._usage),
            cache_miss_reason=str(miss.get("type", "")),
        )

    def partial_usage(self) -> Usage:
        """Return the usage of a response that was cut: the prompt as reported, the output at least as received."""
        if not self.started:
            return Usage()
        received = sum(len(json.dumps(block, ensure_ascii=False).encode()) for block in self.content)
        reported = read_usage(self._usage)
        output = max(reported.output_tokens, received // BYTES_PER_TOKEN)
        return reported.model_copy(update={"output_tokens": output, "estimated": True})

    def give(self, error: ModelError, request_id: str = "") -> ModelError:
        """Return `error` with all that had come before it."""
        error.partial = self.content
        error.blocks_completed = self.blocks_completed
        error.usage = self.partial_usage()
        error.request_id = error.request_id or request_id
        return error


def _whole(block: _Block) -> dict[str, Any]:
    if block.complete:
        return block.body
    text = "".join(block.text)
    match block.body.get("type"):
        case "text":
            return {**block.body, "text": text}
        case "thinking":
            return {**block.body, "thinking": text}
    if text or "input" in block.body:
        return {**block.body, "input": _tool_input(text) if text else block.body["input"]}
    return block.body


def _parsed(text: str) -> Any:
    """Return JSON as it can be stored and sent again: half of a surrogate pair, which no UTF-8 holds, is replaced.

    Raises `ValueError` for what is no JSON or nests too deeply, `NaN` and infinities included.
    """
    too_deep = "it nests too deeply"
    try:
        value = json.loads(text, parse_constant=_refused, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(too_deep) from error
    if text.count("{") + text.count("[") > MOST_NESTED and _deeper(value, MOST_NESTED):
        raise ValueError(too_deep)
    return json.loads(well_formed(json.dumps(value, ensure_ascii=False))) if "\\u" in text else value


def _deeper(value: object, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_deeper(part, levels - 1) for part in parts)


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    return value if isfinite(value) else _refused(digits)


def _tool_input(text: str) -> dict[str, Any]:
    try:
        value = _parsed(text)
    except ValueError:
        return {INVALID_JSON: text}
    return value if isinstance(value, dict) else {INVALID_JSON: text}


def read_usage(usage: dict[str, Any]) -> Usage:
    """Return the API's `usage` object as ours.

    The top-level figures leave out what compaction and other side iterations used, and are 0 where there was
    nothing else: those are added. What the `message` iterations used is in the top-level figures; should they
    say more, they count.
    """
    messages, others = Usage(), Usage()
    for iteration in usage.get("iterations") or []:
        if iteration.get("type") == "message":
            messages += _one_usage(iteration)
        else:
            others += _one_usage(iteration)
    return max(_one_usage(usage), messages, key=lambda one: one.total_tokens) + others


def _one_usage(usage: dict[str, Any]) -> Usage:
    written = int(usage.get("cache_creation_input_tokens") or 0)
    hour = int((usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0)
    return Usage(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(usage.get("cache_read_input_tokens") or 0),
        cache_write_tokens=max(0, written - hour),
        cache_write_1h_tokens=hour,
        web_searches=int((usage.get("server_tool_use") or {}).get("web_search_requests") or 0),
    )


def stream_error(event: dict[str, Any]) -> ModelError:
    """Return the typed error of a mid-stream `error` event."""
    body = event.get("error") or {}
    message = str(body.get("message") or "the server gave no reason")
    made = error_type(body.get("type"), 200, message)
    return made(with_hint(made.kind, message), request_id=str(event.get("request_id") or ""))


def _shown(data: bytes) -> str:
    return repr(data[:200].decode("utf-8", "replace"))
