"""Commands in bubblewrap: namespaces of their own, and a file system of what the profile shows."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tui_agent.sandbox import temporary
from tui_agent.sandbox.profile import Profile

PROGRAMS = (Path("/usr/bin/bwrap"), Path("/usr/local/bin/bwrap"), Path("/run/current-system/sw/bin/bwrap"))
"""Where it is looked for, not on the PATH: a workspace could bring one. AppArmor's profile names the first."""

LOCK, STATUS, SECCOMP = 100, 101, 102
"""Descriptors that the runner opens for it: kept while anything lives inside, told what lives, the filter."""

MEMORY_FILES = 4 * 1024**3
"""Bytes that each of the file systems in memory takes at most: /var/tmp, the home folder, /run."""

_PROC_FOLDERS = ("sys", "acpi", "bus", "driver", "dynamic_debug", "fs", "irq", "pressure", "scsi", "tty")
"""Folders of /proc, besides the processes', with files that set something in the kernel."""


def bubblewrap_argv(
    program: Path,
    profile: Profile,
    argv: Sequence[str],
    *,
    network: bool = False,
    sockets: Path | None = None,
    nested: bool = False,
) -> list[str]:
    """Return the argument list that runs `argv` in the sandbox of `profile`.

    The command's environment is the one that bubblewrap itself is started with: in an argument list all
    users could read it.

    `network` shares the host's network. `sockets` is a folder shown at the same path (the proxy's). `nested`
    leaves out `--disable-userns`, which needs version 0.8; the seccomp filter refuses namespaces all the same.
    """
    line = [str(program), "--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--new-session"]
    if not nested:
        line.append("--disable-userns")
    if network:
        line.append("--share-net")
    line += ["--sync-fd", str(LOCK), "--json-status-fd", str(STATUS), "--seccomp", str(SECCOMP)]
    line += _reading(profile) if profile.read_only else _working(profile, network=network)
    for path in profile.kept_out:
        line += _emptied(path, profile)
    if sockets is not None:
        line += ["--ro-bind", str(sockets), str(sockets)]
    if profile.read_only:
        line += ["--remount-ro", "/"]  # in memory, but not for the command to write
    return [*line, "--chdir", str(profile.workspace), "--", *argv]


def _working(profile: Profile, *, network: bool) -> list[str]:
    """Return the file system of a command that may change the workspace."""
    line = ["--ro-bind", "/", "/", *_kernel(), *_memory("/run")]
    if network:
        line += _name_service()
    line += _temporary(profile)
    empty_folder = profile.scratch / "empty"
    for path in profile.hidden:
        line += _memory(str(path)) if path.is_dir() else _emptied(path, profile)
    cache = profile.home / ".cache"
    for path in profile.readable:
        if cache not in path.parents:
            line += _bound(path)
    line += ["--bind", str(profile.scratch / "cache"), str(cache)]
    # As in `/tmp`: no mount point is made in a folder that an earlier command could write.
    for name in sorted(profile.kept_in_cache):
        line += _memory(str(cache / name))
    for path in profile.readable:
        if cache in path.parents:
            line += _bound(path)
    for path in (*profile.writable, *profile.pinned):
        line += ["--bind", str(path), str(path)]
    for path in profile.fixed:
        line += _bound(path)
    # The runner puts these in place before it starts this.
    for path, _ in profile.placeholders:
        line += ["--ro-bind-try", str(path), str(path)]
    # Folders in place of missing files too: git adds no empty folder to a commit.
    for path in profile.masked:
        line += ["--ro-bind", str(empty_folder), str(path)]
    return line


def _reading(profile: Profile) -> list[str]:
    """Return the file system of a command that only reads: the system's folders, the workspace, scratch in memory.

    `/tmp` shows the session's temporary files; what the command itself needs goes to /var/tmp and the home folder,
    which last as long as it does.
    """
    line = []
    for path in profile.shown:
        line += ["--symlink", os.readlink(path), str(path)] if path.is_symlink() else _bound(path)
    line += [*_kernel(), *_memory("/run"), *_memory("/var/tmp"), *_memory(str(profile.home))]
    if profile.kept_in_tmp is None:
        line += _memory(temporary.ROOT)
    else:
        line += _bound(profile.scratch / "tmp", temporary.ROOT)
        for name in sorted(profile.kept_in_tmp):
            line += _memory(f"{temporary.ROOT}/{name}")
    for path in (*profile.readable, *profile.writable):
        line += _bound(path)
    for path in profile.hidden:
        if any(path.is_relative_to(shown) for shown in (*profile.shown, *profile.writable, *profile.readable)):
            line += _emptied(path, profile)
    return line


def _kernel() -> list[str]:
    """Return /dev and /proc, with all closed that sets something in the kernel and what process 1 has open."""
    line = ["--dev", "/dev", "--proc", "/proc"]
    # Through its descriptors a command could open the runner's files.
    for name in ("/proc/1/fd", "/proc/1/task"):
        line += ["--tmpfs", name, "--remount-ro", name]
    for path in _settings_of_the_kernel():
        line += ["--ro-bind", path, path]
    return line


@cache
def _settings_of_the_kernel() -> tuple[str, ...]:
    """Return what in /proc can be written. Root owns it all, and keeps that right without any capability."""
    found = [f"/proc/{name}" for name in _PROC_FOLDERS if os.path.isdir(f"/proc/{name}")]
    if os.geteuid() != 0:
        return tuple(path for path in found if path in ("/proc/sys", "/proc/pressure"))
    with os.scandir("/proc") as entries:
        for entry in entries:
            if not entry.name.isdigit() and entry.is_file(follow_symlinks=False) and _writable(entry.path):
                found.append(entry.path)
    return tuple(found)


def _writable(path: str) -> bool:
    return bool(stat.S_IMODE(os.lstat(path).st_mode) & 0o222) or path == "/proc/sysrq-trigger"


def _temporary(profile: Profile) -> list[str]:
    """Return the temporary folders: `/tmp` is the session's own, `/var/tmp` lasts as long as the command.

    What is shown inside `/tmp`, as a workspace there, is so in a file system of its own over the first part of its
    path: mount points are never made in a folder that an earlier command could write, as a symbolic link that it
    left there would lead outside.
    """
    kept = profile.kept_in_tmp
    if kept is None:
        line = _memory(temporary.ROOT)
    else:
        line = ["--bind", str(profile.scratch / "tmp"), temporary.ROOT]
        for name in sorted(kept):
            line += _memory(f"{temporary.ROOT}/{name}")
    if Path("/var/tmp").is_dir() and not Path("/var/tmp").is_symlink():
        line += _memory("/var/tmp")
    return line


def _bound(path: Path, place: str = "") -> list[str]:
    return ["--ro-bind", str(path), place or str(path)]


def _memory(path: str) -> list[str]:
    return ["--size", str(MEMORY_FILES), "--tmpfs", path]


def _emptied(path: Path, profile: Profile) -> list[str]:
    """Return what makes a file or folder look empty."""
    if path.is_dir():
        return ["--tmpfs", str(path), "--remount-ro", str(path)]
    return ["--ro-bind", str(profile.scratch / "empty-file"), str(path)]


def _name_service() -> list[str]:
    """Show the file that /etc/resolv.conf links to, which is in the hidden /run on many systems."""
    real = Path("/etc/resolv.conf").resolve()
    return ["--ro-bind", str(real), str(real)] if real.is_file() and real.is_relative_to("/run") else []
