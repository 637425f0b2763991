"""Commands that run another command: where in their words the inner one stands.

`sudo rm x` is `rm x` to the guard, and `bash -c 'rm x'` too. A wrapper is *safe* when it adds nothing of its
own: then the line may be allowed if the inner command is. Where the words cannot be understood, the wrapper
is not safe, and the likeliest inner command is still looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tui_agent.permissions.guard.model import Word

SHELLS = frozenset(
    [
        "sh",
        "bash",
        "dash",
        "zsh",
        "ksh",
        "ksh93",
        "mksh",
        "ash",
        "fish",
        "csh",
        "tcsh",
        "rbash",
        "yash",
        "elvish",
        "nu",
        "pwsh",
    ]
)
"""Names of shells."""


@dataclass(frozen=True, slots=True)
class Inner:
    """An inner command: words of the wrapper from `offset` on, or the text of a `script`."""

    words: tuple[Word, ...] = ()
    offset: int = -1
    script: Word | None = None
    safe: bool = False
    appended: bool = False


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a wrapper's own words look: flags without and with a value, and operands before the command."""

    flags: str = ""
    values: str = ""
    operands: int = 0
    safe: bool = False
    appended: bool = False
    assignments: bool = False


_SHAPES: dict[str, _Shape] = {
    "time": _Shape("-p -v --verbose --portability", "-f -o --format --output", safe=True),
    "timeout": _Shape(
        "-v --verbose --foreground --preserve-status -p -f", "-k -s --kill-after --signal", 1, safe=True
    ),
    "nice": _Shape("", "-n --adjustment", safe=True),
    "ionice": _Shape("-t --ignore", "-c -n --class --classdata", safe=True),
    "stdbuf": _Shape("", "-i -o -e --input --output --error", safe=True),
    "nohup": _Shape(),
    "setsid": _Shape("-c -f -w --ctty --fork --wait"),
    "env": _Shape(
        "-i --ignore-environment - -0 --null -v --debug", "-u --unset -C --chdir -S", safe=True, assignments=True
    ),
    "command": _Shape("-p", safe=True),
    "builtin": _Shape(safe=True),
    "exec": _Shape("-c -l", "-a"),
    "coproc": _Shape(),
    "noglob": _Shape(),
    "nocorrect": _Shape(),
    "xargs": _Shape(
        "-0 -r -t -x -p -i -l -e --null --no-run-if-empty --verbose --exit --interactive --replace --max-lines --eof",
        "-n -P -L -s -d -I -E -a --max-args --max-procs --max-chars --delimiter --arg-file",
        safe=True,
        appended=True,
    ),
    "parallel": _Shape("-k -0 -X -m --keep-order --null", "-j -n -N -a --jobs", appended=True),
    "sudo": _Shape(
        "-A -b -E -e -H -n -P -S -s -i -k -K -B --askpass --background --preserve-env --login --shell",
        "-u -g -h -p -C -c -r -t -T -U -D -R --user --group --host --prompt --chdir --chroot",
        assignments=True,
    ),
    "doas": _Shape("-n -s -L", "-a -C -u", assignments=True),
    "pkexec": _Shape("--disable-internal-agent --keep-cwd", "--user"),
    "runuser": _Shape("-l -m -p -f", "-u -g -G -s -w"),
    "gosu": _Shape(operands=1),
    "su-exec": _Shape(operands=1),
    "chroot": _Shape("", "--userspec --groups", 1),
    "unshare": _Shape("-m -u -i -n -p -U -C -T -f -r -c --fork --map-root-user", "-R -w -S -G"),
    "nsenter": _Shape("-a -m -u -i -n -p -U -C -T -F -e", "-t -S -G -r -w"),
    "setarch": _Shape("-R -v -L -F -B -I -S -T -Z", "", 1),
    "linux32": _Shape(),
    "linux64": _Shape(),
    "taskset": _Shape("-a", "-p -c", 1),
    "chrt": _Shape("-a -b -f -i -m -o -r -R", "-T -P -D", 1),
    "numactl": _Shape("-l -s -a", "-i -N -C -m -p"),
    "prlimit": _Shape("", "-p -o"),
    "cpulimit": _Shape("-z -i -f", "-l -p -e"),
    "strace": _Shape("-f -ff -c -C -q -v -t -tt -T -y", "-e -o -s -p -u -E -P -O -S"),
    "ltrace": _Shape("-f -c -C -S", "-e -o -s -p -u -l -n"),
    "valgrind": _Shape(),
    "perf": _Shape("-a -g -v", "-e -o -F", 1),
    "rlwrap": _Shape("-a -c -r", "-f -H -l"),
    "unbuffer": _Shape("-p"),
    "catchsegv": _Shape(),
    "proot": _Shape("-0 -v", "-r -b -w -q -k"),
    "fakeroot": _Shape("", "-l -s -i"),
    "faketime": _Shape("-f -m -p", "", 1),
    "torsocks": _Shape(),
    "proxychains": _Shape("-q", "-f"),
    "proxychains4": _Shape("-q", "-f"),
    "firejail": _Shape(),
    "systemd-run": _Shape("--user --scope --pty -P -t -q --wait -G", "-u -p -E --unit --property --setenv"),
    "systemd-inhibit": _Shape("", "--what --who --why --mode"),
    "dbus-run-session": _Shape("--"),
    "xvfb-run": _Shape("-a -l", "-n -s -e -f -p -w"),
    "ssh-agent": _Shape("-D -d -c -s", "-a -E -t"),
    "flock": _Shape("-n -x -s -e -o -u -F -v", "-w -E", 1),
    "watch": _Shape("-b -d -e -g -p -t -x -c", "-n -q"),
    "entr": _Shape("-a -c -d -n -p -r -s -z"),
    "busybox": _Shape(safe=True),
    "toybox": _Shape(safe=True),
    "sg": _Shape(operands=1),
    "newgrp": _Shape(operands=1),
    "caffeinate": _Shape("-d -i -m -s -u", "-t -w"),
    "arch": _Shape("-x86_64 -arm64"),
    "uv": _Shape("run", "--with --python -p --project --package"),
    "poetry": _Shape("run"),
    "pipenv": _Shape("run"),
    "pdm": _Shape("run"),
    "hatch": _Shape("run"),
    "rye": _Shape("run"),
    "bundle": _Shape("exec"),
    "direnv": _Shape("exec", operands=1),
    "mise": _Shape("exec x --"),
    "npx": _Shape("-y --yes --no-install -q", "-p --package -c --call"),
    "bunx": _Shape(),
    "pnpx": _Shape(),
    "uvx": _Shape("", "--from --with -p"),
}
_NEEDS_WORD = {
    "uv": "run", "poetry": "run", "pipenv": "run", "pdm": "run", "hatch": "run", "rye": "run", "bundle": "exec",
    "direnv": "exec",
}  # fmt: skip
_SCRIPT_FLAGS = {
    "su": ("-c", "--command", "--session-command"), "runuser": ("-c", "--command"), "script": ("-c", "--command"),
    "env": ("-S", "--split-string"), "flock": ("-c", "--command"), "npx": ("-c", "--call"), "sg": ("-c",),
    "nix-shell": ("--run", "--command"), "git": (), "watchexec": (),
}  # fmt: skip
_FIND_ACTIONS = frozenset(["-exec", "-execdir", "-ok", "-okdir"])
_FD_ACTIONS = frozenset(["-x", "--exec", "-X", "--exec-batch"])
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_LOADER = re.compile(r"ld(-linux[a-z0-9_.-]*|-musl[a-z0-9_.-]*|\.so)(\.\d+)*")


