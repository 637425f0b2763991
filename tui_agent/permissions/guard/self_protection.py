"""The program that asks, and the files that it decides by.

Class of attack: an agent that grants itself what it was refused: by writing the settings, the journal or the
audit trail, by ending or tracing the program, by typing into its terminal, by starting it without questions.
Denied in every mode, whatever a rule says.
"""

from __future__ import annotations

import re

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings
from tui_agent.permissions.guard.places import TooManyMatches, guessed_paths, leads_to
from tui_agent.permissions.sensitive import holds_own_files, own_file

APP = "tui-agent"

_TERMINAL = re.compile(r"/dev/(tty\w*|pts/\S*|console|ptmx)|/proc/[^/]+/fd/\d+")
_CHANGING = frozenset(
    [
        "rm",
        "unlink",
        "rmdir",
        "mv",
        "cp",
        "install",
        "ln",
        "tee",
        "dd",
        "touch",
        "truncate",
        "chmod",
        "chown",
        "chgrp",
        "chattr",
        "setfacl",
        "mkdir",
        "shred",
        "sed",
        "perl",
        "ed",
        "ex",
        "vi",
        "vim",
        "nano",
        "emacs",
        "patch",
        "rsync",
        "scp",
        "tar",
        "unzip",
        "cpio",
        "sqlite3",
        "git",
        "python",
        "python3",
        "node",
        "ruby",
        "php",
        "awk",
        "gawk",
        "curl",
        "wget",
        "sponge",
        "split",
        "csplit",
        "rename",
        "mkfifo",
        "mount",
        "bindfs",
        "umount",
        "find",
        "xxd",
        "base64",
        "jq",
        "yq",
        "bash",
        "sh",
        "zsh",
        "trash",
        "srm",
    ]
)
_TYPING = {
    "tmux": re.compile(
        r"send(-keys|-prefix)?|paste-buffer|pasteb|respawn-(pane|window)|pipe-pane|pipep|set-hook|run-shell|if-shell"
    ),
    "screen": re.compile(r"stuff|-X|paste|exec"),
    "zellij": re.compile(r"write|write-chars|action"),
    "kitty": re.compile(r"@|send-text"),
    "wezterm": re.compile(r"send-text"),
}  # fmt: skip
_ALWAYS_TYPING = frozenset(
    [
        "xdotool",
        "ydotool",
        "wtype",
        "dotool",
        "tioclinux",
        "wall",
        "write",
        "ttyecho",
        "inputattach",
        "conspy",
        "reptyr",
    ]
)
_TRACING = frozenset(
    ["gdb", "lldb", "strace", "ltrace", "ptrace", "reptyr", "perf", "bpftrace", "py-spy", "pyrasite", "gcore"]
)


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny all of these."""
    for redirection in line.redirections:
        if redirection.operator in ("<", "<<", "<<<"):
            continue
        cwds = frozenset[str | None]().union(*(c.cwds for c in line.commands)) or frozenset([surroundings.cwd])
        if _own(redirection.target.text, cwds, surroundings):
            return Finding("deny", f"{redirection.target.raw} is the app's own")
    for command in line.commands:
        reason = _problem(line, command, surroundings)
        if reason:
            return Finding("deny", reason)
    return PASS


def _problem(line: Line, command: Command, surroundings: Surroundings) -> str:
    name, arguments = command.name, command.argv[1:]
    read_only = command.index in line.usages
    if name in _TYPING and any(_TYPING[name].fullmatch(text) for text in arguments):
        return f"{name} types into terminals"
    if name in _ALWAYS_TYPING:
        return f"{name} writes to terminals, or types into them"
    if any(_TERMINAL.fullmatch(word.text) for word in command.words[1:]) and not read_only:
        return "it opens a terminal"
    if name in ("kill", "pkill", "killall", "skill", "killall5", "xkill"):
        reason = _ending(line, command)
        if reason:
            return reason
    if name in _TRACING and any(APP in text or text in ("$PPID",) for text in arguments):
        return "it traces the app"
    if name in (APP, "tui_agent") or (name.startswith("python") and "tui_agent" in arguments):
        text = " ".join(arguments)
        if re.search(r"bypass|permissions\s+(?!check)|trust|--data-dir|--config", text):
            return "it starts the app with other permissions, or changes them"
    if name in ("chattr", "setfacl", "umount", "mount") and any(APP in text for text in arguments):
        return "it changes the app's own files"
    if (not read_only and name in _CHANGING) or (name in ("find",) and not read_only):
        for word in guessed_paths(command):
            text = word.text
            if _own(text, command.cwds or frozenset([surroundings.cwd]), surroundings, glob=word.glob):
                return f"{word.raw} is the app's own"
            if len(text) > 12 and re.search(
                r"\.tui-agent/|\.claude/settings|/tui-agent/(settings|permissions|trusted|sessions|index)", text
            ):
                return "it names the app's own files"
            if name in ("rm", "mv", "chmod", "chown", "shred", "find", "trash", "srm", "rsync") and _holds(
                text, command, surroundings
            ):
                return f"{word.raw} holds the app's own files"
    return ""


def _ending(line: Line, command: Command) -> str:
    arguments = command.argv[1:]
    if any(re.search(r"tui.?agent", text) for text in arguments):
        return "it ends the app"
    if any("PPID" in word.raw for word in command.words):
        return "it ends the process that started it"
    if any(
        c.name in ("pgrep", "pidof", "ps", "grep") and any("tui-agent" in t or "tui_agent" in t for t in c.argv)
        for c in line.commands
    ):
        return "it ends the app"
    return ""


def _own(text: str, cwds: frozenset[str | None], surroundings: Surroundings, *, glob: bool = False) -> bool:
    try:
        return any(
            place is not None and own_file(place, surroundings.places) for place in leads_to(text, cwds, glob=glob)
        )
    except TooManyMatches:
        return False


def _holds(text: str, command: Command, surroundings: Surroundings) -> bool:
    if text.startswith("-"):
        return False
    return any(
        place is not None and holds_own_files(place, surroundings.places)
        for place in leads_to(text, command.cwds or frozenset([surroundings.cwd]))
    )
