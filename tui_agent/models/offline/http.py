"""As much HTTP/1.1 as a loopback server needs: read a request, write an answer, whole or in chunks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui_agent.models.offline.errors import ApiError, invalid

MAX_BODY = 32 * 1024 * 1024
"""Bytes; the API's own limit."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    529: "Overloaded",
}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises `ApiError` when it is none."""
        try:
            value = json.loads(self.body.decode())
            if b"\\ud" in self.body.lower():
                json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair is no text
            return value
        except (ValueError, RecursionError) as error:
            raise invalid("The request body is not valid JSON: " + str(error)[:200]) from error


async def read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    """Return the next request of the connection, None when there is none.

    Raises `ApiError` for what is no request, after which the connection cannot go on.
    """
    try:
        first_byte = await reader.readexactly(1)
        if not first_byte.isalpha():  # a TLS handshake, most likely, which would wait for an answer
            raise invalid("This is not an HTTP request")
        head = first_byte + await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except asyncio.LimitOverrunError as error:
        raise ApiError(400, "invalid_request_error", "The request's headers are too long") from error
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3:
        raise invalid("This is not an HTTP request")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if not length.isdigit() or "transfer-encoding" in headers:
        raise invalid("A body needs a content-length")
    if int(length) > MAX_BODY:
        raise ApiError(413, "request_too_large", "Request exceeds the maximum allowed number of bytes.")
    try:
        body = await reader.readexactly(int(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return HttpRequest(parts[0], parts[1].partition("?")[0], headers, body)


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Return status line and headers, blank line included."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def whole(status: int, body: bytes, kind: str = "application/json", **headers: str) -> bytes:
    """Return a complete answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return head(status, {"content-type": kind, "content-length": str(len(body)), **named}) + body


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body; the empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)