def unwrap(words: tuple[Word, ...]) -> list[Inner]:
    """Return the commands that a command with these words runs; empty if it is no wrapper."""
    if not words:
        return []
    name = words[0].text.rsplit("/", 1)[-1]
    argv = [word.text for word in words]
    if name in SHELLS:
        return _shell(words, argv)
    if name in ("find", "gfind"):
        return _actions(words, argv, _FIND_ACTIONS, ends=(";", "+"))
    if name in ("fd", "fdfind"):
        return _actions(words, argv, _FD_ACTIONS, ends=(";",))
    if name == "eval":
        return [Inner(script=_joined(words[1:]))] if len(words) > 1 else []
    if name == "trap" and len(words) > 2:
        return [Inner(script=words[1])]
    if name == "ssh":
        return _ssh(words, argv)
    if name == "git":
        return [
            Inner(script=Word(w.raw, w.text.split("!", 1)[1], w.constant))
            for w in words
            if w.text.startswith("alias.") and "=!" in w.text
        ]
    if _LOADER.fullmatch(name) and len(words) > 1:
        at = next((i for i in range(1, len(argv)) if not argv[i].startswith("-")), 0)
        return [Inner(words[at:], at)] if at else []
    scripts = [Inner(script=words[i + 1]) for i, text in enumerate(argv[:-1]) if text in _SCRIPT_FLAGS.get(name, ())]
    scripts += [
        Inner(script=Word(words[i].raw, text.split("=", 1)[1], words[i].constant))
        for i, text in enumerate(argv)
        if "=" in text and text.split("=", 1)[0] in _SCRIPT_FLAGS.get(name, ())
    ]
    if scripts:
        return scripts
    shape = _SHAPES.get(name)
    if shape is None or (name in _NEEDS_WORD and _NEEDS_WORD[name] not in argv[1:3]):
        return []
    if name == "command" and argv[1:2] and argv[1] in ("-v", "-V", "-pv", "-pV"):
        return []
    if name == "arch" and len(argv) < 3:
        return []
    return _shaped(words, argv, shape, name)


