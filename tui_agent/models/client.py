"""The one model client: the `anthropic` SDK for the wire, our own decoding for the stream."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import quote, urljoin, urlsplit

from tui_agent.config.settings import http_url
from tui_agent.events import Usage
from tui_agent.models.capabilities import Capabilities, Feature, ModelFacts, described_facts, named_feature
from tui_agent.models.catalog import Model
from tui_agent.models.errors import (
    HINTS,
    AuthenticationError,
    ConnectionFailedError,
    ContextTooLongError,
    CutStreamError,
    InvalidRequestError,
    MalformedResponseError,
    ModelError,
    ModelNotFoundError,
    StalledError,
    TimedOutError,
    error_type,
    sentence,
    with_hint,
)
from tui_agent.models.fields import COMPACTION_BETA, Head, RequestOptions, features_of, make_head, without
from tui_agent.models.sdk import import_sdk
from tui_agent.models.stream import Delta, EventDecoder, Response, ResponseBuilder
from tui_agent.runtime import Runtime
from tui_agent.text import well_formed

if TYPE_CHECKING:
    import anthropic
    from anthropic._types import RequestOptions as SdkOptions

FLUSH_SECONDS = 0.05
"""Deltas are handed on at most this often: twenty times a second is as often as a screen repaints."""

STALL_SECONDS = 120.0
"""Silence after which a response is given up; the API sends pings far more often."""

FIRST_BYTE_SECONDS = 600.0
"""The SDK's own limit for the beginning of a response."""

CONNECT_SECONDS = 10.0

ASK_SECONDS = 10.0
"""How long to wait for the server to say what it can; what it does not say in time it cannot."""

ASK_AGAIN_SECONDS = 60.0
"""After a question about a model that got no answer, the wait before it is asked again."""

MAX_BYTES_PER_TOKEN = 64
"""More bytes than a token of any text has on average: runs of spaces and of one sign are the longest tokens."""

MAX_ADDED_TOKENS = 20_000
"""Tokens that a server may add to a prompt by itself: a template, the descriptions of its own tools."""

END_SECONDS = 0.2
"""After the last event, the wait for the end of the body: a body read to its end leaves a connection to reuse."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request to `model`. `body` is the complete JSON body, `"stream": true` included.

    It is sent as it is, but for what the server is found to refuse. `betas` are the features beyond the API's stable
    part that it uses.
    """

    model: str
    body: bytes
    betas: tuple[str, ...] = ()


