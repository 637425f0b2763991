"""Files of a repository or a toolchain that make a looking command run programs.

Class of attack: `core.fsmonitor`, pagers, text converters, filters, hooks, a `.git` file or a bare repository
that leads git to a configuration of somebody else's; `.cargo/config.toml`, `.yarnrc.yml` and modules beside a
script do the same for their tools. What can be switched off from outside is: see `RUNNER_ENVIRONMENT`.
The rest asks.
"""

from __future__ import annotations

import functools
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tui_agent.config.untrusted import UntrustedFileError, read_untrusted
from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings
from tui_agent.permissions.guard.places import allowed_folder

RUNNER_ENVIRONMENT = {
    "GIT_CONFIG_COUNT": "4",
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_KEY_2": "core.pager",
    "GIT_CONFIG_VALUE_2": "cat",
    "GIT_CONFIG_KEY_3": "log.showSignature",
    "GIT_CONFIG_VALUE_3": "false",
    "GIT_PAGER": "cat",
    "PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GOTOOLCHAIN": "local",
    "GOPROXY": "off",
    "CGO_ENABLED": "0",
    "LESSSECURE": "1",
    "LESSOPEN": "",
}
"""What the runner must set for a line that was allowed as read-only: it takes the teeth out of git's options."""

_MOST_BYTES = 256 * 1024
_LARGEST_INDEX = 32 * 1024 * 1024
_SECONDS = 2.0
_RUNS = re.compile(
    r"filter\..*\.(clean|smudge|process)|diff\.(.*\.)?(textconv|command|external)|include(if)?\..*path|"
    r"gpg\.(.*\.)?program|core\.(sshcommand|gitproxy|worktree|attributesfile|alternaterefscommand)|"
    r"interactive\.difffilter|merge\..*\.driver|uploadpack\.packobjectshook|man\.(.*\.)?(cmd|path|viewer)|browser\..*|help\.(format|browser)"
)
_TOOL_FILES = {
    "yarn": (".yarnrc.yml", ".yarnrc", ".pnp.cjs", ".yarn"),
    "pnpm": (".pnpmfile.cjs", ".pnpmfile.mjs", "pnpmfile.js"),
    "pytest": ("conftest.py", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg"),
    "flake8": (".flake8", "setup.cfg", "tox.ini"),
    "tox": ("toxfile.py",),
    "pylint": (".pylintrc", "pylintrc", "setup.cfg"),
    "cargo": (".cargo/config.toml", ".cargo/config"),
    "rustc": ("rust-toolchain", "rust-toolchain.toml"),
}
_PYTHON_MODULES = sys.stdlib_module_names - {"test", "this", "site"} | {"pip"}


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Ask where such a file is found that cannot be switched off."""
    for command in line.commands:
        if command.index not in line.usages:
            continue
        for cwd in command.cwds:
            if cwd is None:
                continue
            reason = _git(command, cwd, surroundings) if command.name == "git" else _tool(command, cwd, surroundings)
            if reason:
                return Finding("ask", reason)
    return PASS


def _git(command: Command, cwd: str, surroundings: Surroundings) -> str:
    folder = cwd
    argv = command.argv
    for position, text in enumerate(argv[:-1]):
        if text == "-C":
            folder = os.path.join(folder, argv[position + 1])
    folder = os.path.realpath(folder)
    if _looks_bare(folder):
        return "the folder looks like a bare repository, whose configuration git would follow"
    for place in _upwards(folder):
        dot = os.path.join(place, ".git")
        if not os.path.lexists(dot):
            if place != folder and _looks_bare(place):
                return f"{place} looks like a bare repository, whose configuration git would follow"
            continue
        inner = _git_folder(dot)
        if inner is None:
            return f"{dot} cannot be understood"
        outside = not allowed_folder(inner, surroundings.places)
        if outside and os.path.isfile(dot):
            return f"{dot} leads to {inner}, outside the workspace"
        return _configuration(inner, place)
    return ""


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def _looks_bare(folder: str) -> bool:
    return (
        os.path.basename(folder) != ".git"
        and os.path.lexists(os.path.join(folder, "HEAD"))
        and (
            os.path.lexists(os.path.join(folder, "commondir"))
            or (os.path.lexists(os.path.join(folder, "objects")) and os.path.lexists(os.path.join(folder, "refs")))
        )
    )


def _git_folder(dot: str) -> str | None:
    """Return the folder that `.git` is or leads to, None if that cannot be told."""
    if os.path.isdir(dot):
        return os.path.realpath(dot)
    text = _read(dot)
    if text is None or not text.startswith("gitdir:"):
        return None
    return os.path.realpath(os.path.join(os.path.dirname(dot), text[len("gitdir:") :].strip()))


def _configuration(inner: str, place: str) -> str:
    common = _read(os.path.join(inner, "commondir"))
    folders = [inner] + ([os.path.realpath(os.path.join(inner, common.strip()))] if common else [])
    files = [os.path.join(folder, name) for folder in folders for name in ("config", "config.worktree")]
    if os.path.exists(os.path.join(place, ".gitmodules")):
        modules = os.path.join(inner, "modules")
        for root, _, names in os.walk(modules):
            if "config" in names:
                files.append(os.path.join(root, "config"))
            if len(files) > 50:
                return "it has too many submodules to look at"
    linked = _linked(inner, place)
    if linked is None:
        return "its index is too large, or cannot be read, to look for other repositories in it"
    for folder in linked:
        other = _git_folder(os.path.join(folder, ".git"))
        if other is not None:
            files += [os.path.join(other, name) for name in ("config", "config.worktree")]
    for file in files:
        if not os.path.lexists(file):
            continue
        keys = _keys(file)
        if keys is None:
            return f"{file} cannot be read"
        submodule = "/modules/" in file or not any(file.startswith(folder + "/") for folder in folders)
        for key in keys:
            if _RUNS.fullmatch(key):
                return f"{file} sets {key}, which makes git run programs or follow other files"
            if submodule and key in ("core.fsmonitor", "core.hookspath"):
                return f"{file} sets {key}"
    return ""


def _keys(file: str) -> frozenset[str] | None:
    """Return the keys of a git configuration file in lower case, as git itself reads them; None if it cannot."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        return None
    return _keys_of(file, status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


@functools.lru_cache(maxsize=256)
def _keys_of(file: str, modified: int, changed: int, size: int, inode: int) -> frozenset[str] | None:
    """Ask git once for each state of the file."""
    try:
        done = subprocess.run(
            ["git", "config", "--file", file, "--list", "-z", "--name-only", "--no-includes"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={
                "PATH": "/usr/bin:/bin:/usr/local/bin",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_CONFIG_GLOBAL": "/dev/null",
            },
            cwd="/",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return frozenset(key.lower() for key in done.stdout.decode("utf-8", "replace").split("\0") if key)


def _linked(inner: str, place: str) -> list[str] | None:
    """Return the folders of other repositories that the index links to; None where that cannot be told."""
    index = os.path.join(inner, "index")
    try:
        status = os.stat(index)
        if status.st_size > _LARGEST_INDEX:
            return None
        return _links_of(index, place, status.st_mtime_ns, status.st_size, status.st_ino)
    except FileNotFoundError:
        return []
    except (OSError, subprocess.TimeoutExpired):
        return None


@functools.lru_cache(maxsize=64)
def _links_of(index: str, place: str, modified: int, size: int, inode: int) -> list[str] | None:
    with open(index, "rb") as file:
        content = file.read()
    if b"\0\0\xe0\0" not in content or content[:4] != b"DIRC":
        return []
    done = subprocess.run(
        ["git", f"--git-dir={os.path.dirname(index)}", "ls-files", "-s", "-z"],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={
            "PATH": "/usr/bin:/bin:/usr/local/bin",
            **RUNNER_ENVIRONMENT,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        },
        cwd=place,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        return None
    rows = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [os.path.join(place, row.split("\t", 1)[1]) for row in rows if row.startswith("160000 ") and "\t" in row]


def _read(path: str) -> str | None:
    try:
        return read_untrusted(Path(path), beneath=None, limit=_MOST_BYTES).data.decode("utf-8", "replace")
    except (FileNotFoundError, UntrustedFileError):
        return None


def _tool(command: Command, cwd: str, surroundings: Surroundings) -> str:
    name = command.name
    family = {"rustup": "rustc", "pnpx": "pnpm"}.get(name, name)
    workspace = os.path.realpath(surroundings.places.workspace)
    if name.startswith("python") and "-m" in command.argv:
        return _python(cwd)
    places = [
        place for place in _upwards(os.path.realpath(cwd)) if place == workspace or place.startswith(workspace + "/")
    ]
    names = _TOOL_FILES.get(family, ())
    if family == "cargo":
        names = (*names, *_TOOL_FILES["rustc"])
    for place in places:
        for file in names:
            path = os.path.join(place, file)
            if not os.path.lexists(path):
                continue
            text = _read(path)
            if text is None:
                return f"{path} cannot be read, and {name} runs programs that it names"
            if family in ("yarn", "pnpm", "pytest", "flake8", "tox", "pylint") or re.search(
                r"\b(path|rustc|rustc-wrapper|runner|linker|credential|alias|include|env)\b|\\", text
            ):
                return f"{path} makes {name} run programs"
        if family in ("pnpm", "yarn") and '"packageManager"' in (_read(os.path.join(place, "package.json")) or ""):
            return f"package.json makes {name} fetch another version of itself"
    if command.argv[1:2] in (("tree",), ("metadata",)) and name == "cargo":
        here = [p for p in places if os.path.exists(os.path.join(p, "Cargo.toml"))]
        if here and not any(os.path.exists(os.path.join(p, "Cargo.lock")) for p in here):
            return "cargo would write a Cargo.lock"
    return ""


def _python(cwd: str) -> str:
    """Look for modules in the folder that `python -m` would take instead of the library's."""
    try:
        with os.scandir(cwd) as entries:
            for entry in entries:
                stem = entry.name.split(".", 1)[0]
                python = entry.name.endswith((".py", ".pyc", ".so")) or "." not in entry.name
                if python and stem in _PYTHON_MODULES:
                    return f"{entry.name} in this folder takes the place of a module of Python's"
    except FileNotFoundError:
        return ""
    except OSError:
        return "this folder cannot be searched for modules that take the place of Python's"
    return ""
