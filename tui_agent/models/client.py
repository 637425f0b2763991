"""The one model client: the `anthropic` SDK for the wire, our own decoding for the stream."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import quote, urljoin, urlsplit

from tui_agent.config.settings import http_url
from tui_agent.events import JsonObject, Usage
from tui_agent.models.errors import (
    HINTS,
    AuthenticationError,
    ConnectionFailedError,
    CutStreamError,
    MalformedResponseError,
    ModelError,
    ModelNotFoundError,
    StalledError,
    TimedOutError,
    error_type,
    sentence,
    with_hint,
)
from tui_agent.models.stream import Delta, EventDecoder, Response, ResponseBuilder
from tui_agent.runtime import Runtime
from tui_agent.text import well_formed

if TYPE_CHECKING:
    import anthropic
    from anthropic._types import RequestOptions

FLUSH_SECONDS = 0.05
"""Deltas are handed on at most this often: twenty times a second is as often as a screen repaints."""

STALL_SECONDS = 120.0
"""Silence after which a response is given up; the API sends pings far more often."""

FIRST_BYTE_SECONDS = 600.0
"""The SDK's own limit for the beginning of a response."""

CONNECT_SECONDS = 10.0

ASK_SECONDS = 10.0
"""How long to wait for the server to say what it can; what it does not say in time it cannot."""

COMPACTION_BETA = "compact-2026-09-04"
"""The beta of the server's own compaction on demand, as the SDK names it."""

MAX_BYTES_PER_TOKEN = 64
"""More bytes than a token of any text has on average: runs of spaces and of one sign are the longest tokens."""

MAX_ADDED_TOKENS = 20_000
"""Tokens that a server may add to a prompt by itself: a template, the descriptions of its own tools."""

END_SECONDS = 0.2
"""After the last event, the wait for the end of the body: a body read to its end leaves a connection to reuse."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to `model`. `body` is the complete JSON body, `"stream": true` included; it is sent as it is.

    `betas` are the features beyond the API's stable part that it uses.
    """

    model: str
    body: bytes
    betas: tuple[str, ...] = ()


