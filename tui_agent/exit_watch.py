"""Sees to it that a process which has done its work ends, and says what kept it where it does not."""

from __future__ import annotations

import os
import sys
import threading

EXIT_SECONDS = 30.0
"""How long closing a session, and after it ending the process, may take."""


class ExitWatch:
    """Ends the process with `code` when it has not ended `seconds` after `begin`, unless `end` comes first.

    By then everything that counts is on disk: what hangs is the tidying up.
    """

    def __init__(self, seconds: float = EXIT_SECONDS) -> None:
        self._seconds = seconds
        self._ended = threading.Event()

    def begin(self, code: int) -> None:
        """Start to wait."""
        self._ended.clear()
        threading.Thread(target=self._watch, args=(code,), name="exit-watch", daemon=True).start()

    def end(self) -> None:
        """Stop waiting: the process is alive for a good reason."""
        self._ended.set()

    def _watch(self, code: int) -> None:
        if self._ended.wait(self._seconds):
            return
        import traceback

        lines = [f"tui-agent did not end within {self._seconds:.0f} seconds and ends now. Still at work:"]
        frames = sys._current_frames()
        for thread in threading.enumerate():
            frame = frames.get(thread.ident or 0)
            if thread is not threading.current_thread() and frame is not None:
                where = "; ".join(f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_stack(frame)[-3:])
                lines.append(f"  {thread.name}{' (daemon)' if thread.daemon else ''}: {where}")
        try:
            os.write(2, ("\n".join(lines) + "\n").encode("utf-8", "replace"))
        finally:
            os._exit(code)
