"""The built-in entries of both registries, read from the package's TOML files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast, get_args

from tui_agent.events import EffectClass, JsonObject
from tui_agent.registry.metadata import CommandMetadata, RegistryError, ToolMetadata

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_TOOL_KEYS = {"description", "effect", "implementation", "needs", "eager_input", "input_schema"}
_COMMAND_KEYS = {"name", "description", "effect", "where", "argument", "keys"}
_MOST_MESSAGES = 5


def load_tools() -> dict[str, ToolMetadata]:
    """Return the built-in tools by name, in the order of their names. Raises `RegistryError`."""
    folder = files("tui_agent") / "tools"
    resources = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {
        name.removesuffix(".toml"): parse_tool(
            name.removesuffix(".toml"), (folder / name).read_text(encoding="utf-8"), f"tools/{name}"
        )
        for name in resources
    }


def load_commands() -> dict[str, CommandMetadata]:
    """Return the built-in commands by name, in the order of the file. Raises `RegistryError`."""
    text = (files("tui_agent") / "registry" / "commands.toml").read_text(encoding="utf-8")
    return parse_commands(text, "registry/commands.toml")


def parse_tool(name: str, text: str, source: str) -> ToolMetadata:
    """Read one tool's metadata. Raises `RegistryError`, which names `source`, the line or the key."""
    entry = _Entry(_parse(text, source), source, _TOOL_KEYS)
    schema = entry.get("input_schema", dict)
    if schema.get("type") != "object":
        raise RegistryError(f'{source}: input_schema: type must be "object"')
    return ToolMetadata(
        name=name,
        source=source,
        tier="built-in",
        effect=entry.effect("effect"),
        description=entry.get("description", str).strip(),
        input_schema=cast("JsonObject", schema),
        implementation=entry.get("implementation", str),
        needs=tuple(entry.get("needs", list, [])),
        eager_input=entry.get("eager_input", bool, False),
    )


def parse_commands(text: str, source: str) -> dict[str, CommandMetadata]:
    """Read a file of commands. Raises `RegistryError`, which names `source`, the line or the entry."""
    commands: dict[str, CommandMetadata] = {}
    entries = _parse(text, source).get("command", [])
    if not isinstance(entries, list):
        raise RegistryError(f"{source}: command: must be an array of tables, [[command]]")
    for number, values in enumerate(entries, 1):
        entry = _Entry(values, f"{source}: command {number}", _COMMAND_KEYS)
        name = entry.get("name", str)
        where = entry.get("where", str)
        if where not in {"screen", "session"}:
            raise RegistryError(f'{source}: command {name}: where must be "screen" or "session"')
        if name in commands:
            raise RegistryError(f"{source}: command {name} is there twice")
        commands[name] = CommandMetadata(
            name=name,
            source=source,
            tier="built-in",
            effect=entry.effect("effect", "pure"),
            description=entry.get("description", str),
            where="screen" if where == "screen" else "session",
            argument=entry.get("argument", str, ""),
            keys=tuple(entry.get("keys", list, [])),
        )
    return commands


def implementation(metadata: ToolMetadata) -> Any:
    """Import a tool's implementation and return one of it: an object of protocol `tui_agent.tools.Tool`.

    Raises `RegistryError` when there is none.
    """
    module, _, name = metadata.implementation.partition(":")
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise RegistryError(
            f"{metadata.source}: implementation {metadata.implementation!r} cannot be imported: {error}"
        ) from error


def validate_input(metadata: ToolMetadata, input: JsonObject) -> list[str]:
    """Return what is wrong with a call's input, in lines a model can act on; empty if it is valid."""
    validator = _validator(metadata.name, metadata.source, _Frozen(metadata.input_schema))
    errors = sorted(validator.iter_errors(input), key=lambda error: list(map(str, error.absolute_path)))
    messages = list(dict.fromkeys(map(_message, errors)))
    if len(messages) > _MOST_MESSAGES:
        return [*messages[:_MOST_MESSAGES], f"and {len(messages) - _MOST_MESSAGES} more"]
    return messages


class _Frozen:
    """A schema as a key of the cache: equal only to itself, because schemas are never changed."""

    def __init__(self, schema: JsonObject) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.schema is self.schema


@cache
def _validator(name: str, source: str, schema: _Frozen) -> Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(schema.schema)
    except SchemaError as error:
        raise RegistryError(f"{source}: input_schema of {name}: {error.message}") from error
    return Draft202012Validator(schema.schema)


def _message(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    where = where.lstrip(".") or "input"
    match error.validator:
        case "required":
            missing = [key for key in error.validator_value if key not in error.instance]
            return f"{where}: missing {', '.join(missing)}"
        case "additionalProperties":
            known = error.schema.get("properties", {})
            unknown = [key for key in error.instance if key not in known]
            return f"{where}: unknown {', '.join(unknown)}; known are {', '.join(known)}"
        case "type":
            return f"{where}: must be {error.validator_value}, not {_json_type(error.instance)}"
        case "enum":
            return f"{where}: must be one of {', '.join(map(str, error.validator_value))}"
        case _:
            return f"{where}: {error.message[:300]}"


def _json_type(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


class _Entry:
    """The values of one entry, taken out with checks that name where they failed."""

    def __init__(self, values: Mapping[str, Any], where: str, known: set[str]) -> None:
        self.values = values
        self.where = where
        unknown = sorted(set(values) - known)
        if unknown:
            raise RegistryError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """Return the value of `key`, checked to be a `kind`; `default` None means that it must be there."""
        value = self.values.get(key, default)
        if value is None:
            raise RegistryError(f"{self.where}: {key!r} is missing")
        if not isinstance(value, kind):
            raise RegistryError(f"{self.where}: {key!r} must be a {kind.__name__}")
        return value

    def effect(self, key: str, default: str | None = None) -> EffectClass:
        """Return an effect class."""
        value = self.get(key, str, default)
        if value not in get_args(EffectClass):
            raise RegistryError(f"{self.where}: {key!r} must be one of {', '.join(get_args(EffectClass))}")
        return cast("EffectClass", value)


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"{source}: {error}") from error
