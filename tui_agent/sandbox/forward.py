"""Inside a sandbox: makes a port of the proxy's socket, as long as the command lives.

Run as `python -I -S -E forward.py SOCKET PORT COMMAND...`; standard library only. Its first self becomes the
command; its second passes connections on, and ends when the first has ended.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys


def main(path: str, port: int, argv: list[str]) -> None:
    """Listen, then become `argv`; does not return. Raises `OSError` if it cannot."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    alive_read, alive_write = os.pipe()
    if os.fork() == 0:
        # Twice, so that the command does not find a child that it never started.
        if os.fork():
            os._exit(0)
        os.close(alive_write)
        for number in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        _forward(path, listener, alive_read)
        os._exit(0)
    os.wait()
    os.close(alive_read)
    listener.close()
    # Closes when the command and all it started have ended.
    os.set_inheritable(alive_write, True)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(argv[0], argv)


def _forward(path: str, listener: socket.socket, alive: int) -> None:
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(alive, selectors.EVENT_READ)
    peers: dict[socket.socket, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fd == alive:
                return
            if key.fileobj is listener:
                _connect(path, listener, peers, selector)
                continue
            source = key.fileobj
            if isinstance(source, socket.socket) and source in peers:
                _pass_on(source, peers, selector)


def _connect(
    path: str, listener: socket.socket, peers: dict[socket.socket, socket.socket], selector: selectors.BaseSelector
) -> None:
    inner, _ = listener.accept()
    outer = socket.socket(socket.AF_UNIX)
    try:
        outer.connect(path)
    except OSError:
        # The program that had the proxy is gone.
        inner.close()
        outer.close()
        return
    for one, other in ((inner, outer), (outer, inner)):
        peers[one] = other
        selector.register(one, selectors.EVENT_READ)


def _pass_on(
    source: socket.socket, peers: dict[socket.socket, socket.socket], selector: selectors.BaseSelector
) -> None:
    target = peers[source]
    try:
        data = source.recv(65536)
        if data:
            target.sendall(data)
            return
    except OSError:
        data = b""
    for end in (source, target):
        selector.unregister(end)
        del peers[end]
        end.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