class ModelClient:
    """Talks to a server of the Messages API.

    `base_url` and `api_key` of None are found by the SDK as it documents (environment, profile).
    `stall_seconds` is the silence after which a stream is given up. Importing and making it is cheap;
    `prepare` does the heavy import.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        runtime: Runtime,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._runtime = runtime
        self._stall_seconds = stall_seconds
        self._client: anthropic.AsyncAnthropic | None = None
        self._preparing: asyncio.Future[anthropic.AsyncAnthropic] | None = None
        self._can_count = True
        self._can_compact: dict[str, bool] = {}

    @property
    def diagnoses(self) -> bool:
        """Whether a request may ask why the cache was missed: other servers than the API may refuse the field."""
        return not self._address

    @property
    def _address(self) -> str:
        """The server's address; empty for the API's own."""
        return self._base_url or self._runtime.environment.get("ANTHROPIC_BASE_URL", "")

    async def prepare(self) -> None:
        """Import the SDK in a thread and make its client; does nothing when that is done already."""
        await self._ready()

    async def _ready(self) -> anthropic.AsyncAnthropic:
        if self._client is None:
            self._check_address()
            if self._preparing is None:
                self._preparing = asyncio.ensure_future(asyncio.to_thread(self._make))
            try:
                # Shielded: whoever waits may be cancelled, the import goes on for the next.
                self._client = await asyncio.shield(self._preparing)
            except Exception:
                self._preparing = None
                raise
        return self._client

    def _check_address(self) -> None:
        if self._address:
            try:
                http_url(self._address)
            except ValueError as error:
                raise ConnectionFailedError(
                    f"ANTHROPIC_BASE_URL is {self._address!r}, but {error}.", transient=False
                ) from error

    def _make(self) -> anthropic.AsyncAnthropic:
        # A collection during the import walks all its new objects and holds up the keys of the screen.
        collecting = gc.isenabled()
        gc.disable()
        try:
            import anthropic
            import anthropic.resources.messages
        finally:
            gc.freeze()
            if collecting:
                gc.enable()
        timeout = anthropic.Timeout(FIRST_BYTE_SECONDS, connect=CONNECT_SECONDS)
        http_client = None
        if _is_loopback(self._address):
            # A proxy in the environment cannot reach this machine's own servers; the SDK's default
            # client would use it all the same.
            import httpx2

            http_client = httpx2.AsyncClient(
                trust_env=False, timeout=timeout, limits=anthropic.DEFAULT_CONNECTION_LIMITS
            )
        return anthropic.AsyncAnthropic(
            base_url=self._base_url,
            api_key=self._api_key,
            max_retries=0,
            timeout=timeout,
            http_client=http_client,
        )

    async def stream(
        self,
        request: ModelRequest,
        on_deltas: Callable[[list[Delta]], Awaitable[None]],
        on_cut: Callable[[Usage], None] | None = None,
    ) -> Response:
        """Send `request` and return the whole response; meanwhile hand its deltas to `on_deltas`.

        The first delta is handed on at once, then batches, one delta a block, at most every 50 ms. All that
        came is handed on before this returns or raises. Cancelling it closes the connection; `on_cut` is then
        told what the response had cost by then, nothing if the server had not said yet.
        Raises `ModelError` of the fitting type, with what had come.
        """
        client = await self._ready()
        builder = ResponseBuilder()
        batch = _Batch(on_deltas, self._runtime.monotonic)
        request_id = ""
        try:
            response = await self._post(client, request)
            request_id = response.headers.get("request-id", "")
            try:
                await self._read(response, builder, batch)
            finally:
                # Shielded: a second cancellation must not leave the connection open.
                await asyncio.shield(response.aclose())
        except asyncio.CancelledError:
            if on_cut is not None:
                on_cut(builder.partial_usage())
            await asyncio.shield(batch.flush())
            raise
        except ModelError as error:
            await batch.flush()
            raise builder.give(error, request_id) from error.__cause__
        await batch.flush()
        return builder.response()

    async def _post(self, client: anthropic.AsyncAnthropic, request: ModelRequest) -> Any:
        import anthropic

        try:
            stream = await client.post(
                "/v1/messages",
                content=request.body,
                cast_to=object,
                options=_options(request.betas),
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
        except TypeError as error:
            # The SDK's own check, before anything is sent: no credentials were found.
            raise AuthenticationError(f"No API key. {HINTS['authentication']}") from error
        except anthropic.AnthropicError as error:
            raise _typed(error) from error
        response = stream.response
        kind = response.headers.get("content-type", "")
        if not kind.strip().lower().startswith("text/event-stream"):
            try:
                text = (await response.aread())[:200].decode("utf-8", "replace")
            except _transport_errors() as error:
                raise _transport_error(error, cut=True) from error
            raise MalformedResponseError(
                f"The server answered with {kind or 'no content type'} and not with a stream: {text!r}. "
                "Is ANTHROPIC_BASE_URL a server of the Messages API?",
                transient=False,
            )
        return response

    async def _read(self, response: Any, builder: ResponseBuilder, batch: _Batch) -> None:
        decoder = EventDecoder()
        chunks: AsyncIterator[bytes] = response.aiter_bytes()
        reading: asyncio.Future[bytes] | None = None
        silent_since = self._runtime.monotonic()
        try:
            while True:
                reading = reading or asyncio.ensure_future(anext(chunks))
                waited = self._runtime.monotonic() - silent_since
                limit = END_SECONDS if builder.finished else self._stall_seconds
                await asyncio.wait({reading}, timeout=batch.due_in(max(0.0, limit - waited)))
                if not reading.done():
                    if builder.finished:
                        return
                    if self._runtime.monotonic() - silent_since >= self._stall_seconds:
                        raise StalledError(f"Nothing came from the server for {self._stall_seconds:g} s.")
                    await batch.flush()
                    continue
                silent_since = self._runtime.monotonic()
                try:
                    events = decoder.feed(reading.result())
                except StopAsyncIteration:
                    events = decoder.finish()
                    self._take(events, builder, batch)
                    if not builder.finished:
                        raise CutStreamError("The response ended before its last event.") from None
                    return
                reading = None
                self._take(events, builder, batch)
                await batch.flush_if_due()
        except _transport_errors() as error:
            if not builder.finished:  # how a connection ends after the last event is of no account
                raise _transport_error(error, cut=True) from error
        finally:
            if reading is not None and not reading.done():
                reading.cancel()
                await asyncio.wait({reading})

    @staticmethod
    def _take(events: list[tuple[str, bytes]], builder: ResponseBuilder, batch: _Batch) -> None:
        for name, data in events:
            delta = builder.add(name, data)
            if delta is not None:
                batch.add(delta)

    async def count_tokens(self, body: JsonObject | bytes, *, betas: Sequence[str] = ()) -> int | None:
        """Return the prompt's tokens as the server counts them; None when it has no such endpoint.

        `body` has the model, system, tools and messages of a request, as JSON if it is bytes; `betas` are those of
        that request. A count that cannot be true is not believed, nor any other of that server. Raises `ModelError`.
        """
        if not self._can_count:
            return None
        client = await self._ready()
        import anthropic

        try:
            answer: Any = await client.post(
                "/v1/messages/count_tokens",
                content=body if isinstance(body, bytes) else json.dumps(body).encode(),
                cast_to=object,
                options=_options(betas),
            )
        except TypeError as error:
            raise AuthenticationError(f"No API key. {HINTS['authentication']}") from error
        except anthropic.APIStatusError as error:
            typed = _typed(error)
            missing = isinstance(typed, ModelNotFoundError) and error.type is None
            if missing or error.status_code in {405, 501}:
                self._can_count = False
                return None
            raise typed from error
        except anthropic.AnthropicError as error:
            raise _typed(error) from error
        counted = answer.get("input_tokens") if isinstance(answer, dict) else None
        if not credible_count(counted, body if isinstance(body, bytes) else json.dumps(body).encode()):
            self._can_count = False
            return None
        return int(counted)

    async def can_compact(self, model: str) -> bool:
        """Return whether the server says that it compacts on demand for this model; asked once a model.

        A server that does not know the question, cannot be reached or does not answer in `ASK_SECONDS`, does not.
        """
        if model not in self._can_compact:
            import anthropic

            try:
                client = await self._ready()
                async with asyncio.timeout(ASK_SECONDS):
                    answer: Any = await client.get(
                        f"/v1/models/{quote(model, safe='')}",
                        cast_to=object,
                        options=_options((COMPACTION_BETA,)),
                    )
            except (TypeError, TimeoutError, ModelError, anthropic.AnthropicError):
                return False
            found = answer.get("capabilities") if isinstance(answer, dict) else None
            found = found.get("compaction") if isinstance(found, dict) else None
            summarize = found.get("summarize") if isinstance(found, dict) else None
            self._can_compact[model] = isinstance(summarize, dict) and summarize.get("supported") is True
        return self._can_compact[model]

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None
            self._preparing = None


class _Batch:
    """Deltas that wait to be handed on, one for each block."""

    def __init__(self, on_deltas: Callable[[list[Delta]], Awaitable[None]], monotonic: Callable[[], float]) -> None:
        self._on_deltas = on_deltas
        self._monotonic = monotonic
        self._waiting: dict[int, tuple[Delta, list[str]]] = {}
        self._last: float | None = None

    def add(self, delta: Delta) -> None:
        self._waiting.setdefault(delta.block, (delta, []))[1].append(delta.text)

    def due_in(self, limit: float) -> float:
        """Return the seconds until there is something to do, at most `limit`."""
        if not self._waiting or self._last is None:
            return limit
        return min(limit, max(0.0, self._last + FLUSH_SECONDS - self._monotonic()))

    async def flush_if_due(self) -> None:
        if self._last is None or self._monotonic() - self._last >= FLUSH_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        self._last = self._monotonic()
        await self._on_deltas(
            [Delta(delta.block, delta.kind, "".join(texts), delta.tool) for delta, texts in waiting.values()]
        )


def credible_count(counted: object, body: bytes) -> TypeGuard[int]:
    """Say whether `counted` can be the tokens of a request with that body: a whole number within what bytes allow.

    No tokenizer takes more than `MAX_BYTES_PER_TOKEN` bytes of text for one token on average, nor fewer than one;
    a server may add a prompt of its own. Of images and documents the bytes say nothing.
    """
    if isinstance(counted, bool) or not isinstance(counted, int) or counted < 1:
        return False
    media = sum(map(len, _MEDIA.findall(body)))
    least = (len(body) - media) // MAX_BYTES_PER_TOKEN
    return least <= counted and (media > 0 or counted <= len(body) + MAX_ADDED_TOKENS)


_MEDIA = re.compile(rb'"[A-Za-z0-9+/=]{200,}"')
"""The data of an image or a document, in base64."""


def _options(betas: Sequence[str]) -> RequestOptions:
    """Return the SDK's options for a request: no redirect is followed, as the key would go along to another host."""
    options: RequestOptions = {"follow_redirects": False}
    if betas:
        options["headers"] = {"anthropic-beta": ",".join(betas)}
    return options


