"""Commands in bubblewrap: namespaces of their own, and a file system of what the profile shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui_agent.sandbox import temporary
from tui_agent.sandbox.profile import Profile

PROGRAMS = (Path("/usr/bin/bwrap"), Path("/usr/local/bin/bwrap"), Path("/run/current-system/sw/bin/bwrap"))
"""Where it is looked for, not on the PATH: a workspace could bring one. AppArmor's profile names the first."""

LOCK, STATUS, SECCOMP = 100, 101, 102
"""Descriptors that the runner opens for it: kept while anything lives inside, told what lives, the filter."""


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
    line += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"]
    if network:
        line += _name_service()
    line += _temporary(profile)
    empty_folder, empty_file = profile.scratch / "empty", profile.scratch / "empty-file"
    for path in profile.hidden:
        if path.is_dir():
            line += ["--tmpfs", str(path)]
        else:
            line += ["--ro-bind", str(empty_file), str(path)]
    cache = profile.home / ".cache"
    for path in profile.readable:
        if cache not in path.parents:
            line += ["--ro-bind", str(path), str(path)]
    line += ["--bind", str(profile.scratch / "cache"), str(cache)]
    # As in `/tmp`: no mount point is made in a folder that an earlier command could write.
    for name in sorted(profile.kept_in_cache):
        line += ["--tmpfs", str(cache / name)]
    for path in profile.readable:
        if cache in path.parents:
            line += ["--ro-bind", str(path), str(path)]
    for path in (*profile.writable, *profile.pinned):
        line += ["--bind", str(path), str(path)]
    for path in profile.fixed:
        line += ["--ro-bind", str(path), str(path)]
    # Folders in place of missing files too: git adds no empty folder to a commit.
    for path in profile.masked:
        line += ["--ro-bind", str(empty_folder), str(path)]
    for path in profile.kept_out:
        if path.is_dir():
            line += ["--tmpfs", str(path), "--remount-ro", str(path)]
        else:
            line += ["--ro-bind", str(empty_file), str(path)]
    if sockets is not None:
        line += ["--ro-bind", str(sockets), str(sockets)]
    return [*line, "--chdir", str(profile.workspace), "--", *argv]


def _temporary(profile: Profile) -> list[str]:
    """Return the temporary folders: `/tmp` is the session's own, `/var/tmp` lasts as long as the command.

    What is shown inside `/tmp`, as a workspace there, is so in a file system of its own over the first part of its
    path: mount points are never made in a folder that an earlier command could write, as a symbolic link that it
    left there would lead outside.
    """
    kept = profile.kept_in_tmp
    if kept is None:
        line = ["--tmpfs", temporary.ROOT]
    else:
        line = ["--bind", str(profile.scratch / "tmp"), temporary.ROOT]
        for name in sorted(kept):
            line += ["--tmpfs", f"{temporary.ROOT}/{name}"]
    if Path("/var/tmp").is_dir() and not Path("/var/tmp").is_symlink():
        line += ["--tmpfs", "/var/tmp"]
    return line


def _name_service() -> list[str]:
    """Show the file that /etc/resolv.conf links to, which is in the hidden /run on many systems."""
    real = Path("/etc/resolv.conf").resolve()
    return ["--ro-bind", str(real), str(real)] if real.is_file() and real.is_relative_to("/run") else []
