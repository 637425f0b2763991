"""The sandbox of one session: finds out what the machine has, and puts commands into it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui_agent.runtime import Runtime
from tui_agent.sandbox.bubblewrap import bubblewrap_argv
from tui_agent.sandbox.command import Box, make_folder
from tui_agent.sandbox.environment import FAIL_FAST, command_environment
from tui_agent.sandbox.landlock import landlock_argv
from tui_agent.sandbox.macos import macos_argv
from tui_agent.sandbox.probe import SandboxState, prepare_scratch, probe_sandbox
from tui_agent.sandbox.profile import Profile, SandboxError, build_profile
from tui_agent.sandbox.repositories import changes, executing_files
from tui_agent.sandbox.seccomp import seccomp_program
from tui_agent.sandbox.temporary import WARN_BYTES, TemporaryFolder, prepare, size

if TYPE_CHECKING:
    from tui_agent.sandbox.proxy import DomainProxy

Access = Literal["sandbox", "network", "full"]
"""What a command asks for: the sandbox, the sandbox with the network, or no sandbox."""

_BEFORE = "repositories.json"
_HIDING = ("bubblewrap", "sandbox-exec")
PROXY_PORT = 3128


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A command made ready for `start`: all three go there. `box` is None outside of a sandbox."""

    argv: list[str]
    environment: dict[str, str]
    box: Box | None