class ModelClient:
    """Talks to a server of the Messages API.

    `base_url` and `api_key` of None are found by the SDK as it documents (environment, profile).
    `stall_seconds` is the silence after which a stream is given up. What the server can do is in `capabilities`, and
    kept between starts in `capabilities_file` where one is given. Importing and making it is cheap;
    `prepare` does the heavy import.
    """

    def __init__(
        self,
        *,
        base_url: str | None,
        api_key: str | None,
        runtime: Runtime,
        stall_seconds: float = STALL_SECONDS,
        capabilities_file: Path | None = None,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._runtime = runtime
        self._stall_seconds = stall_seconds
        self._client: anthropic.AsyncAnthropic | None = None
        self._preparing: asyncio.Future[anthropic.AsyncAnthropic] | None = None
        self.capabilities = Capabilities(self._address, now=runtime.now, file=capabilities_file)
        self._accepted: set[str] = set()
        self._asking: dict[str, asyncio.Future[ModelFacts | None]] = {}
        self._failed_at: dict[str, float] = {}

    def head(self, model: Model, options: RequestOptions, blocks: Collection[str] = ()) -> Head:
        """Return the fields and beta headers of a request for `model`, as far as the server takes them.

        `blocks` are the types of content blocks in its messages that need a beta header.
        """
        return make_head(model, options, self.capabilities, blocks)

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
                await asyncio.to_thread(self.capabilities.load)
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
        import_sdk()
        import anthropic

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
            response = await self._post_fitting(client, request)
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

    async def _post_fitting(self, client: anthropic.AsyncAnthropic, request: ModelRequest) -> Any:
        """Send the request; where the server refuses a field of it, again without that, and remember it."""
        return await self._fitting(request, lambda fitted: self._post(client, fitted))

    async def _fitting(self, request: ModelRequest, send: Callable[[ModelRequest], Awaitable[Any]]) -> Any:
        """Send a request with what the server takes of it, found out by asking again without what it refuses.

        A server that has never taken a request of this model, and names nothing that the request has, may mean any
        optional field: it is asked once without all of them, and where that does not help nothing is concluded.
        """
        request = self._fitted(request)
        unnamed: tuple[InvalidRequestError, list[Feature]] | None = None
        while True:
            try:
                answer = await send(request)
            except InvalidRequestError as error:
                if unnamed is not None:
                    raise unnamed[0] from error
                feature, present = self._named(request, error)
                if feature is not None:
                    self.capabilities.refuse([feature], request.model, error.message)
                    dropped = [feature]
                elif present and not self.capabilities.is_api and request.model not in self._accepted:
                    dropped = sorted(present)
                    unnamed = error, dropped
                else:
                    raise
                request = ModelRequest(request.model, *without(request.body, dropped))
                continue
            if unnamed is not None:
                self.capabilities.refuse(unnamed[1], request.model, unnamed[0].message)
            self._accepted.add(request.model)
            return answer

    def _named(self, request: ModelRequest, error: InvalidRequestError) -> tuple[Feature | None, set[Feature]]:
        """Return the feature of the request that a refusal names, if any, and those that could be left out."""
        if isinstance(error, ContextTooLongError):
            return None, set()
        try:
            present = features_of(json.loads(request.body))
        except ValueError:
            return None, set()  # what is no JSON has no fields
        if "compaction" in present:
            if named_feature(error.message, ["compaction_block"]):
                self.capabilities.refuse(["compaction"], request.model, error.message)
            return None, set()  # without it, it would be another request
        return named_feature(error.message, present), present

    def _fitted(self, request: ModelRequest) -> ModelRequest:
        """Return the request without what the server cannot do in the part that every request repeats.

        A session may have begun with another server, or with another model of this one.
        """
        can = self.capabilities
        known = [feature for feature in _LASTING if not can.offers(feature, request.model)]
        if not any(_MARK_OF[feature] in request.body for feature in known):
            return request
        present = features_of(json.loads(request.body))
        known = [feature for feature in known if feature in present]
        return ModelRequest(request.model, *without(request.body, known)) if known else request

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

    async def count_tokens(self, model: str, body: bytes, betas: Sequence[str] = ()) -> int | None:
        """Return the prompt's tokens as the server counts them; None when it has no such endpoint.

        `body` has the model, system, tools and messages of a request for `model`, as JSON; `betas` are those of
        that request. A count that cannot be true is not believed, nor any other of that server. Raises `ModelError`.
        """
        can = self.capabilities
        if not can.offers("count_tokens"):
            return None
        client = await self._ready()
        request = ModelRequest(model, body, tuple(betas))
        try:
            answer = await self._fitting(request, lambda fitted: self._ask_count(client, fitted))
        except _NoEndpointError as error:
            can.refuse(["count_tokens"], "", str(error))
            return None
        counted = answer.get("input_tokens") if isinstance(answer, dict) else None
        if not credible_count(counted, body):
            can.refuse(["count_tokens"], "", f"it counted {str(counted)[:50]} for {len(body):,} bytes")
            return None
        return counted

    @staticmethod
    async def _ask_count(client: anthropic.AsyncAnthropic, request: ModelRequest) -> Any:
        import anthropic

        try:
            return await client.post(
                "/v1/messages/count_tokens",
                content=request.body,
                cast_to=object,
                options=_options(request.betas),
            )
        except TypeError as error:
            raise AuthenticationError(f"No API key. {HINTS['authentication']}") from error
        except anthropic.APIStatusError as error:
            typed = _typed(error)
            missing = isinstance(typed, ModelNotFoundError) and error.type is None
            if missing or error.status_code in {405, 501}:
                raise _NoEndpointError(f"HTTP {error.status_code}") from error
            raise typed from error
        except anthropic.AnthropicError as error:
            raise _typed(error) from error

    async def can_compact(self, model: str) -> bool:
        """Return whether the server says that it compacts on demand for this model."""
        await self.ask_facts(model)
        return self.capabilities.offers("compaction", model)

    async def ask_facts(self, model: str) -> ModelFacts | None:
        """Return what the server says of a model; it is asked once, and again when a few days have passed.

        None where it has no answer, cannot be reached or does not answer within `ASK_SECONDS`.
        """
        try:
            client = await self._ready()
        except ModelError:
            return None
        known = self.capabilities.facts(model)
        if known is not None:
            return known
        now = self._runtime.monotonic()
        asking = self._asking.get(model)
        if asking is None:
            if now - self._failed_at.get(model, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
                return None
            asking = self._asking[model] = asyncio.ensure_future(self._ask_model(client, model))
        try:
            return await asyncio.shield(asking)
        finally:
            if asking.done():
                self._asking.pop(model, None)

    async def _ask_model(self, client: anthropic.AsyncAnthropic, model: str) -> ModelFacts | None:
        """Ask for a model by its name, then in the list of all: other servers have only that."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                entry = await _get(client, f"/v1/models/{quote(model, safe='')}")
                if not _says_limits(entry):
                    entry = _entry_of(await _get(client, "/v1/models"), model) or entry
                if entry is not None and not self.capabilities.is_api and not _says_limits(entry):
                    entry = {**entry, **await self._ask_aside(client, model)}
        except (TypeError, TimeoutError, ModelError):
            self._failed_at[model] = self._runtime.monotonic()
            return None
        facts = described_facts(model, entry or {}, self._runtime.now())
        self.capabilities.learn(facts)
        return facts

    async def _ask_aside(self, client: anthropic.AsyncAnthropic, model: str) -> dict[str, Any]:
        """Return what a server that is not the API says of its limits elsewhere: llama.cpp, LiteLLM."""
        props = await _get(client, "/props")
        settings = props.get("default_generation_settings") if props else None
        if isinstance(settings, dict) and isinstance(settings.get("n_ctx"), int):
            return {"n_ctx": settings["n_ctx"]}
        listed = await _get(client, "/v1/model/info")
        for entry in (listed or {}).get("data") or []:
            if isinstance(entry, dict) and entry.get("model_name") == model:
                return {"model_info": entry.get("model_info")}
        return {}

    async def close(self) -> None:
        """Close all connections, and keep what was found out of the server."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.to_thread(self.capabilities.save)
        if self._client is not None:
            await self._client.close()
            self._client = None
            self._preparing = None


_MARK_OF: dict[Feature, bytes] = {
    "strict_tools": b'"strict":',
    "compaction_block": b'"compaction"',
    "web_search": b'"web_search"',
    "web_fetch": b'"web_fetch"',
}
"""What a request's body holds if it uses a feature of its lasting part: looked for before the body is parsed."""

_LASTING = tuple(_MARK_OF)


class _NoEndpointError(Exception):
    """The server has no such endpoint."""


async def _get(client: anthropic.AsyncAnthropic, path: str) -> dict[str, Any] | None:
    """Return the JSON object at a path; None where there is none. Raises `ModelError` for want of an answer."""
    import anthropic

    try:
        answer: Any = await client.get(path, cast_to=object, options=_options((COMPACTION_BETA,)))
    except anthropic.APIStatusError as error:
        typed = _typed(error)
        if typed.may_pass or isinstance(typed, AuthenticationError):
            raise typed from error  # it may say more another time
        return None
    except anthropic.AnthropicError as error:
        raise _typed(error) from error
    return answer if isinstance(answer, dict) else None


def _says_limits(entry: dict[str, Any] | None) -> bool:
    facts = described_facts("", entry or {}, 0.0)
    return facts.described or (facts.context_window is not None and "n_ctx" not in str(entry))


def _entry_of(listing: dict[str, Any] | None, model: str) -> dict[str, Any] | None:
    """Return the entry of a model in a server's list; of a server with one model that one, whatever it is called."""
    data = (listing or {}).get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    named = [entry for entry in entries if model in {entry.get("id"), entry.get("name")}]
    return named[0] if named else entries[0] if len(entries) == 1 else None


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


def _options(betas: Sequence[str]) -> SdkOptions:
    """Return the SDK's options for a request: no redirect is followed, as the key would go along to another host."""
    options: SdkOptions = {"follow_redirects": False}
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
    """Return the seconds that the server asks to wait, from `retry-after-ms` or `retry-after`.

    A date counts from the server's own `date`, as its clock may not be this machine's; without that it says nothing.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue  # absent, or a date
        if 0 <= seconds < float("inf"):
            return seconds
    until, now = _http_date(headers.get("retry-after")), _http_date(headers.get("date"))
    return None if until is None or now is None else max(0.0, until - now)


def _http_date(text: str | None) -> float | None:
    """Return the seconds since the epoch of a date in a header; None where there is none."""
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(text) if text else None
        if when is None:
            return None
        return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
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
