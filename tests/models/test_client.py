"""The client against the offline model, through the real SDK: answers, faults, cancellation."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.models.conftest import Talk, assistant, body_of, results
from tests.waiting import MAX_WAIT_SECONDS, until
from tui_agent.models import (
    INVALID_JSON,
    AuthenticationError,
    BillingError,
    ConnectionFailedError,
    ContextTooLongError,
    CutStreamError,
    InvalidRequestError,
    MalformedResponseError,
    ModelClient,
    ModelError,
    ModelNotFoundError,
    ModelRequest,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    StalledError,
    TimedOutError,
)
from tui_agent.models import client as client_module
from tui_agent.models.client import _transport_error, credible_count
from tui_agent.models.errors import error_type, with_hint
from tui_agent.models.offline import Fault, parse_scenario
from tui_agent.models.offline.answer import STOP_REASONS
from tui_agent.runtime import Runtime


async def test_answer_is_whole_and_its_deltas_add_up(talk: Talk) -> None:
    response = await talk.send("say 500")
    assert response.stop_reason == "end_turn"
    assert len(response.content[0]["text"]) == 2000
    assert talk.text == response.content[0]["text"]
    assert response.usage.output_tokens >= 500


async def test_first_delta_at_once_and_then_batches(serve, connect) -> None:
    talk = connect(serve().base_url)
    await talk.send("say 200 at 2000")
    assert len(talk.batches) > 1
    assert len(talk.batches) <= 6  # 0.1 s at one batch in 50 ms, and the first and last
    assert all(len({delta.block for delta in batch}) == len(batch) for batch in talk.batches)


async def test_batches_follow_the_clock(serve, connect) -> None:
    url = serve().base_url
    ticks = iter(range(100_000))
    runtime = Runtime(monotonic=lambda: next(ticks) * 1.0)
    client = ModelClient(base_url=url, api_key="offline", runtime=runtime, stall_seconds=1e9)
    talk = Talk(client)
    await talk.send("say 20 at 1000")
    assert len(talk.batches) > 10  # each look at this clock is a second later
    await client.close()


async def test_thinking_goes_back_verbatim(talk: Talk) -> None:
    thinking = {"thinking": {"type": "adaptive", "display": "summarized"}}
    first = await talk.send("read a.py", **thinking)
    assert [block["type"] for block in first.content] == ["thinking", "text", "tool_use"]
    assert first.content[0]["signature"]
    kinds = {delta.kind for batch in talk.batches for delta in batch}
    assert kinds == {"thinking", "text", "tool_input"}
    second = await talk.send("read a.py", assistant(first), results(first, "1 x"), **thinking)
    assert second.stop_reason == "end_turn"


@pytest.mark.parametrize("stop", STOP_REASONS)
async def test_every_stop_reason(stop: str, serve, connect) -> None:
    call = '[[turn.call]]\ntool = "read"\n' if stop == "tool_use" else ""
    scenario = parse_scenario(f'[[turn]]\ntext = "so"\nstop = "{stop}"\nstop_detail = "END"\n{call}')
    response = await connect(serve(scenario).base_url).send("hi")
    assert response.stop_reason == stop
    assert response.stop_detail == ("END" if stop in {"refusal", "stop_sequence"} else "")


async def test_a_paused_turn_goes_on(serve, connect) -> None:
    scenario = parse_scenario('[[turn]]\ntext = "one"\nstop = "pause_turn"\n[[turn]]\ntext = "two"')
    talk = connect(serve(scenario).base_url)
    first = await talk.send("hi")
    second = await talk.send("hi", assistant(first))
    assert second.content[0]["text"] == "two"


async def test_invalid_tool_input_is_marked(serve, connect) -> None:
    for raw, wanted in (('{"path": ', '{"path": '), ("[1]", "[1]")):
        scenario = parse_scenario(f"[[turn]]\n[[turn.call]]\ntool = 'read'\nraw = '{raw}'")
        response = await connect(serve(scenario).base_url).send("hi")
        assert response.content[0]["input"] == {INVALID_JSON: wanted}


async def test_output_limit_cuts_the_answer(talk: Talk) -> None:
    response = await talk.send("say 100", max_tokens=10)
    assert response.stop_reason == "max_tokens"
    assert len(response.content[0]["text"]) == 40


STATUS_FAULTS = [
    ("overloaded", OverloadedError, True),
    ("rate_limit", RateLimitedError, True),
    ("server_error", ServerError, True),
    ("auth", AuthenticationError, False),
    ("permission", PermissionDeniedError, False),
    ("billing", BillingError, False),
    ("garbage", MalformedResponseError, False),
    ("disconnect", ConnectionFailedError, True),
]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "Fri, 27 Nov 2026 09:01:30 GMT", "date": "Fri, 27 Nov 2026 09:00:00 GMT"}, 90.0),
        ({"retry-after": "Fri, 27 Nov 2026 08:00:00 GMT", "date": "Fri, 27 Nov 2026 09:00:00 GMT"}, 0.0),
        ({"retry-after": "Friday, 27-Nov-26 09:00:07 GMT", "date": "Fri, 27 Nov 2026 09:00:00 GMT"}, 7.0),
        ({"retry-after": "soon", "date": "Fri, 27 Nov 2026 09:00:00 GMT"}, None),
        ({"retry-after": "Fri, 27 Nov 2026 09:01:30 GMT"}, None),
        ({"retry-after": "Fri, 32 Nov 99999 09:01:30 GMT", "date": "?"}, None),
    ],
)
async def test_a_wait_until_a_date_counts_from_the_servers_clock(headers, seconds, connect) -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{lines}\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        talk = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(RateLimitedError) as caught:
            await talk.send("hi")
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(("kind", "error", "retryable"), STATUS_FAULTS)
async def test_faults_before_the_answer(kind, error, retryable, serve, connect) -> None:
    talk = connect(serve(faults=[Fault(kind, retry_after=2.5)]).base_url)
    with pytest.raises(error) as caught:
        await talk.send("hi")
    assert type(caught.value) is error
    assert caught.value.retryable is retryable
    assert caught.value.message
    if kind in {"overloaded", "rate_limit"}:
        assert caught.value.retry_after == 2.5
        assert caught.value.request_id.startswith("req_")
    assert (await talk.send("hi")).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("invalid x-api-key", "invalid x-api-key. Set ANTHROPIC_API_KEY to a valid key."),
        ("Who are you? ", "Who are you? Set ANTHROPIC_API_KEY to a valid key."),
    ],
)
def test_what_the_server_says_and_what_to_do_are_two_sentences(message: str, shown: str) -> None:
    assert with_hint("authentication", message) == shown
    assert with_hint("overloaded", "Overloaded") == "Overloaded"


STREAM_FAULTS = [
    ("cut", CutStreamError),
    ("malformed", MalformedResponseError),
    ("error_event", OverloadedError),
    ("stall", StalledError),
]


@pytest.mark.parametrize(("kind", "error"), STREAM_FAULTS)
async def test_faults_within_the_answer_keep_what_came(kind, error, serve, connect) -> None:
    talk = connect(serve(faults=[Fault(kind, after_events=6)]).base_url, stall_seconds=0.2)
    with pytest.raises(error) as caught:
        await talk.send("say 100")
    assert caught.value.retryable
    assert caught.value.blocks_completed == 0
    assert caught.value.partial[0]["text"] == talk.text != ""
    assert caught.value.usage.estimated
    assert caught.value.usage.input_tokens > 0
    assert (await talk.send("say 10")).stop_reason == "end_turn"


async def test_no_retry_once_a_block_has_completed(serve, connect) -> None:
    # start, ping, block start, delta, block stop, block start (the call)
    talk = connect(serve(faults=[Fault("error_event", after_events=7)]).base_url)
    with pytest.raises(OverloadedError) as caught:
        await talk.send("read a")
    assert caught.value.blocks_completed == 1
    assert not caught.value.retryable
    assert caught.value.partial[1]["name"] == "read"


async def test_a_thinking_block_alone_can_be_retried(serve, connect) -> None:
    scenario = parse_scenario('[[turn]]\nthinking = "hm"\ntext = "yes"')
    talk = connect(serve(scenario, faults=[Fault("cut", after_events=6)]).base_url)
    with pytest.raises(CutStreamError) as caught:
        await talk.send("hi", thinking={"type": "adaptive"})
    assert caught.value.blocks_completed == 1
    assert caught.value.retryable


async def test_cut_anywhere_in_the_bytes_is_a_typed_error(serve, connect) -> None:
    server = serve()
    talk = connect(server.base_url)
    size = 0
    for size in range(0, 1600, 53):
        server.inject(Fault("cut", after_bytes=size))
        try:
            response = await talk.send("read a then say 30")
        except ModelError as error:
            assert type(error) in {CutStreamError, MalformedResponseError, ConnectionFailedError}
        else:
            assert response.stop_reason == "tool_use"


async def test_slow_refusal_and_truncation(serve, connect) -> None:
    server = serve(faults=[Fault("refusal"), Fault("truncation"), Fault("slow", speed=5000)])
    talk = connect(server.base_url)
    refused = await talk.send("say 50")
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_detail
    assert (await talk.send("say 50")).stop_reason == "max_tokens"
    assert (await talk.send("say 50")).stop_reason == "end_turn"


async def test_cancelling_closes_the_connection_and_keeps_what_came(serve, connect) -> None:
    talk = connect(serve(faults=[Fault("stall", after_events=6)]).base_url)
    sending = asyncio.ensure_future(talk.send("say 100"))
    await until(lambda: talk.batches)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert talk.text
    client = talk.client._client
    assert client is not None
    assert not client._client._transport._pool.connections  # type: ignore[attr-defined]


async def test_connection_refused_and_unknown_host(connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match="refuses") as caught:
        await connect(f"http://127.0.0.1:{port}").send("hi")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "localhost:8080",
        "http://",
        "ftp://host",
        "http://[::1",
        "http://a b/",
        "http://h:99999",
        "http://h\n",
    ],
)
async def test_an_address_that_is_no_url_is_named_and_not_tried_again(url: str) -> None:
    client = ModelClient(base_url=None, api_key="k", runtime=Runtime(environment={"ANTHROPIC_BASE_URL": url}))
    with pytest.raises(ConnectionFailedError, match="ANTHROPIC_BASE_URL is ") as caught:
        await Talk(client).send("hi")
    assert not caught.value.retryable
    with pytest.raises(ConnectionFailedError, match="ANTHROPIC_BASE_URL"):
        await Talk(client).count("hi")
    assert not await client.can_compact("m")


async def test_a_server_that_does_not_say_what_it_can_is_not_waited_for(
    connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(client_module, "ASK_SECONDS", 0.05)
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    talk = connect(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        assert not await talk.client.can_compact("m")
    server.close()


async def test_tls_to_a_plain_server_is_no_retry(serve, connect) -> None:
    url = serve().base_url.replace("http:", "https:")
    with pytest.raises(ConnectionFailedError, match="TLS") as caught:
        await connect(url).send("hi")
    assert not caught.value.retryable


async def test_no_key_is_an_authentication_error(serve) -> None:
    client = ModelClient(base_url=serve().base_url, api_key=None, runtime=Runtime())
    with pytest.raises(AuthenticationError, match="ANTHROPIC_API_KEY"):
        await Talk(client).send("hi")
    with pytest.raises(AuthenticationError):
        await Talk(client).count("hi")
    await client.close()


async def test_a_proxy_in_the_environment_is_not_used_for_loopback(serve, connect, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert (await connect(serve().base_url).send("hi")).stop_reason == "end_turn"


async def test_unknown_model_and_too_long_prompt(talk: Talk) -> None:
    with pytest.raises(ModelNotFoundError):
        await talk.send("hi", model="gpt-nothing")
    with pytest.raises(InvalidRequestError) as caught:
        await talk.send("x " * 410_000, model="offline")
    assert caught.value.kind == "context_too_long"
    assert not caught.value.retryable


async def test_count_tokens_equals_usage(talk: Talk) -> None:
    counted = await talk.count("hello there")
    response = await talk.send("hello there")
    assert counted == response.usage.prompt_tokens


@pytest.fixture
async def raw() -> AsyncIterator[Callable[[bytes], Awaitable[str]]]:
    """A server that answers everything with the same bytes."""
    servers = []

    async def make(answer: bytes) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield make
    for server in servers:
        server.close()


async def test_count_tokens_of_a_server_without_it_is_none_and_remembered(raw, connect) -> None:
    url = await raw(b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\nconnection: close\r\n\r\nNot Found")
    talk = connect(url)
    assert await talk.count("hi") is None
    talk.client._client = None  # a second request would fail
    talk.client._preparing = None
    assert await talk.count("hi") is None
    assert talk.client._client is None


@pytest.mark.parametrize("said", [-1, 0, 1, 3, 10**30, True, "900", None, 1.5])
async def test_a_count_that_cannot_be_true_is_not_believed(raw, connect, said) -> None:
    answer = json.dumps({"input_tokens": said}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(answer)}\r\n\r\n".encode()
    talk = connect(await raw(head + answer))
    assert await talk.count("some words of a prompt " * 50) is None
    assert await talk.count("hi") is None


def test_how_few_tokens_bytes_allow() -> None:
    text, image = b'{"text":"' + b" " * 6400 + b'"}', b'{"data":"' + b"A" * 1_000_000 + b'"}'
    assert not credible_count(90, text)
    assert credible_count(101, text)
    assert credible_count(1500, image)
    assert not credible_count(100_000, text)


REDIRECT = "HTTP/1.1 {} Moved\r\ncontent-length: 0\r\nconnection: close\r\n{}\r\n"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://elsewhere.example/proxy/v1/messages", "Set ANTHROPIC_BASE_URL to https://elsewhere.example/proxy."),
        ("/other/v1/messages?a=b", "/other."),
        ("", "without saying where"),
    ],
)
async def test_a_redirect_is_not_followed_and_names_its_target(raw, connect, status, location, said) -> None:
    answer = REDIRECT.format(status, f"location: {location}\r\n" if location else "")
    with pytest.raises(ConnectionFailedError, match=f"HTTP {status}") as caught:
        await connect(await raw(answer.encode())).send("hi")
    assert said in caught.value.message
    assert not caught.value.retryable


async def test_a_server_that_is_busy_says_how_long(raw, connect) -> None:
    answer = b"HTTP/1.1 429 Busy\r\ncontent-length: 0\r\nretry-after: 900\r\nconnection: close\r\n\r\n"
    with pytest.raises(RateLimitedError, match=r"wait 900 s\.") as caught:
        await connect(await raw(answer)).send("hi")
    assert caught.value.retry_after == 900


def streamed(events: list[bytes], **headers: str) -> bytes:
    named = {"content-type": "text/event-stream", **{k.replace("_", "-"): v for k, v in headers.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + b"".join(events)


WHOLE = [
    b'data: {"type":"message_start","message":{"id":"m","model":"m","usage":{"input_tokens":5}}}\n\n',
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"yes"}}\n\n',
    b'data: {"type":"content_block_stop","index":0}\n\n',
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}\n\n',
    b'data: {"type":"message_stop"}\n\n',
]


@pytest.mark.parametrize("tail", [b"data: [DONE]\n\n", b"data: {broken\n\n", b"\xff\x00"])
async def test_what_comes_after_the_end_does_not_spoil_an_answer(raw, connect, tail: bytes) -> None:
    response = await connect(await raw(streamed([*WHOLE, tail]))).send("hi")
    assert response.content == [{"type": "text", "text": "yes"}]


@pytest.mark.parametrize("kind", ["Text/Event-Stream", "TEXT/EVENT-STREAM;charset=UTF-8", " text/event-stream"])
async def test_a_media_type_has_no_case(raw, connect, kind: str) -> None:
    assert (await connect(await raw(streamed(WHOLE, content_type=kind))).send("hi")).content


async def test_a_stream_may_be_compressed_or_have_a_mark_at_its_beginning(raw, connect) -> None:
    packed = gzip.compress(b"".join(WHOLE))
    assert (await connect(await raw(streamed([packed], content_encoding="gzip"))).send("hi")).content
    assert (await connect(await raw(streamed([b"\xef\xbb\xbf", *WHOLE]))).send("hi")).content


async def test_a_compressed_stream_that_is_spoiled_is_a_typed_error(raw, connect) -> None:
    packed = gzip.compress(b"".join(WHOLE))
    with pytest.raises(ModelError):
        await connect(await raw(streamed([packed[:60] + b"\x00" * 20], content_encoding="gzip"))).send("hi")


async def test_pings_alone_are_no_answer(raw, connect) -> None:
    with pytest.raises(CutStreamError):
        await connect(await raw(streamed([b'event: ping\ndata: {"type":"ping"}\n\n'] * 20))).send("hi")


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
FOREIGN = [
    (b"HTTP/1.1 400 Bad Request\r\ncontent-length: 6\r\n\r\n<html>", InvalidRequestError, False),
    (b"HTTP/1.1 503 Busy\r\nx-should-retry: false\r\ncontent-length: 0\r\n\r\n", ServerError, False),
    (b"HTTP/1.1 400 Bad\r\nx-should-retry: true\r\ncontent-length: 0\r\n\r\n", InvalidRequestError, True),
    (b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 99\r\n\r\n<html>", CutStreamError, True),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", MalformedResponseError, False),
    (STREAM + b"content-length: 99\r\n\r\nevent: ping", CutStreamError, True),
    (STREAM + b"content-length: 0\r\n\r\n", CutStreamError, True),
    (STREAM + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd", CutStreamError, True),
    (STREAM + b"content-length: 12\r\n\r\ndata: <html>", MalformedResponseError, True),
    (b"SSH-2.0-OpenSSH\r\n", ConnectionFailedError, True),
]


@pytest.mark.parametrize(("answer", "error", "retryable"), FOREIGN)
async def test_what_other_servers_say_is_typed(answer: bytes, error, retryable: bool, raw, connect) -> None:
    with pytest.raises(error) as caught:
        await connect(await raw(answer)).send("hi")
    assert type(caught.value) is error
    assert caught.value.retryable is retryable


async def test_retry_after_in_milliseconds(raw, connect) -> None:
    head = b"HTTP/1.1 429 Too Many\r\nretry-after: 9\r\nretry-after-ms: 250\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises(RateLimitedError) as caught:
        await connect(await raw(head)).send("hi")
    assert caught.value.retry_after == 0.25


def test_a_time_out_in_the_tls_handshake_is_a_time_out() -> None:
    import httpx2

    error = httpx2.ConnectTimeout("slow")
    error.__context__ = ssl.SSLWantReadError()
    assert type(_transport_error(error, cut=False)) is TimedOutError
    plain = httpx2.ConnectError("broken")
    plain.__context__ = ssl.SSLWantReadError()
    assert _transport_error(plain, cut=False).retryable


async def test_preparing_twice_and_being_cancelled(serve) -> None:
    client = ModelClient(base_url=serve().base_url, api_key="x", runtime=Runtime())
    first = asyncio.ensure_future(client.prepare())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(client.prepare(), client.prepare())
    with pytest.raises(asyncio.CancelledError):
        await first
    assert gc.isenabled()
    assert (await Talk(client).send("hi")).stop_reason == "end_turn"
    await client.close()


async def test_connections_are_used_again(serve, connect) -> None:
    server = serve()
    talk = connect(server.base_url)
    for _ in range(3):
        await talk.send("hi")
    assert len(talk.client._client._client._transport._pool.connections) == 1  # type: ignore[union-attr]


async def test_cache_diagnosis_is_read(talk: Talk) -> None:
    response = await talk.send("hi", diagnostics={"previous_message_id": "msg_nothing"})
    assert response.cache_miss_reason == "previous_message_not_found"
    again = await talk.send("hi", diagnostics={"previous_message_id": response.message_id})
    assert again.cache_miss_reason == ""
    other = await talk.send("hi", system="new", diagnostics={"previous_message_id": response.message_id})
    assert other.cache_miss_reason == "system_changed"


async def test_twenty_thousand_tokens_in_one_burst_are_cheap() -> None:
    command = [sys.executable, "-m", "tui_agent.models.offline"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        client = ModelClient(base_url=process.stdout.readline().strip(), api_key="x", runtime=Runtime())
        await client.prepare()
        talk = Talk(client)
        body = json.dumps(body_of("say 20000", max_tokens=30_000)).encode()
        begun = time.process_time()
        await client.stream(ModelRequest("claude-sonnet-5-5", body), talk.on_deltas)
        spent = time.process_time() - begun
        await client.close()
        process.terminate()
    print(f"20,000 tokens in one burst: {spent:.3f} s of CPU in the client")
    assert len(talk.text) == 80_000
    assert len(talk.batches) < 100


def test_importing_the_room_is_cheap() -> None:
    code = (
        "import sys, tui_agent.models, tui_agent.models.offline\n"
        "bad = {'anthropic', 'httpx2', 'textual', 'http.server', 'tui_agent.ui'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


TOO_LONG = [
    (400, "exceed_context_size_error", "the request exceeds the available context size, try increasing it"),
    (400, None, "request (9012 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    (
        400,
        "BadRequestError",
        "This model's maximum context length is 4096 tokens. However, you asked for 9000",
    ),
    (
        400,
        "invalid_request_error",
        "The decoder prompt (length 9000) is longer than the maximum model length of 9.",
    ),
    (400, None, "litellm.ContextWindowExceededError: OpenAIException - too long"),
    (500, "api_error", "input length exceeds maximum context length"),
    (400, "invalid_request_error", "Input is too long for requested model."),
    (400, None, "ValidationException: The model returned: Too many input tokens. Max input tokens: 8192"),
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"),
    (400, None, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    (400, None, "Requested tokens (9000) exceed context window of 4096"),
    (400, "context_length_exceeded", "no"),
    (413, "request_too_large", "Request exceeds the maximum size"),
]


@pytest.mark.parametrize(("status", "kind", "message"), TOO_LONG)
async def test_a_prompt_that_is_too_long_is_known_in_any_servers_words(status, kind, message, raw, connect) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
    head = f"HTTP/1.1 {status} No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with pytest.raises(ContextTooLongError) as caught:
        await connect(await raw(head + body)).send("hi")
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("kind", "message", "wanted"),
    [
        ("invalid_request_error", "max_tokens: 200000 > 128000, which is the maximum allowed", "invalid_request"),
        ("invalid_request_error", "messages.0.content.0.text: the maximum is 5", "invalid_request"),
        ("rate_limit_error", "You exceed the limit of input tokens per minute", "rate_limited"),
        ("authentication_error", "prompt is too long", "authentication"),
        ("api_error", "Internal server error", "api_error"),
    ],
)
def test_other_errors_are_no_prompt_that_is_too_long(kind: str, message: str, wanted: str) -> None:
    assert error_type(kind, 400, message).kind == wanted
