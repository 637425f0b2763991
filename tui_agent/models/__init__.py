"""The models: the client that talks to them, what is known of them, and the offline model.

Knows the Messages API and nothing of tools, sessions or the screen. Importing it is cheap: the SDK is
imported by `ModelClient.prepare`.
"""

from tui_agent.models.capabilities import Capabilities, Feature, ModelFacts, retirement
from tui_agent.models.catalog import Catalog, CatalogError, Model, Price, Rates, load_catalog
from tui_agent.models.client import ModelClient, ModelRequest
from tui_agent.models.errors import (
    AuthenticationError,
    BillingError,
    ConnectionFailedError,
    ContextTooLongError,
    CutStreamError,
    InvalidRequestError,
    MalformedResponseError,
    ModelError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    StalledError,
    TimedOutError,
)
from tui_agent.models.fields import Head, RequestOptions
from tui_agent.models.retry import MAX_ATTEMPTS, backoff
from tui_agent.models.stream import INVALID_JSON, Delta, Response

__all__ = [
    "INVALID_JSON",
    "MAX_ATTEMPTS",
    "AuthenticationError",
    "BillingError",
    "Capabilities",
    "Catalog",
    "CatalogError",
    "ConnectionFailedError",
    "ContextTooLongError",
    "CutStreamError",
    "Delta",
    "Feature",
    "Head",
    "InvalidRequestError",
    "MalformedResponseError",
    "Model",
    "ModelClient",
    "ModelError",
    "ModelFacts",
    "ModelNotFoundError",
    "ModelRequest",
    "OverloadedError",
    "PermissionDeniedError",
    "Price",
    "RateLimitedError",
    "Rates",
    "RequestOptions",
    "Response",
    "ServerError",
    "StalledError",
    "TimedOutError",
    "backoff",
    "load_catalog",
    "retirement",
]
