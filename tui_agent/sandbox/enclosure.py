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

from tui_agent.private import make_missing, make_private_file
from tui_agent.programs import without_writable
from tui_agent.runtime import Runtime
from tui_agent.sandbox.bubblewrap import bubblewrap_argv
from tui_agent.sandbox.command import Box, make_folder
from tui_agent.sandbox.environment import FAIL_FAST, command_environment
from tui_agent.sandbox.landlock import landlock_argv
from tui_agent.sandbox.macos import macos_argv
from tui_agent.sandbox.masks import Masks, Protection
from tui_agent.sandbox.probe import SandboxState, prepare_scratch, probe_sandbox
from tui_agent.sandbox.profile import Profile, SandboxError, build_profile
from tui_agent.sandbox.protected import own_code
from tui_agent.sandbox.repositories import changes, executing_files
from tui_agent.sandbox.seccomp import seccomp_program
from tui_agent.sandbox.temporary import WARN_BYTES, TemporaryFolder, prepare, size
from tui_agent.sandbox.tree import MOST_FOLDERS, Tree

if TYPE_CHECKING:
    from tui_agent.sandbox.proxy import DomainProxy

Access = Literal["sandbox", "network", "full"]
"""What a command asks for: the sandbox, the sandbox with the network, or no sandbox."""

_BEFORE = "repositories.json"
_MASKED = "masked.json"
_HIDING = ("bubblewrap", "sandbox-exec")
PROXY_PORT = 3128


@dataclass(frozen=True, slots=True)
class Enclosed:
    """A command made ready for `start`: all three go there. `box` is None outside of a sandbox."""

    argv: list[str]
    environment: dict[str, str]
    box: Box | None


