"""What is known of a tool or a command before any of its code is imported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tui_agent.events import EffectClass, JsonObject, TrustTier


class RegistryError(Exception):
    """A metadata file is wrong; the message names the file and, where known, the line or key."""


@dataclass(frozen=True, slots=True)
class ToolMetadata:
    """A model-facing tool.

    `description` and `input_schema` go to the model as they are. `implementation` is `module:Class`,
    imported only when the tool is first called. `source` names where the entry is from: a package
    resource, a plugin, a skill file. `needs` lists capabilities without which it is left out of the
    pool, e.g. `subagents`. `eager_input` asks the server to stream the tool's input as it is written,
    for tools whose input is long.
    """

    name: str
    source: str
    tier: TrustTier
    effect: EffectClass
    description: str
    input_schema: JsonObject
    implementation: str
    needs: tuple[str, ...] = ()
    eager_input: bool = False


@dataclass(frozen=True, slots=True)
class CommandMetadata:
    """A user-facing command, in the prompt as `/name`, in the palette, or on a key.

    `where` says who carries it out: the screen, or the session. `argument` is a hint for the user,
    empty if it takes none; `keys` are the default keys.
    """

    name: str
    source: str
    tier: TrustTier
    effect: EffectClass
    description: str
    where: Literal["screen", "session"]
    argument: str = ""
    keys: tuple[str, ...] = field(default=())
