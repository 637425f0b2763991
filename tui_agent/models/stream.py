"""From the bytes of a streamed response to its blocks: an SSE decoder and an accumulator, both plain and pure.

The SDK's typed stream builds pydantic objects for each event: 20,000 deltas cost it four times the CPU of this,
which cuts and decodes a chunk of bytes in one go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, cast

from tui_agent.events import JsonObject, Usage, UsagePart
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


MAX_EVENT_BYTES = 64 * 1024 * 1024
"""Twice what the API takes as a whole request: no single event of an answer comes near it."""

MAX_BLOCKS = 10_000
"""Blocks of one answer, at most; a larger index is no index."""

MAX_TOKENS = 1_000_000_000
"""A token count that is larger is no count of one request."""

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

    The tool calls of a model that declined before a fallback model took over are left out. `stop_detail` says more
    about a refusal or a stop sequence, `stop_details` is the server's whole object. A tool_use whose input was no
    JSON object has the input `{INVALID_JSON: raw text}`. `cache_miss_reason` is the server's diagnosis, if any.
    `reported` says which figures of `usage` the server gave.
    """

    message_id: str
    model: str
    content: list[JsonObject]
    stop_reason: str
    stop_detail: str
    usage: Usage
    cache_miss_reason: str = ""
    stop_details: JsonObject = field(default_factory=dict)
    reported: Reported = field(default_factory=lambda: Reported(None, None))


@dataclass(frozen=True, slots=True)
class Reported:
    """What a server said of its usage, in tokens: the whole prompt, cached or not, and the output.

    None where it said nothing, or nothing that can be a count: negative, no whole number, more than `MAX_TOKENS`.
    """

    prompt: int | None
    output: int | None


class EventDecoder:
    """Cuts a byte stream into the data of its server-sent events, however the bytes are chunked.

    Lines may end in LF, CR LF or CR, as the format allows. Raises `MalformedResponseError` for an event of more than
    `MAX_EVENT_BYTES`.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._held = b""

    def feed(self, chunk: bytes) -> list[tuple[str, bytes]]:
        """Return the (event name, data) of each event that `chunk` completes."""
        data = self._held + chunk
        # A chunk may end between CR and LF: that CR waits for the next chunk.
        self._held = b"\r" if data.endswith(b"\r") else b""
        if b"\r" in data:
            data = data[: len(data) - len(self._held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in data:
            # A long line comes in many chunks: joining what is there with each of them would take ever longer.
            self._keep(data)
            return []
        *records, rest = b"".join((*self._rest, data)).split(b"\n\n")
        self._rest, self._size = [], 0
        self._keep(rest)
        return [event for record in records if (event := _decode(record)) is not None]

    def finish(self) -> list[tuple[str, bytes]]:
        """Return the event that the stream's end completes, if its last blank line is missing."""
        return self.feed(b"\n\n")

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_EVENT_BYTES:
            raise MalformedResponseError(f"The server sent an event of more than {MAX_EVENT_BYTES:,} bytes.")
        if data:
            self._rest.append(data)


BOM = b"\xef\xbb\xbf"
"""The byte order mark, which a stream may begin with."""


def _decode(record: bytes) -> tuple[str, bytes] | None:
    name = b""
    data: list[bytes] = []
    for line in record.split(b"\n"):
        field_name, _, value = line.removeprefix(BOM).partition(b":")
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


_DONE = b"[DONE]"
"""How servers that grew up with another API end a stream."""