def _shaped(words: tuple[Word, ...], argv: list[str], shape: _Shape, name: str) -> list[Inner]:
    flags, values = set(shape.flags.split()), set(shape.values.split())
    safe, operands, at = shape.safe, shape.operands, 1
    while at < len(argv):
        text = argv[at]
        if text == "--":
            at += 1
            if operands == 0:
                break
            continue
        if text in flags:
            asks = text in ("-i", "--ignore-environment", "--interactive") or (name == "xargs" and text == "-p")
            safe = safe and not asks
            at += 1
        elif text in values:
            safe = safe and not _risky(name, text)
            at += 2
        elif text.startswith("--") and "=" in text:
            flag = text.split("=", 1)[0]
            safe = safe and flag in values and not _risky(name, flag)
            at += 1
        elif text.startswith("-") and text[:2] in values and len(text) > 2:
            safe = safe and not _risky(name, text[:2])
            at += 1
        elif text.startswith("-") and len(text) > 1:
            clustered = all(f"-{letter}" in flags for letter in text[1:])
            safe = safe and (clustered or (name == "nice" and text[1:].isdigit()))
            at += 1
        elif shape.assignments and _ASSIGNMENT.match(text):
            at += 1
        elif operands:
            operands -= 1
            at += 1
        else:
            break
    if at >= len(argv):
        if name == "xargs":  # it runs echo
            return [Inner((Word("echo", "echo"),), -1, safe=safe, appended=True)]
        return []
    return [Inner(words[at:], at, safe=safe, appended=shape.appended)]


def _risky(name: str, flag: str) -> bool:
    """Say whether a flag with a value makes a safe wrapper write a file, read words from one, or change folder."""
    return flag in {"time": ("-o", "--output"), "xargs": ("-a", "--arg-file"), "env": ("-C", "--chdir", "-S")}.get(
        name, ()
    )


def _shell(words: tuple[Word, ...], argv: list[str]) -> list[Inner]:
    for at, text in enumerate(argv[1:], 1):
        if text.startswith("-") and not text.startswith("--") and "c" in text[1:] and at + 1 < len(argv):
            plain = at == 1 and text == "-c" and len(argv) == 3 and argv[0] in ("bash", "sh", "dash")
            script = at + 1
            while script < len(argv) - 1 and argv[script].startswith(("-", "+")):
                script += 1
            return [Inner(script=words[script], safe=plain)]
        if text in ("--command",) and at + 1 < len(argv):
            return [Inner(script=words[at + 1])]
    return []


def _actions(words: tuple[Word, ...], argv: list[str], actions: frozenset[str], ends: tuple[str, ...]) -> list[Inner]:
    found = []
    for at, text in enumerate(argv):
        if text in actions:
            end = next((i for i in range(at + 1, len(argv)) if _is_end(argv, i, ends)), len(argv))
            if end > at + 1:
                found.append(Inner(words[at + 1 : end], at + 1, safe=text == "-exec", appended=True))
        elif "=" in text and text.split("=", 1)[0] in actions:
            found.append(Inner(script=Word(text, text.split("=", 1)[1])))
    return found


def _is_end(argv: list[str], at: int, ends: tuple[str, ...]) -> bool:
    """Say whether the word ends the command of an action: to find, `+` does so only behind `{}`."""
    return argv[at] in ends and (argv[at] != "+" or argv[at - 1] == "{}")


def _ssh(words: tuple[Word, ...], argv: list[str]) -> list[Inner]:
    found = []
    with_value = {
        "-b",
        "-c",
        "-D",
        "-E",
        "-e",
        "-F",
        "-I",
        "-i",
        "-J",
        "-L",
        "-l",
        "-m",
        "-O",
        "-o",
        "-p",
        "-Q",
        "-R",
        "-S",
        "-W",
        "-w",
    }
    at = 1
    while at < len(argv) and argv[at].startswith("-"):
        option = argv[at + 1] if argv[at] == "-o" and at + 1 < len(argv) else argv[at][2:]
        match = re.match(r"(?i)\s*(ProxyCommand|LocalCommand|KnownHostsCommand)[\s=]+(.*)", option, re.DOTALL)
        if match:
            found.append(Inner(script=Word(option, match.group(2))))
        at += 2 if argv[at] in with_value else 1
    if at + 1 < len(argv):
        found.append(Inner(script=_joined(words[at + 1 :])))
    return found


def _joined(words: tuple[Word, ...]) -> Word:
    constant = all(word.constant for word in words)
    return Word(" ".join(w.raw for w in words), " ".join(w.text for w in words), constant)
