"""What can go wrong when a session is opened or steered."""

from __future__ import annotations


class SessionError(Exception):
    """Base of the room's errors; the message says what was wrong and what to do."""


class SessionNotFound(SessionError):
    """There is no such session in the data folder."""


class SessionReadOnly(SessionError):
    """Another window holds the session, or its folder cannot be written: this one can only look."""


class SessionBusy(SessionError):
    """A run is in progress, and what was asked needs it to be over."""