def _typed(error: anthropic.AnthropicError) -> ModelError:
    """Return our error for one of the SDK's."""
    import anthropic

    if isinstance(error, anthropic.APIStatusError):
        if error.status_code in _REDIRECTS:
            return _redirected(error)
        message = well_formed(error.api_message or _plain(error))
        made = error_type(error.type, error.status_code, message)
        wish = error.response.headers.get("x-should-retry")
        wait = _retry_after(error.response.headers)
        if wait is not None and made.transient:
            message = f"{sentence(message)} The server asks to wait {wait:,.0f} s."
        return made(
            with_hint(made.kind, message),
            retry_after=wait,
            request_id=error.request_id or "",
            transient=None if wish not in {"true", "false"} else wish == "true",
        )
    if isinstance(error, anthropic.APIConnectionError):
        return _transport_error(error, cut=False)
    return MalformedResponseError(str(error))


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def _redirected(error: anthropic.APIStatusError) -> ModelError:
    """Return the error for a server that says to ask elsewhere: it names the address to set."""
    asked = str(error.response.url)
    target = urljoin(asked, error.response.headers.get("location", ""))
    path = urlsplit(asked).path
    place = path[path.find("/v1/") :] if "/v1/" in path else path
    address = target.partition("?")[0].removesuffix(place).removesuffix("/") if target != asked else ""
    hint = f"Set ANTHROPIC_BASE_URL to {address}." if address else "Check ANTHROPIC_BASE_URL."
    message = (
        f"The server redirects (HTTP {error.status_code}) to {target}. {hint}"
        if address
        else (f"The server redirects (HTTP {error.status_code}) without saying where to. {hint}")
    )
    return ConnectionFailedError(well_formed(message), transient=False)


