"""What can go wrong between a request and its whole response, each as a type of its own."""

from __future__ import annotations

import re
from typing import ClassVar

from tui_agent.events import JsonObject, Usage


class ModelError(Exception):
    """A response did not come, or not whole.

    `message` says what was wrong and what to do. `retry_after` is the wait in seconds that the server asked
    for. `partial` holds the content blocks as far as they came, the first `blocks_completed` of them whole;
    `usage` what they cost, estimated where the server had not said yet.
    """

    kind: ClassVar[str] = "model_error"
    transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        partial: list[JsonObject] | None = None,
        blocks_completed: int = 0,
        usage: Usage | None = None,
        request_id: str = "",
        transient: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.partial = partial or []
        self.blocks_completed = blocks_completed
        self.usage = usage or Usage()
        self.request_id = request_id
        self._transient = type(self).transient if transient is None else transient

    @property
    def may_pass(self) -> bool:
        """Whether the cause may be gone at another time, whatever had come of the response."""
        return self._transient

    @property
    def retryable(self) -> bool:
        """Whether sending the same request again can help and does no harm.

        Once a text or tool block has completed, the user may have read it and its tool may be known:
        a retry would be a second answer to the same request.
        """
        if any(block.get("type") not in _REPEATABLE_BLOCKS for block in self.partial[: self.blocks_completed]):
            return False
        return self._transient


_REPEATABLE_BLOCKS = {"thinking", "redacted_thinking"}


class AuthenticationError(ModelError):
    """The API key is missing or wrong."""

    kind = "authentication"


class PermissionDeniedError(ModelError):
    """The key may not use this model or feature."""

    kind = "permission"


class BillingError(ModelError):
    """The account has no credit, or a spend limit is reached."""

    kind = "billing"


class ModelNotFoundError(ModelError):
    """The server knows no such model, or no such endpoint."""

    kind = "not_found"


class InvalidRequestError(ModelError):
    """The server refuses the request as it is; the same request will be refused again."""

    kind = "invalid_request"


class ContextTooLongError(InvalidRequestError):
    """The request does not fit into the model's context window, or into the server's size limit."""

    kind = "context_too_long"


class RateLimitedError(ModelError):
    """Too many requests or tokens in a short time."""

    kind = "rate_limited"
    transient = True


class OverloadedError(ModelError):
    """The server has too much to do."""

    kind = "overloaded"
    transient = True


class ServerError(ModelError):
    """The server failed."""

    kind = "api_error"
    transient = True


class ConnectionFailedError(ModelError):
    """No connection: refused, no such host, TLS, network down."""

    kind = "connection"
    transient = True


class TimedOutError(ModelError):
    """No connection or no response within the time limit."""

    kind = "timeout"
    transient = True


class StalledError(ModelError):
    """The response began and then nothing came for too long."""

    kind = "stalled"
    transient = True


class CutStreamError(ModelError):
    """The response ended before its last event."""

    kind = "cut"
    transient = True


class MalformedResponseError(ModelError):
    """What came is no response of the Messages API."""

    kind = "malformed"
    transient = True


_BY_TYPE: dict[str, type[ModelError]] = {
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "billing_error": BillingError,
    "not_found_error": ModelNotFoundError,
    "invalid_request_error": InvalidRequestError,
    "request_too_large": ContextTooLongError,
    "rate_limit_error": RateLimitedError,
    "overloaded_error": OverloadedError,
    "timeout_error": TimedOutError,
    "api_error": ServerError,
}

_BY_STATUS: dict[int, type[ModelError]] = {
    401: AuthenticationError,
    402: BillingError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: TimedOutError,
    413: ContextTooLongError,
    429: RateLimitedError,
    504: TimedOutError,
    529: OverloadedError,
}


_TOO_LONG_TYPES = frozenset({"exceed_context_size_error", "context_length_exceeded", "ContextWindowExceededError"})
"""Error types of llama.cpp, of OpenAI and its kin, and of LiteLLM."""

_TOO_LONG = re.compile(
    r"prompt is too long"  # the API
    r"|input (?:length )?(?:and|plus) `?max_tokens`? exceed"  # the API, LiteLLM
    r"|exceed_context_size_error|exceeds? the available context size|context shift is disabled"  # llama.cpp
    r"|maximum context length (?:is|of)|context_length_exceeded"  # OpenAI, vLLM, LiteLLM, OpenRouter
    r"|max_model_len|maximum model length|longer than the (?:maximum )?model"  # vLLM
    r"|ContextWindowExceeded"  # LiteLLM
    r"|input (?:length|prompt)\b.{0,40}(?:exceeds?|too long|longer than).{0,40}(?:context|maximum|limit)"  # Ollama
    r"|input is too long|too many (?:input )?tokens|input tokens? exceeds?"  # Bedrock
    r"|exceeds? (?:the )?(?:model'?s? )?(?:maximum )?context (?:window|length|size|limit)"
    r"|input token count.{0,40}exceeds"  # Vertex
    r"|prompt (?:exceeds|is longer than|tokens? exceed)|larger than the context|greater than the context length"
    r"|requested tokens? \(\d+\) exceed",  # LM Studio, llama-cpp-python
    re.IGNORECASE,
)


def error_type(kind: str | None, status: int, message: str) -> type[ModelError]:
    """Return the error class for the API's error `type` and the HTTP `status` (200 for a mid-stream error).

    Neither the API nor most other servers have a type or code for a prompt that is too long: `_TOO_LONG` knows their
    words.
    """
    found = _BY_TYPE.get(kind or "") or _BY_STATUS.get(status)
    if found is None:
        found = ServerError if status >= 500 or status == 200 else InvalidRequestError
    may_be = found in {InvalidRequestError, ServerError, MalformedResponseError} or kind in _TOO_LONG_TYPES
    if kind in _TOO_LONG_TYPES or (may_be and _TOO_LONG.search(message)):
        return ContextTooLongError
    return found


HINTS: dict[str, str] = {
    "authentication": "Set ANTHROPIC_API_KEY to a valid key.",
    "permission": "The key may not use this model: choose another with /model.",
    "billing": "Check the account's credit and spend limits.",
    "not_found": "Check the model's name and ANTHROPIC_BASE_URL.",
    "context_too_long": "/compact makes room.",
}


def sentence(message: str) -> str:
    """Return a message with a full stop at its end, so that more can follow."""
    message = message.rstrip()
    return message if message.endswith((".", "!", "?")) or not message else message + "."


def with_hint(kind: str, message: str) -> str:
    """Return the server's `message` as a sentence, with what to do about an error of this kind."""
    hint = HINTS.get(kind, "")
    return f"{sentence(message) if hint else message.rstrip()} {hint}".strip()
