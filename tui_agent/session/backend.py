"""Which server answers: the API, a local server, or the offline model of this package."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_agent.events import EventBase, Notice
from tui_agent.models import Catalog, CatalogError, load_catalog
from tui_agent.session.options import OpenOptions

if TYPE_CHECKING:
    from tui_agent.config.settings import Settings

LOCAL_KEY = "local"
"""What is sent as the key to a server of one's own when none is set; such servers ignore it."""


def _nothing() -> None:
    """Nothing to stop: the server is not ours."""


KEEP_VARIABLE = "TUI_AGENT_OFFLINE_REQUESTS"
"""Environment variable with a folder to which the offline model writes each request, to look at or to check."""


@dataclass(frozen=True)
class Backend:
    """The server and the models it offers. `stop` ends the offline model's server, if that is what answers."""

    base_url: str | None
    api_key: str | None
    offline: bool
    catalog: Catalog
    problems: list[EventBase] = field(default_factory=list)
    stop: Callable[[], None] = _nothing


async def start_backend(options: OpenOptions, settings: Settings) -> Backend:
    """Choose the server: offline when told so, when a scenario is given, or when there is neither key nor URL.

    Raises the offline model's `ScenarioError`, with file and line.
    """
    environment = options.runtime.environment
    base_url = options.base_url or environment.get("ANTHROPIC_BASE_URL") or settings.base_url
    api_key = options.api_key or environment.get("ANTHROPIC_API_KEY")
    token = environment.get("ANTHROPIC_AUTH_TOKEN")
    catalog, problems = await asyncio.to_thread(_catalog, settings.prices)
    if options.offline or options.scenario is not None or not (base_url or api_key or token):
        return await asyncio.to_thread(_start_offline, options, catalog, problems)
    if base_url and not api_key and not token:
        api_key = LOCAL_KEY
    return Backend(base_url, api_key, False, catalog, problems)


def _start_offline(options: OpenOptions, catalog: Catalog, problems: list[EventBase]) -> Backend:
    from tui_agent.models.offline import OfflineServer, load_scenario

    scenario = load_scenario(options.scenario) if options.scenario is not None else None
    kept = options.runtime.environment.get(KEEP_VARIABLE)
    server = OfflineServer(scenario, keep_in=Path(kept) if kept else None)
    return Backend(server.start(), "offline", True, catalog, problems, server.stop)


def _catalog(prices: str | None) -> tuple[Catalog, list[EventBase]]:
    """Return the catalog with the user's own models and prices, or without them and why."""
    if prices is None:
        return load_catalog(), []
    try:
        overrides: dict[str, Any] = tomllib.loads(Path(prices).read_text("utf-8"))
        return load_catalog(overrides), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, CatalogError) as error:
        message = f"{prices}: {error}; the built-in prices are used"
        return load_catalog(), [Notice(level="warning", code="prices", message=message)]