def _plain(error: anthropic.APIStatusError) -> str:
    body = error.body if isinstance(error.body, str) else error.message
    return f"HTTP {error.status_code}: {body[:200]}"


def _retry_after(headers: Any) -> float | None:
    """Return the seconds that the server asks to wait, from `retry-after-ms` or `retry-after`."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue  # absent, or an HTTP date
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _transport_errors() -> tuple[type[Exception], ...]:
    import httpx2

    return (httpx2.TransportError, httpx2.StreamError, httpx2.DecodingError)


def _transport_error(error: BaseException, *, cut: bool) -> ModelError:
    """Return the typed error for a failure below HTTP; `cut` says that the response had begun."""
    import anthropic
    import httpx2

    causes = list(_chain(error))
    if any(isinstance(cause, (httpx2.TimeoutException, anthropic.APITimeoutError)) for cause in causes):
        return TimedOutError("The server did not answer in time.")
    if cut:
        return CutStreamError(f"The connection broke within the response: {_last_words(causes)}")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectionFailedError(
                f"The server's certificate is not trusted: {cause.verify_message}.", transient=False
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, _SSL_WAITS):
            return ConnectionFailedError(f"TLS failed: {cause.reason or cause}.", transient=False)
        if isinstance(cause, socket.gaierror):
            return ConnectionFailedError(f"No such host: {cause.strerror}. Check ANTHROPIC_BASE_URL.")
        if isinstance(cause, ConnectionRefusedError):
            return ConnectionFailedError("The server refuses the connection. Is it running?")
    return ConnectionFailedError(f"No connection to the server: {_last_words(causes)}")


_SSL_WAITS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""No errors: the handshake's way to wait, left in the context of what happened meanwhile."""


def _last_words(causes: list[BaseException]) -> str:
    return next((str(cause) for cause in reversed(causes) if str(cause)), type(causes[0]).__name__)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        if isinstance(error, BaseExceptionGroup):
            for part in error.exceptions:
                yield from _chain(part)
        error = error.__cause__ or error.__context__


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