@dataclass
class Sandbox:
    """The sandbox of one session in `workspace`.

    `data` and `config` are the program's own folders, hidden from commands. `scratch` is the session's folder for
    `/tmp` and caches. `passed` are variables that commands get though their names look like a secret's. `domains`
    are names that commands reach without `network`, through a proxy in this program. `additional` returns the
    folders, real, that are writable besides the workspace (blocking). `enabled` off means that the
    user wants none.
    """

    runtime: Runtime
    workspace: Path
    data: Path
    config: Path
    scratch: Path
    enabled: bool = True
    domains: Sequence[str] = ()
    additional: Callable[[], tuple[str, ...]] = lambda: ()
    passed: Sequence[str] = ()
    probe: Callable[[], SandboxState] = probe_sandbox
    _state: SandboxState | None = None
    _temporary: tuple[tuple[str, ...], TemporaryFolder | None] | None = None
    _proxy: DomainProxy | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def state(self) -> SandboxState:
        """Return what commands run in; the first call finds it out, in a thread."""
        async with self._lock:
            if self._state is None:
                self._state = await asyncio.to_thread(self._find_out)
            return self._state

    def _find_out(self) -> SandboxState:
        if not self.enabled:
            return SandboxState("none", "the sandbox is turned off: commands run unconfined")
        try:
            self._profile({})
        except SandboxError as error:
            return SandboxState("none", f"commands run unconfined: {error}")
        return self.probe()

    async def enclose(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        spool: Path,
        access: Access,
        hidden: Sequence[str] = (),
    ) -> Enclosed:
        """Return `argv` put into the sandbox, as far as `access` wants it and the machine has one.

        Files and folders in `hidden` look empty to it. Notes in `spool` what `after` compares with. Raises
        `SandboxError` when the workspace cannot be enclosed, or nothing hidden; nothing has run then.
        """
        state = await self.state()
        if hidden and (access == "full" or state.kind not in _HIDING):
            raise SandboxError(f"there is no sandbox that keeps {hidden[0]} from it; ask for the call again")
        if access == "full" or state.kind == "none":
            await asyncio.to_thread(self.prepare)
            return Enclosed(list(argv), {**environment, "TMPDIR": str(self.scratch / "tmp")}, None)
        sockets = None
        if self.domains and access == "sandbox" and state.kind == "bubblewrap":
            sockets = await self._sockets()
        no_network = FAIL_FAST if access == "sandbox" and not self.domains else {}
        plain = Enclosed(list(argv), {**no_network, **environment}, None)
        return await asyncio.to_thread(
            self._enclose, state, plain, spool, hidden, network=access == "network", sockets=sockets
        )

    def _enclose(
        self,
        state: SandboxState,
        plain: Enclosed,
        spool: Path,
        hidden: Sequence[str],
        *,
        network: bool,
        sockets: Path | None,
    ) -> Enclosed:
        argv, environment = plain.argv, plain.environment
        self.prepare()
        profile = self._profile(environment)
        # a place for something to be put over would be made where there is none
        profile = replace(profile, kept_out=tuple(path for path in map(Path, hidden) if path.exists()))
        self._note_before(profile, spool)
        if state.kind != "bubblewrap":
            temporary, cache = str(self.scratch / "tmp"), str(self.scratch / "cache")
            own = {"TMPDIR": temporary, "HOME": str(self.scratch / "home"), "XDG_CACHE_HOME": cache}
            make = landlock_argv if state.kind == "landlock" else macos_argv
            return Enclosed(make(profile, argv, network=network), {**environment, **own}, Box())
        assert state.program is not None  # that is what was found
        prepare(self.scratch / "tmp", profile.kept_in_tmp or frozenset())
        prepare(self.scratch / "cache", profile.kept_in_cache)
        environment.pop("TMPDIR", None)
        environment.pop("XDG_RUNTIME_DIR", None)
        environment["HOME"] = str(profile.home)
        if sockets is not None:
            forward = str(Path(__file__).with_name("forward.py"))
            argv = [sys.executable, "-I", "-S", "-E", forward, str(sockets / "proxy"), str(PROXY_PORT), *argv]
            proxy = f"http://127.0.0.1:{PROXY_PORT}"
            environment |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), proxy)
            environment |= {"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}
        line = bubblewrap_argv(state.program, profile, argv, network=network, sockets=sockets, nested=state.nested)
        name = hashlib.sha256(str(profile.workspace).encode(errors="surrogateescape")).hexdigest()[:16]
        box = Box(seccomp_program(internet=True), profile.masked, self.data / "masks" / name)
        return Enclosed(line, environment, box)

    def _profile(self, environment: Mapping[str, str]) -> Profile:
        return build_profile(
            self.workspace,
            self.runtime.home,
            environment,
            self.scratch,
            own_folders=(self.data, self.config),
            additional=tuple(Path(folder) for folder in self.additional()),
            outputs=self.outputs,
        )

    @property
    def outputs(self) -> Path:
        """The folder with the whole outputs of the session, which commands and tools can read at the same path."""
        return self.scratch.parent / "outputs"

    def prepare(self) -> None:
        """Make the session's folders (blocking)."""
        prepare_scratch(self.scratch)
        self.outputs.mkdir(mode=0o700, parents=True, exist_ok=True)

    def temporary(self) -> TemporaryFolder | None:
        """Return the folder that commands see as `/tmp`, None where that is the machine's own.

        Blocking: the first call finds out what commands run in.
        """
        if self._state is None:
            self._state = self._find_out()
        if self._state.kind != "bubblewrap":
            return None
        additional = self.additional()
        if self._temporary is None or self._temporary[0] != additional:
            self.prepare()
            kept = self._profile(command_environment(self.runtime.environment)).kept_in_tmp
            folder = None if kept is None else TemporaryFolder(str((self.scratch / "tmp").resolve()), kept)
            self._temporary = (additional, folder)
        return self._temporary[1]

    def temporary_note(self) -> str:
        """Return a warning when the session's folder for temporary files has grown large (blocking)."""
        used = size(self.scratch / "tmp")
        return f"this session's temporary folder holds {used / 1024**3:.1f} GB: remove what is not needed" * (
            used > WARN_BYTES
        )

    def _note_before(self, profile: Profile, spool: Path) -> None:
        # On disk, because the program that looks afterwards may be a later one.
        note = spool / _BEFORE
        if not note.exists():
            make_folder(spool)
            note.write_text(json.dumps(executing_files(*profile.writable)))

    async def after(self, spool: Path) -> list[str]:
        """Return the files that the command of `spool` changed and that make git run something."""
        return await asyncio.to_thread(self._compare, spool)

    def _compare(self, spool: Path) -> list[str]:
        try:
            before = json.loads((spool / _BEFORE).read_bytes())
            roots = self._profile({}).writable
        except (OSError, ValueError, SandboxError):
            return []
        return changes(before, executing_files(*roots))

    async def _sockets(self) -> Path:
        async with self._lock:
            if self._proxy is None:
                from tui_agent.sandbox.proxy import DomainProxy

                self._proxy = await DomainProxy.start(self.domains)
            return self._proxy.folder

    async def close(self) -> None:
        """End the proxy. A command that goes on has no network from then on."""
        if self._proxy is not None:
            await self._proxy.close()
            self._proxy = None


__all__ = ["Access", "Enclosed", "Sandbox", "SandboxError"]
