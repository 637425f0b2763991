"""An error as the Messages API answers it."""

from __future__ import annotations

from collections.abc import Mapping


class ApiError(Exception):
    """An error response: HTTP status, the API's error type, its message, and headers to go with it.

    `code` is the API's `error_code` in the error's details, where it has one.
    """

    def __init__(
        self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None, code: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = dict(headers or {})
        self.code = code


def invalid(message: str, code: str = "") -> ApiError:
    """Return the API's answer to a request that breaks a rule."""
    return ApiError(400, "invalid_request_error", message, code=code)
