"""The standard streams of the process: prepared for any locale, and given up cleanly when nobody reads them."""

from __future__ import annotations

import codecs
import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

_ASCII = "".join(map(chr, range(32, 127)))


class OutputLost(Exception):
    """Standard output or error cannot be written any more. `exit_code` is what the process ends with.

    141 (as of a process that SIGPIPE ended) where nobody reads the output, with an empty message; 1 with a message
    for anything else, such as a full disk.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def prepare_streams() -> None:
    """Make the standard streams usable whatever the caller closed and whatever the locale's encoding is.

    /dev/null stands in for a closed stream: else the next file opened would get its number. A character that the
    encoding lacks is written as an escape instead of ending the program. An encoding that does not hold ASCII as it
    is, such as UTF-16 or EBCDIC, becomes UTF-8: no terminal and no reader of JSON has it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115  # open as long as the process
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if _ASCII.encode(stream.encoding, "replace") != _ASCII.encode():
            stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # text streams of this process
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # as above


def writes_utf8(stream: TextIO) -> bool:
    """Say whether text written to `stream` becomes UTF-8."""
    try:
        return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    except LookupError:
        return False


def json_line(text: str, out: TextIO) -> str:
    """Return one JSON document as it can be written to `out`: in ASCII where `out` is not UTF-8 or a terminal.

    JSON is UTF-8 by its standard, so another encoding's bytes would be no JSON; a terminal could act on characters.
    """
    if text.isascii() or (writes_utf8(out) and not out.isatty()):
        return text
    return json.dumps(json.loads(text), separators=(",", ":"))


@contextmanager
def given_up_cleanly() -> Iterator[None]:
    """Turn the failure to write standard output or error into `OutputLost`; what is buffered is written at the end.

    Errors that name a file, or that no stream gives, are raised as they are.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:
        _drop_output()
        raise OutputLost("", 141) from error
    except OSError as error:
        if error.filename is not None or isinstance(error, FileNotFoundError | ConnectionError | TimeoutError):
            raise
        if error.errno == errno.EIO:  # the terminal was closed; SIGHUP comes with it, before or after
            _drop_output(sys.stdout, sys.stderr)
            raise OutputLost("", 128 + signal.SIGHUP) from error
        _drop_output()
        raise OutputLost(f"The output cannot be written: {error.strerror}.", 1) from error


def _drop_output(*streams: TextIO) -> None:
    """Let what is still in the buffer go nowhere: it would raise once more at exit. Without `streams`, of stdout."""
    for stream in streams or (sys.stdout,):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
