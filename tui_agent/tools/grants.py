"""What a session-long grant for a command would cover."""

from __future__ import annotations

import re
import shlex

_OPERATORS = re.compile(r"[;&|<>()$`\\\n\r\0]")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]*")

# Programs whose first argument says what they do.
_WITH_SUBCOMMANDS = frozenset(
    [
        "apt",
        "brew",
        "bundle",
        "cargo",
        "composer",
        "conda",
        "docker",
        "dotnet",
        "gem",
        "gh",
        "git",
        "go",
        "gradle",
        "helm",
        "hg",
        "just",
        "kubectl",
        "make",
        "mix",
        "mvn",
        "nix",
        "npm",
        "pip",
        "pip3",
        "pipx",
        "pnpm",
        "poetry",
        "rake",
        "rustup",
        "svn",
        "systemctl",
        "terraform",
        "uv",
        "yarn",
    ]
)

# Programs that run or destroy whatever their arguments say: a grant for the name alone would cover anything.
_OPEN_ENDED = frozenset(
    [
        "awk",
        "bash",
        "bun",
        "bunx",
        "busybox",
        "chmod",
        "chown",
        "command",
        "coproc",
        "cp",
        "csh",
        "curl",
        "dash",
        "dd",
        "deno",
        "doas",
        "docker-compose",
        "env",
        "eval",
        "exec",
        "find",
        "fish",
        "ionice",
        "kill",
        "killall",
        "ksh",
        "ln",
        "lua",
        "mv",
        "nc",
        "nice",
        "node",
        "nohup",
        "npx",
        "perl",
        "php",
        "pkexec",
        "pkill",
        "python",
        "python3",
        "rm",
        "rsync",
        "ruby",
        "scp",
        "sed",
        "setsid",
        "sh",
        "shred",
        "source",
        "ssh",
        "stdbuf",
        "su",
        "sudo",
        "tar",
        "tclsh",
        "tee",
        "time",
        "timeout",
        "unlink",
        "watch",
        "wget",
        "xargs",
        "zsh",
    ]
)


def grant_scope(command: str) -> str:
    """Return the rule that a grant for this command would be; empty where it would be for exactly this call.

    One word for most programs, two for those with subcommands, three for `npm run NAME` and its like.
    """
    if _OPERATORS.search(command) or not command.isprintable():
        return ""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    if not words or not command.startswith(words[0]) or words[0] in _OPEN_ENDED:
        return ""
    wanted = 1
    if words[0] in _WITH_SUBCOMMANDS:
        wanted = 3 if words[1:2] in (["run"], ["exec"]) else 2
    head = words[:wanted]
    if len(head) < wanted or not all(_WORD.fullmatch(word) for word in head):
        return ""
    return f"Bash({' '.join(head)} *)"