_EVENTS = {
    "content_block_delta", "content_block_start", "content_block_stop", "message_start", "message_delta",
    "message_stop",
}  # fmt: skip
"""The events that must be what they claim to be; of others the data may be anything."""


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
        """Take in one event; return what a user would see of it.

        Unknown events and deltas are tolerated, and nothing counts once the response is finished: servers send
        `[DONE]` and more after it. Raises `ModelError`: the typed error of an `error` event,
        `MalformedResponseError` for what is no event of the Messages API.
        """
        if self.finished or data.strip() == _DONE:
            return None
        try:
            event = _parsed(data.decode("utf-8", "replace"))
        except ValueError as error:
            if name == "error":
                raise stream_error({"error": {"message": data.decode("utf-8", "replace")[:500]}}) from error
            if name and name not in _EVENTS:
                return None
            raise MalformedResponseError(f"The server sent an event that is no JSON: {_shown(data)}") from error
        if not isinstance(event, dict):
            if name and name not in _EVENTS:
                return None
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
                return self._grow(_index(event), event["delta"])
            case "content_block_start":
                return self._begin(_index(event), event["content_block"])
            case "content_block_stop":
                block = self._blocks[_index(event)]
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

    def _count(self, usage: object) -> None:
        """Lay `usage` over what was counted: the figures are cumulative, absent ones stay."""
        if isinstance(usage, dict):
            self._usage |= {key: value for key, value in usage.items() if value is not None}

    # Where text is taken from an event, `+ ""` raises TypeError for what is no text: see `add`.

    def _begin(self, index: int, body: dict[str, Any]) -> Delta | None:
        if not self.started or index in self._blocks:
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
                if not all(isinstance(body.get(key), str) and body[key] for key in ("id", "name")):
                    raise MalformedResponseError("The server began a tool call without an id or a name.")
                return Delta(index, "tool_input", "", body["name"])
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
        details = self._stop.get("stop_details")
        details = details if isinstance(details, dict) else {}
        said = [details.get("category"), details.get("explanation"), self._stop.get("stop_sequence")]
        diagnostics = self._message.get("diagnostics")
        miss = diagnostics.get("cache_miss_reason") if isinstance(diagnostics, dict) else None
        return Response(
            message_id=str(self._message.get("id", "")),
            model=str(self._message.get("model", "")),
            content=sendable(self.content),
            stop_reason=str(self._stop["stop_reason"]),
            stop_detail=": ".join(str(part) for part in said if part),
            usage=read_usage(self._usage),
            cache_miss_reason=str(miss.get("type", "")) if isinstance(miss, dict) else "",
            stop_details=details,
            reported=read_reported(self._usage),
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
        case "tool_use" if not text and not isinstance(block.body.get("input"), dict):
            given = block.body.get("input")
            return {**block.body, "input": {} if given is None else {INVALID_JSON: json.dumps(given)}}
    if text:
        return {**block.body, "input": _tool_input(text)}
    return block.body


def sendable(content: list[JsonObject]) -> list[JsonObject]:
    """Return the blocks of an answer that a request may hold.

    Before the last `fallback` block stands what another model said before it declined: its tool calls are void.
    """
    handed_over = max((i for i, block in enumerate(content) if block.get("type") == "fallback"), default=0)
    return [b for i, b in enumerate(content) if i >= handed_over or b.get("type") != "tool_use"]


def _index(event: dict[str, Any]) -> int:
    index = event["index"]
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < MAX_BLOCKS:
        raise MalformedResponseError(f"The server names block {str(index)[:50]}, which there cannot be.")
    return index


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
    """Return the API's `usage` object as ours; figures that cannot be counts are taken for 0.

    The top-level figures leave out what compaction and other side iterations used, and are 0 where there was
    nothing else: those are added. What the `message` iterations used is in the top-level figures; should they
    say more, they count. Where the iterations are priced apart, they are the usage's `parts`.
    """
    top = _one_usage(usage)
    listed = usage.get("iterations")
    rounds = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    parts = [_part(one, top) for one in rounds]
    messages, others = Usage(), Usage()
    for part in parts:
        messages, others = (messages + part, others) if part.of_message else (messages, others + part)
    whole = messages.total_tokens >= top.total_tokens
    total = (messages if whole else top) + others
    if not whole:
        # The rounds do not account for all that was used: what the top level says is priced as one request.
        of_others = [part for part in parts if not part.of_message]
        parts = [_part(usage, top), *of_others] if of_others else []
    if len(parts) == 1 and not parts[0].model and parts[0].kind == "message":
        parts = []
    return total.model_copy(
        update={
            "web_searches": max(top.web_searches, total.web_searches),
            "web_fetches": max(top.web_fetches, total.web_fetches),
            "speed": top.speed,
            "inference_geo": top.inference_geo,
            "parts": parts,
        }
    )


def read_reported(usage: dict[str, Any]) -> Reported:
    """Return what a `usage` object says, and what it does not."""
    prompts = [_count(usage.get(key)) for key in _PROMPT_FIGURES]
    total = read_usage(usage)
    output = _count(usage.get("output_tokens"))
    if usage.get("iterations"):
        return Reported(total.prompt_tokens or None, total.output_tokens or None)
    unusable = any(usage.get(key) is not None and _count(usage[key]) is None for key in _PROMPT_FIGURES)
    said = prompts[0] is not None or any(prompts)
    return Reported(total.prompt_tokens if said and not unusable else None, output)


_PROMPT_FIGURES = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


def _count(value: object) -> int | None:
    """Return a figure of a usage object as a count; None for what cannot be one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
        return None
    return value


def _part(one: dict[str, Any], top: Usage) -> UsagePart:
    """Return one entry of `iterations`, or the top level itself as if it were one."""
    kind, model = (str(one.get(key) or "") for key in ("type", "model"))
    figures = {**_figures(one), "speed": top.speed, "inference_geo": top.inference_geo}
    return UsagePart(kind=kind or "message", model=model, **figures)


def _one_usage(usage: dict[str, Any]) -> Usage:
    return Usage(**_figures(usage))


def _figures(usage: dict[str, Any]) -> dict[str, Any]:
    created, tools = usage.get("cache_creation"), usage.get("server_tool_use")
    hour = _count(created.get("ephemeral_1h_input_tokens")) or 0 if isinstance(created, dict) else 0
    tools = tools if isinstance(tools, dict) else {}
    # Of a prompt with one figure that cannot be, the others are worth nothing either.
    usable = all(usage.get(key) is None or _count(usage[key]) is not None for key in _PROMPT_FIGURES)
    fresh, read, written = (_count(usage.get(key)) or 0 if usable else 0 for key in _PROMPT_FIGURES)
    return {
        "input_tokens": fresh,
        "output_tokens": _count(usage.get("output_tokens")) or 0,
        "cache_read_tokens": read,
        "cache_write_tokens": max(0, written - hour),
        "cache_write_1h_tokens": min(hour, written),
        "web_searches": _count(tools.get("web_search_requests")) or 0,
        "web_fetches": _count(tools.get("web_fetch_requests")) or 0,
        "speed": str(usage.get("speed") or "")[:40],
        "inference_geo": str(usage.get("inference_geo") or "")[:40],
    }


def stream_error(event: dict[str, Any]) -> ModelError:
    """Return the typed error of a mid-stream `error` event."""
    body = event.get("error")
    if not isinstance(body, dict):
        body = {"message": body or event.get("message")}
    message = well_formed(str(body.get("message") or "the server gave no reason"))
    kind = body.get("type")
    made = error_type(kind if isinstance(kind, str) else None, 200, message)
    return made(with_hint(made.kind, message), request_id=str(event.get("request_id") or ""))


def _shown(data: bytes) -> str:
    return repr(data[:200].decode("utf-8", "replace"))
