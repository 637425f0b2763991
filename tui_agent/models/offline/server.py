"""The offline model's server: the Messages API on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

from tui_agent.models.catalog import Catalog, load_catalog
from tui_agent.models.offline.answer import Answer, Message, Piece
from tui_agent.models.offline.cache import PromptCache
from tui_agent.models.offline.errors import ApiError, invalid
from tui_agent.models.offline.faults import Fault
from tui_agent.models.offline.http import HttpRequest, chunk, head, read_request, whole
from tui_agent.models.offline.memory import Memory
from tui_agent.models.offline.player import Player
from tui_agent.models.offline.practice import summary
from tui_agent.models.offline.request import Request
from tui_agent.models.offline.rules import (
    COMPACTION_BETA,
    beta_headers,
    check_blocks,
    check_body,
    check_headers,
    knows,
)
from tui_agent.models.offline.scenario import Scenario, load_scenario
from tui_agent.models.offline.strict import check_betas
from tui_agent.models.offline.threads import Threads
from tui_agent.runtime import Runtime

BURST_BYTES = 32 * 1024
"""Bytes that an answer without a speed sends at a time."""

MAX_WINDOW = 1_000_000
"""Tokens of a window that the catalog does not know."""

LEAST_COUNT = 8
"""What the real `count_tokens` says of the shortest message."""

_STATUS_FAULTS: dict[str, tuple[int, str, str]] = {
    "overloaded": (529, "overloaded_error", "Overloaded"),
    "rate_limit": (429, "rate_limit_error", "This request would exceed your rate limit."),
    "server_error": (500, "api_error", "Internal server error"),
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "permission": (403, "permission_error", "Your API key does not have permission to use this model."),
    "billing": (402, "billing_error", "Your credit balance is too low."),
}

_PAGE = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"

ABOUT = b"The offline practice model of tui-agent: no language model. It speaks the Messages API.\n"


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request as the server saw it, for tests. `body` is the parsed JSON, None for a request without one."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class OfflineServer:
    """The offline model. Plays `scenario`, and the practice grammar where there is none.

    `faults` strike the next requests for messages, one after the other; `speed` is in tokens a second for
    answers that have none of their own; `delta_tokens` is the size of a delta without a speed. With
    `record`, `requests` keeps every request: for tests only, it grows without end. `now` of `runtime` is
    the clock of the simulated cache. With `compaction` it compacts on demand, as the API's beta does.
    `check_types`, where set, is called with path, body and betas of every request that breaks no rule, and raises
    `ValueError` for what the SDK's own types do not allow: tests set it for all servers. With `keep_in`, each request
    that breaks no rule is written to that folder, for those who run this in a process of its own.
    """

    check_types: ClassVar[Callable[[str, dict[str, Any], frozenset[str]], None] | None] = None

    def __init__(
        self,
        scenario: Scenario | Path | None = None,
        *,
        faults: Iterable[Fault] = (),
        speed: float | None = None,
        delta_tokens: int = 4,
        record: bool = False,
        compaction: bool = False,
        keep_in: Path | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        catalog: Catalog | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self.base_url = ""
        self._player = Player(load_scenario(scenario) if isinstance(scenario, Path) else scenario)
        self._faults = list(faults)
        self._speed = speed
        self._delta_tokens = delta_tokens
        self._compaction = compaction
        self._keep_in = keep_in
        self._requests: list[RecordedRequest] | None = [] if record else None
        self._address = (host, port)
        self._catalog = catalog or load_catalog()
        self._cache = PromptCache((runtime or Runtime()).now)
        self._memory = Memory()
        self._threads = Threads()
        self._last: Request | None = None
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests with a body so far. Raises `RuntimeError` when the server was made without `record=True`."""
        return [request for request in self.all_requests if request.body is not None]

    @property
    def all_requests(self) -> list[RecordedRequest]:
        """All requests so far, questions about models too. Raises as `requests` does."""
        if self._requests is None:
            raise RuntimeError("make the OfflineServer with record=True to see its requests")
        return self._requests

    def inject(self, *faults: Fault) -> None:
        """Let `faults` strike the next requests for messages, after those that wait already."""
        self._faults.extend(faults)

    def start(self) -> str:
        """Start serving, once, and return the base URL. Raises `OSError` when the port cannot be had."""
        ready = threading.Event()
        problem: list[OSError] = []
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(ready, problem)), name="offline-model", daemon=True
        )
        self._thread.start()
        ready.wait()
        if problem:
            self._thread.join()
            raise problem[0]
        return self.base_url

    def stop(self) -> None:
        """Stop serving; connections that are open are cut. Does nothing when it does not serve."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = self._thread = None
        loop.call_soon_threadsafe(self._stopping.set)
        thread.join()

    def wait(self) -> None:
        """Wait until the server is stopped."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> OfflineServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _run(self, ready: threading.Event, problem: list[OSError]) -> None:
        try:
            server = await asyncio.start_server(self._connected, *self._address, limit=256 * 1024)
        except OSError as error:
            problem.append(error)
            ready.set()
            return
        host, port = server.sockets[0].getsockname()[:2]
        self.base_url = f"http://{host}:{port}"
        self._loop = asyncio.get_running_loop()
        ready.set()
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or the server stops
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        request_id = self._new_request_id()
        try:
            http = await read_request(reader)
            if http is None:
                return False
        except ApiError as error:
            writer.write(_error(error, request_id))
            await writer.drain()
            return False
        try:
            return await self._answer(http, reader, writer, request_id)
        except ApiError as error:
            answer = _error(error, request_id)
        writer.write(answer)
        await writer.drain()
        return True

    def _new_request_id(self) -> str:
        self._count += 1
        return f"req_offline_{self._count:06}"

    async def _answer(
        self, http: HttpRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_id: str
    ) -> bool:
        route = (http.method, http.path)
        body: Any = http.json() if http.body else None
        if self._requests is not None:
            self._requests.append(RecordedRequest(http.method, http.path, dict(http.headers), body))
        if route in {("GET", "/"), ("HEAD", "/")}:
            writer.write(whole(200, ABOUT, "text/plain; charset=utf-8"))
            return True
        check_headers(http.headers)
        betas = beta_headers(http.headers)
        check_betas(betas)
        if route == ("POST", "/v1/messages"):
            body = self._threads.whole(body, betas)
        if http.method == "POST":
            check_blocks(body, betas)
        if route == ("POST", "/v1/messages"):
            self._check_compaction(body, betas)
            return await self._messages(body, betas, reader, writer, request_id)
        if route == ("POST", "/v1/messages/count_tokens"):
            check_body(body, self._catalog, counting=True)
            self._check_types(http.path, body, betas)
            answer: dict[str, Any] = {"input_tokens": self.counted(Request(body))}
        elif route == ("GET", "/v1/models"):
            models = [self._model(name) for name in self._catalog.models]
            answer = {"data": models, "has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
        elif http.method == "GET" and http.path.startswith("/v1/models/"):
            answer = self._model(http.path.removeprefix("/v1/models/"))
        else:
            raise ApiError(404, "not_found_error", f"Not found: {http.method} {http.path}")
        writer.write(whole(200, json.dumps(answer).encode(), request_id=request_id))
        await writer.drain()
        return True

    async def _messages(
        self,
        body: Any,
        betas: frozenset[str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request_id: str,
    ) -> bool:
        check_body(body, self._catalog)
        self._check_types("/v1/messages", body, betas)
        request = self._last = Request(body, self._last)
        model = self._catalog.find(request.model)
        window = model.context_window if model.known else MAX_WINDOW
        if request.tokens > window:
            raise invalid(f"prompt is too long: {request.tokens} tokens > {window} maximum")
        self._memory.check(request)
        if body.get("compaction"):
            answer = Answer(text=summary(request), stop="compaction", compaction=True)
        else:
            answer = self._player.answer(request)
        fault = self._next_fault() or answer.fault
        if fault is not None and fault.kind in _STATUS_FAULTS:
            status, kind, reason = _STATUS_FAULTS[fault.kind]
            wait = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
            raise ApiError(status, kind, reason, wait)
        if fault is not None and fault.kind == "disconnect":
            return False
        if fault is not None and fault.kind == "garbage":
            writer.write(whole(200, _PAGE, "text/html"))
            await writer.drain()
            return True
        answer = _stopped(_changed(answer, fault), body.get("stop_sequences") or [])
        message = Message(request, answer, self._cache.usage(request))
        message.usage = self.billed(request, message.usage)
        message.diagnostics = self._memory.diagnose(request)
        self._memory.remember(request, message.id, message.content, message.stop_reason)
        self._threads.keep(body, message.id, message.content)
        if not body.get("stream"):
            data = json.dumps(message.body(), ensure_ascii=False).encode()
            writer.write(whole(200, data, request_id=request_id))
            await writer.drain()
            return True
        speed = answer.speed or self._speed
        stream = _Stream(reader, writer, request_id)
        return await stream.send(message.pieces(1 if speed else self._delta_tokens), speed, fault)

    def counted(self, request: Request) -> int:
        """Return what `count_tokens` says; a server of a test may be wrong on purpose."""
        return max(LEAST_COUNT, request.tokens)

    def billed(self, request: Request, usage: dict[str, Any]) -> dict[str, Any]:
        """Return the `usage` that the response reports; a server of a test may ask for more."""
        return usage

    def _check_types(self, path: str, body: dict[str, Any], betas: frozenset[str]) -> None:
        if self._keep_in is not None:
            self._keep(self._keep_in, {"path": path, "body": body, "betas": sorted(betas)})
        check = type(self).check_types
        if check is None:
            return
        try:
            check(path, body, betas)
        except ValueError as error:
            raise invalid(f"{error} (not as the SDK's types have it)") from error

    def _keep(self, folder: Path, request: dict[str, Any]) -> None:
        """Write a request to a file of its own, whole or not at all."""
        file = folder / f"{os.getpid()}-{self._count:06}.json"
        folder.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.write_text(json.dumps(request), encoding="utf-8")
        new.replace(file)

    def _check_compaction(self, body: Any, betas: frozenset[str]) -> None:
        """Raise `ApiError` for a request to compact that the beta would refuse."""
        if not isinstance(body, dict) or body.get("compaction") is None:
            return
        if not self._compaction or COMPACTION_BETA not in betas:
            raise invalid("compaction: Extra inputs are not permitted")
        config = body["compaction"]
        if not isinstance(config, dict) or config.get("type") != "summarize":
            raise invalid("compaction.type: Input should be 'summarize'")

    def _model(self, name: str) -> dict[str, Any]:
        model = self._catalog.find(unquote(name))
        if not knows(self._catalog, unquote(name)):
            raise ApiError(404, "not_found_error", f"model: {name}")
        yes, no, compacts = {"supported": True}, {"supported": False}, {"supported": self._compaction}
        levels = ("low", "medium", "high", "xhigh", "max")
        thinks = {"adaptive": yes, "disabled": yes, "enabled": yes, "between_tools": no}
        return {
            "type": "model",
            "id": model.id,
            "display_name": model.name,
            "created_at": "1970-01-01T00:00:00Z",
            "lifecycle": "active",
            "deprecated_at": None,
            "retires_at": None,
            "line": None,
            "allowed_fallback_models": [],
            "max_input_tokens": model.context_window,
            "max_tokens": model.max_output,
            "capabilities": {
                "batch": no,
                "citations": no,
                "code_execution": no,
                "compaction": {**compacts, "summarize": compacts},
                "context_management": no,
                "effort": {**yes, **dict.fromkeys(levels, yes)},
                "image_input": {"supported": model.images},
                "pdf_input": {"supported": model.documents},
                "server_tools": {**yes, "web_search": yes, "code_execution": no},
                "structured_outputs": yes,
                "thinking": {"supported": model.thinking, "types": thinks},
            },
        }

    def _next_fault(self) -> Fault | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        if fault.times > 1:
            self._faults[0] = replace(fault, times=fault.times - 1)
        else:
            del self._faults[0]
        return fault


def _changed(answer: Answer, fault: Fault | None) -> Answer:
    """Return the answer as a fault changes it that is none of the wire's."""
    match fault.kind if fault else None:
        case "refusal":
            return Answer(stop="refusal", stop_detail="The offline model was told to decline.")
        case "truncation":
            return replace(answer, text=answer.text[: len(answer.text) // 2] or "…", calls=(), stop="max_tokens")
        case "slow":
            assert fault is not None
            return replace(answer, speed=fault.speed)
    return answer


def _stopped(answer: Answer, sequences: list[str]) -> Answer:
    """Return the answer up to the first of the stop sequences in its text."""
    found = [(answer.text.find(one), one) for one in sequences if one in answer.text]
    if not found:
        return answer
    at, sequence = min(found)
    return replace(answer, text=answer.text[:at], calls=(), stop="stop_sequence", stop_detail=sequence)


class _Stream:
    """Sends the events of one answer, with what a fault does to them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request_id: str) -> None:
        self._reader = reader
        self._writer = writer
        self._request_id = request_id
        self._left: int | None = None

    async def send(self, pieces: Iterable[Piece], speed: float | None, fault: Fault | None) -> bool:
        """Send all events, at `speed` tokens a second; return whether the connection goes on."""
        headers = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            "request-id": self._request_id,
        }
        self._writer.write(head(200, headers))
        kind = fault.kind if fault else ""
        self._left = fault.after_bytes if fault and kind == "cut" else None
        stop_at = fault.after_events if fault and kind in _STREAM_FAULTS and self._left is None else None
        now: Callable[[], float] = asyncio.get_running_loop().time
        began, tokens, buffer = now(), 0, bytearray()
        for number, piece in enumerate(pieces):
            if number == stop_at and fault is not None:
                await self._write(buffer)
                return await self._strike(fault)
            tokens += piece.tokens
            buffer += piece.encode()
            if speed and piece.tokens:
                await self._write(buffer)
                buffer.clear()
                # Against the beginning, so that late wake-ups do not add up.
                await asyncio.sleep(max(0.0, began + tokens / speed - now()))
            elif len(buffer) >= BURST_BYTES:
                await self._write(buffer)
                buffer.clear()
            if self._left == 0:
                return False
        if not await self._write(buffer):
            return False
        self._writer.write(chunk(b""))
        await self._writer.drain()
        return True

    async def _write(self, data: bytearray) -> bool:
        """Send `data`; return False where a cut within it ends the connection."""
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        if data:
            self._writer.write(chunk(bytes(data)))
            await self._writer.drain()
        return self._left != 0

    async def _strike(self, fault: Fault) -> bool:
        if fault.kind == "malformed":
            self._writer.write(chunk(b'event: content_block_delta\ndata: {"type": "content_\n\n'))
        elif fault.kind == "error_event":
            error = {"type": fault.error_type, "message": "The offline model was told to fail here."}
            body = json.dumps({"type": "error", "error": error, "request_id": self._request_id})
            self._writer.write(chunk(f"event: error\ndata: {body}\n\n".encode()))
        elif fault.kind == "stall":
            await self._writer.drain()
            await self._reader.read(1)  # until the client goes away, or the server stops
        await self._writer.drain()
        return False


_STREAM_FAULTS = {"cut", "malformed", "error_event", "stall"}


def _error(error: ApiError, request_id: str) -> bytes:
    details = {"details": {"error_code": error.code}} if error.code else {}
    body = {
        "type": "error",
        "error": {"type": error.kind, "message": error.message, **details},
        "request_id": request_id,
    }
    headers = {name.replace("-", "_"): value for name, value in error.headers.items()}
    return whole(error.status, json.dumps(body).encode(), request_id=request_id, **headers)