@dataclass(frozen=True, slots=True)
class _Rules:
    """What holds for one command besides its `access`; see `Sandbox.enclose`."""

    hidden: tuple[str, ...]
    read_only: bool
    unasked: bool
    protection: Protection | None


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
    _trees: dict[str, Tree] = field(default_factory=dict)
    _masks: Masks = field(default_factory=Masks)

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
        *,
        read_only: bool = False,
        protection: Protection | None = None,
        unasked: bool = False,
    ) -> Enclosed:
        """Return `argv` put into the sandbox, as far as `access` wants it and the machine has one.

        Files and folders in `hidden` look empty to it, and so do those of the workspace that `protection` denies; in
        a command that nobody was asked about (`read_only` or `unasked`) those too that it would ask about. With
        `read_only` it changes nothing and reaches nothing, whatever its `access`. Notes in `spool` what `after`
        compares with. Raises `SandboxError` when the workspace cannot be enclosed, or nothing hidden; nothing has run
        then.
        """
        state = await self.state()
        if read_only:
            access = "sandbox"
        if (
            hidden
            and (access == "full" or state.kind not in _HIDING)
            and not (read_only and state.kind == "landlock")
        ):
            raise SandboxError(f"there is no sandbox that keeps {hidden[0]} from it; ask for the call again")
        if access == "full" or state.kind == "none":
            await asyncio.to_thread(self.prepare)
            return Enclosed(list(argv), {**environment, "TMPDIR": str(self.scratch / "tmp")}, None)
        rules = _Rules(tuple(hidden), read_only, unasked or read_only, protection)
        sockets = None
        if self.domains and not read_only and access == "sandbox" and state.kind == "bubblewrap":
            sockets = await self._sockets()
        no_network = FAIL_FAST if access == "sandbox" and (read_only or not self.domains) else {}
        plain = Enclosed(list(argv), {**no_network, **environment}, None)
        return await asyncio.to_thread(
            self._enclose, state, plain, spool, rules, network=access == "network", sockets=sockets
        )

    def _enclose(
        self,
        state: SandboxState,
        plain: Enclosed,
        spool: Path,
        rules: _Rules,
        *,
        network: bool,
        sockets: Path | None,
    ) -> Enclosed:
        argv, environment = plain.argv, plain.environment
        self.prepare()
        profile = self._profile(environment, read_only=rules.read_only)
        # a place for something to be put over would be made where there is none
        hidden = [path for path in map(Path, rules.hidden) if path.exists()]
        masked = self._masked(profile, rules)
        profile = replace(profile, kept_out=tuple(dict.fromkeys((*hidden, *masked))))
        self._note_masked(masked, spool)
        if rules.read_only:
            environment["PATH"] = without_writable(environment.get("PATH", ""), (*profile.writable, self.scratch))
        else:
            self._note_before(profile, spool)
        if state.kind != "bubblewrap":
            return self._reduced(state, profile, plain, spool, network=network)
        assert state.program is not None  # that is what was found
        prepare(self.scratch / "tmp", profile.kept_in_tmp or frozenset())
        prepare(self.scratch / "cache", profile.kept_in_cache)
        environment.pop("TMPDIR", None)
        if rules.read_only:
            environment["TMPDIR"] = "/var/tmp"
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
        box = Box(
            seccomp_program(internet=True, unix=not rules.read_only),
            profile.masked,
            profile.placeholders,
            profile.links,
            self.data / "masks" / name if not rules.read_only else None,
        )
        return Enclosed(line, environment, box)

    def _reduced(
        self, state: SandboxState, profile: Profile, plain: Enclosed, spool: Path, *, network: bool
    ) -> Enclosed:
        """Put a command under Landlock or `sandbox-exec`, which show the file system as it is."""
        if state.kind == "landlock" and not profile.read_only:
            inside = [path for path in own_code() if any(path.is_relative_to(root) for root in profile.writable)]
            if inside:
                raise SandboxError(
                    f"{inside[0]} is this program's own code, and the reduced sandbox cannot protect it in the "
                    "workspace; start the program from an installation elsewhere"
                )
        own = {
            "TMPDIR": str(self.scratch / "tmp"),
            "HOME": str(self.scratch / "home"),
            "XDG_CACHE_HOME": str(self.scratch / "cache"),
        }
        private = spool / "private" if state.kind == "landlock" else self.scratch / "private"
        if profile.read_only:
            make_folder(private)
            own = dict.fromkeys(own, str(private))
        if state.kind == "landlock":
            argv = landlock_argv(profile, plain.argv, network=network, private=private)
        else:
            argv = macos_argv(profile, plain.argv, network=network)
        return Enclosed(argv, {**plain.environment, **own}, Box())

    def _masked(self, profile: Profile, rules: _Rules) -> tuple[Path, ...]:
        if rules.protection is None:
            return ()
        trees = self._trees_of(profile.writable)
        found = self._masks.find(trees, rules.protection, profile.home, asked=rules.unasked, special=rules.read_only)
        if rules.read_only and not all(tree.complete for tree in trees):
            raise SandboxError(
                f"the workspace has more than {MOST_FOLDERS:,} folders: what is protected in it cannot be found. "
                'access: "network" or "full" asks the user'
            )
        return found

    def _trees_of(self, folders: Sequence[Path]) -> list[Tree]:
        outermost = [path for path in folders if not any(path != o and path.is_relative_to(o) for o in folders)]
        return self._known_trees(outermost)

    def _known_trees(self, folders: Sequence[Path]) -> list[Tree]:
        return [self._trees.setdefault(str(path), Tree(str(path))) for path in folders]

    def _profile(self, environment: Mapping[str, str], *, read_only: bool = False) -> Profile:
        return build_profile(
            self.workspace,
            self.runtime.home,
            environment,
            self.scratch,
            own_folders=(self.data, self.config),
            additional=tuple(Path(folder) for folder in self.additional()),
            outputs=self.outputs,
            trees=self._known_trees,
            read_only=read_only,
        )

    @property
    def outputs(self) -> Path:
        """The folder with the whole outputs of the session, which commands and tools can read at the same path."""
        return self.scratch.parent / "outputs"

    def writable(self) -> list[Path]:
        """Return the folders that commands can write (blocking). No program of theirs is run outside of a sandbox."""
        return [self.workspace, *map(Path, self.additional()), self.scratch]

    def prepare(self) -> None:
        """Make the session's folders (blocking)."""
        prepare_scratch(self.scratch)
        make_missing(self.outputs)

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
            make_private_file(note)

    def _note_masked(self, masked: Sequence[Path], spool: Path) -> None:
        if masked:
            make_folder(spool)
            (spool / _MASKED).write_text(json.dumps([str(path) for path in masked]))
            make_private_file(spool / _MASKED)

    def masked(self, spool: Path) -> list[str]:
        """Return the protected files and folders that looked empty to the command of `spool` (blocking)."""
        try:
            found = json.loads((spool / _MASKED).read_bytes())
        except (OSError, ValueError):
            return []
        return [str(path) for path in found]

    async def after(self, spool: Path) -> list[str]:
        """Return the files that the command of `spool` changed and that make git run something."""
        return await asyncio.to_thread(self._compare, spool)

    def _compare(self, spool: Path) -> list[str]:
        try:
            before = json.loads((spool / _BEFORE).read_bytes())
            roots = self._profile({}, read_only=True).writable  # the guards, long to look for, are not asked for
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
