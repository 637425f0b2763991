"""Imports of the `anthropic` SDK without the thousands of modules that a client of `/v1/messages` never uses.

The SDK's packages import each of their types when they are first named: 3,150 modules, most of the CPU of a short
run. Its packages that only re-export names are therefore given a module that imports a name's home when the name is
first asked for. A package that does anything else is imported as it is, so that another version of the SDK works too,
if more slowly.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import re
import sys
import threading
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_ROOT = "anthropic"

_HOMES = {
    "AnthropicError": "_exceptions",
    "APIConnectionError": "_exceptions",
    "APIStatusError": "_exceptions",
    "APITimeoutError": "_exceptions",
    "AsyncAnthropic": "_client",
    "AsyncStream": "_client",
    "DEFAULT_CONNECTION_LIMITS": "_constants",
    "Timeout": "_client",
}
"""The names that this program uses, and the modules of the SDK they stand in. Any other name imports all."""

_REEXPORT = re.compile(r"^from (\.+[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)
_WITHOUT_EFFECT = re.compile(r"^from __future__ .*$|^#.*$|^__all__ = \[[^\]]*\]$", re.MULTILINE)

_importing = threading.RLock()


def import_sdk() -> None:
    """Import what the client needs of the SDK, once, without a collection of garbage in the middle.

    A collection would walk all new objects and hold up keys. What was imported is frozen: it never becomes garbage.
    Freezing again would keep the garbage of closed sessions.
    """
    with _importing:
        if f"{_ROOT}._client" in sys.modules:
            return
        collecting = gc.isenabled()
        gc.disable()
        try:
            if _ROOT not in sys.modules:
                sys.meta_path.insert(0, _Finder())
            importlib.import_module(f"{_ROOT}._client")
        finally:
            gc.freeze()
            if collecting:
                gc.enable()


class _Finder(MetaPathFinder):
    """Finds the SDK's packages, for which it has loaders of its own."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _ROOT and not fullname.startswith(f"{_ROOT}."):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.submodule_search_locations is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        spec.loader = _RootLoader(spec.loader) if fullname == _ROOT else _PackageLoader(spec.loader)
        return spec


class _RootLoader(Loader):
    """Loads the SDK itself: `_HOMES` by name, and all of it when another name is asked for."""

    def __init__(self, loader: SourceFileLoader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> Any:
            home = _HOMES.get(name)
            if home is not None:
                found = getattr(importlib.import_module(f"{_ROOT}.{home}"), name)
                setattr(module, name, found)
                return found
            if name.startswith("__") and name not in {"__all__", "__version__"}:
                raise AttributeError(f"module {_ROOT!r} has no attribute {name!r}")
            if (part := _submodule(module, name)) is not None:
                return part
            with _importing:
                if vars(module).pop("__getattr__", None) is not None:
                    self._loader.exec_module(module)
            return getattr(module, name)

        vars(module)["__getattr__"] = find


class _PackageLoader(Loader):
    """Loads a package that only re-exports names: each when it is first asked for."""

    def __init__(self, loader: SourceFileLoader) -> None:
        self._loader = loader

    def exec_module(self, module: ModuleType) -> None:
        source = self._loader.get_source(module.__name__) or ""
        homes = reexported(source)
        if homes is None:
            self._loader.exec_module(module)
            return

        def find(name: str) -> Any:
            if name not in homes:
                if not name.startswith("__") and (part := _submodule(module, name)) is not None:
                    return part
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            home, original = homes[name]
            found = getattr(importlib.import_module(home, module.__name__), original)
            setattr(module, name, found)
            return found

        vars(module)["__getattr__"] = find
        vars(module)["__all__"] = list(homes)


def _submodule(package: ModuleType, name: str) -> ModuleType | None:
    """Import a module of a package by its name; None when there is none."""
    full = f"{package.__name__}.{name}"
    return importlib.import_module(full) if importlib.util.find_spec(full) is not None else None


def reexported(source: str) -> dict[str, tuple[str, str]] | None:
    """Return the names that a package's source re-exports, each with its home and its name there.

    None when the source does anything else, or re-exports a module or all names of one.
    """
    if _WITHOUT_EFFECT.sub("", _REEXPORT.sub("", source)).strip():
        return None
    homes = {}
    for home, several, one in _REEXPORT.findall(source):
        for part in (several or one).split(","):
            original, _, name = part.strip().partition(" as ")
            if not original:
                continue
            if not home.strip(".") or not original.isidentifier():
                return None
            homes[name or original] = (home, original)
    return homes
