"""The way out for sandboxed commands: an HTTP proxy in this program that knows a list of domains.

It listens on a Unix socket, which the sandbox shows to its command; `forward` makes a port of it inside. It is
as old as this program: a command that outlives it has no network from then on. Connections are passed on as
they are, so of TLS only the name is known that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head."""

_PORTS = frozenset({80, 443})
_PATIENCE = 30.0
"""Seconds for the request's head, and for a connection to the server."""


class DomainProxy:
    """A proxy for `domains`: `example.org` is that name alone, `*.example.org` all below it."""

    def __init__(self, domains: Sequence[str], folder: Path) -> None:
        self.folder = folder
        self._domains = [domain.lower().rstrip(".") for domain in domains]
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, domains: Sequence[str]) -> DomainProxy:
        """Listen on the socket `proxy` in a new folder that only this user can enter."""
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="tui-agent-net-")
        proxy = cls(domains, Path(folder))
        proxy._server = await asyncio.start_unix_server(
            proxy._accept, str(proxy.folder / "proxy"), limit=LARGEST_HEAD
        )
        return proxy

    async def close(self) -> None:
        """Close the socket and every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)

    def allows(self, host: str) -> bool:
        """Return whether the name is on the list. An address never is, unless it stands there itself."""
        host = host.lower().rstrip(".")
        return any(
            host == domain or (domain.startswith("*.") and host.endswith(domain[1:])) for domain in self._domains
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # the server made one for this call
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(_PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            host, port, onward = _destination(head)
        except ValueError as error:
            await _refuse(writer, 400, f"not a proxy request: {error}")
            return
        if not self.allows(host) or port not in _PORTS:
            await _refuse(writer, 403, f"{host}:{port} is not among the domains that sandboxed commands may reach")
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                address = await _public_address(host, port, listed=host in self._domains)
                out_reader, out_writer = await asyncio.open_connection(address, port)
        except (OSError, TimeoutError, ValueError) as error:
            await _refuse(writer, 502, f"{host}: {error}")
            return
        try:
            if onward:
                out_writer.write(onward)
            else:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_pass_on(reader, out_writer), _pass_on(out_reader, writer))
        finally:
            out_writer.close()


def _destination(head: bytes) -> tuple[str, int, bytes]:
    """Return host and port of a proxy request, and what the server is to get of its head: nothing of CONNECT."""
    line, _, rest = head.partition(b"\r\n")
    method, target, version = line.decode("ascii").split(" ")
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        if not parts.hostname or parts.port is None:
            raise ValueError("CONNECT without host and port")
        return parts.hostname, parts.port, b""
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only CONNECT and http:// are passed on")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # One request a connection: the next one might be for another host.
    dropped = (b"proxy-", b"connection:", b"host:", b"keep-alive:")
    lines = [row for row in rest.split(b"\r\n") if row and not row.lower().startswith(dropped)]
    lines += [f"Host: {parts.netloc.rpartition('@')[2]}".encode(), b"Connection: close"]
    onward = f"{method} {path} {version}".encode() + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n"
    return parts.hostname, parts.port or 80, onward


async def _public_address(host: str, port: int, *, listed: bool) -> str:
    """Return the address to connect to: looked up once, and public unless the host itself stands on the list."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for _, _, _, _, address in found:
        name = str(address[0])
        if listed and _is_address(host):
            return name
        if ipaddress.ip_address(name.partition("%")[0]).is_global:
            return name
    raise ValueError("it has no public address")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _refuse(writer: asyncio.StreamWriter, status: int, message: str) -> None:
    body = f"{message}\n".encode()
    writer.write(
        f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n".encode()
        + body
    )
    await writer.drain()
