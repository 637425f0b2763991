"""What nobody means to do through an agent: it cannot be taken back, or hands the machine over.

Class of attack: `rm` of the root or the home, `mkfs`, `dd` onto a device, fork bombs, code from the network
straight into a shell, reverse shells. Denied in every mode, whatever a rule says.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from tui_agent.permissions.guard.heredoc import INTERPRETERS
from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings, Word
from tui_agent.permissions.guard.unwrap import SHELLS
from tui_agent.permissions.guard.words import reduce_word

_SYSTEM = re.compile(
    r"/|/(\*|\.\*|\?\*)?|/(bin|boot|dev|etc|home|lib|lib32|lib64|libx32|opt|proc|root|run|sbin|srv|sys|usr|var|mnt|media|Users|System|Library|"
    r"Applications|Volumes|private|usr/(bin|lib|lib64|local|sbin|share|include)|var/(lib|log|www|spool|mail)|private/(etc|var)|home/[^/]+|Users/[^/]+)(/(\*|\.\*|\{.*\})?)?"
)
_HOME_LEFT = re.compile(r"""["']?(\$\{?HOME[^/}]*\}?|~[a-z_][a-z0-9_-]*|~)["']?(/(\*|\.\*|\.\.?)?)?["']?""")
_DEVICE = re.compile(r"/dev/(sd|hd|vd|xvd|nvme|mmcblk|disk|rdisk|loop|md|dm-|mapper/|mem|kmem|port|sr|nbd|block/)\w*")
_MAKING = re.compile(r"(mkfs(\.\w+)?|mke2fs|mkswap|wipefs|blkdiscard|mkntfs|mkdosfs|newfs(_\w+)?|badblocks)")
_POWER = frozenset(["shutdown", "reboot", "halt", "poweroff"])
_FETCHERS = frozenset(
    [
        "curl",
        "wget",
        "fetch",
        "aria2c",
        "http",
        "https",
        "httpie",
        "lwp-request",
        "lynx",
        "links",
        "w3m",
        "GET",
        "nc",
        "ncat",
        "netcat",
        "socat",
        "telnet",
        "openssl",
        "ftp",
        "tftp",
        "scp",
        "ssh",
        "dig",
        "xh",
        "curlie",
    ]
)
_DECODERS = frozenset(
    ["base64", "base32", "xxd", "openssl", "uudecode", "basenc", "rev", "tr", "gpg", "gunzip", "zcat"]
)
_FUNCTION = re.compile(r"(?<![\w:.])(?:([\w:.]+)\s*\(\s*\)|function\s+([\w:.]+))")
_DOUBLED = re.compile(r"(?<![\w:.])([\w:.]+)\s*\|\s*\1(?![\w:.])|([}&])")
_WHILE_FORK = re.compile(r"\$0\s*(\||&)\s*\$0|while\s+(true|:)\s*;\s*do\s+\$?\(?(bash|sh)\b[^;]*&\s*done")
_REVERSE = (
    re.compile(r"/dev/(tcp|udp)/"),
    re.compile(r"/inet/(tcp|udp)/"),
    re.compile(r"(rmtree|rm_rf|rm_r|removeSync|rmSync|unlink|deltree)\s*(?:\(\s*)?['\"](/|~)['\"]"),
)
# the second anywhere after the first
_REVERSE_PAIRS = (
    (re.compile(r"socket"), re.compile(r"subprocess|pty\.spawn|os\.dup2|execve?|spawn|exec|popen|system|sh\b")),
    (re.compile(r"fsockopen|TCPSocket|TCPsocket|Socket::INET|use\s+Socket|IO::Socket|net\.connect|net\.Socket|socket\.tcp"),
     re.compile(r"exec|system|spawn|popen|proc_open|/bin/|sh\b")),
)  # fmt: skip
_FETCHES = re.compile(r"\b(curl|wget)\b")
_INTO_SHELL = re.compile(r"\s*(sudo\s+)?(/\S+/)?(ba|z|da|k|)sh\b")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny all of these."""
    if _is_fork_bomb(line.text) or _WHILE_FORK.search(line.text):
        return Finding("deny", "it is a fork bomb")
    if "error" in line.features or "node" in line.features:
        if "--no-preserve-root" in line.text:
            return Finding("deny", "it removes the root")
        if _runs_fetched(line.text):
            return Finding("deny", "it runs code from the network")
    for redirection in line.redirections:
        target = os.path.normpath(redirection.target.text or ".")
        if redirection.operator not in ("<", "<<", "<<<") and _DEVICE.match(target):
            return Finding("deny", f"it writes onto the device {target}")
        if redirection.operator not in ("<", "<<", "<<<") and target in (
            "/proc/sysrq-trigger",
            "/proc/sys/kernel/core_pattern",
        ):
            return Finding("deny", f"it writes to {target}")
        if redirection.operator not in ("<", "<<", "<<<"):
            for place in _places(redirection.target, surroundings):
                if _takes_over(place, surroundings):
                    return Finding(
                        "deny", f"it writes to {redirection.target.raw}, which opens the machine or the account"
                    )
    sources = _Sources.of(line)
    values = _values(line, surroundings)
    for command in line.commands:
        for meant in _meant(line, command, values, surroundings):
            reason = _problem(line, meant, surroundings, sources) or _planting(meant, surroundings)
            if reason:
                return Finding("deny", reason)
    return _carried_out(line, surroundings)


_TAKES_OVER = re.compile(
    r"/etc/(passwd|shadow|gshadow|group|sudoers(\.d/.*)?|doas\.conf|crontab|anacrontab|cron\.[^/]+(/.*)?|ld\.so\.(preload|conf)(\.d/.*)?|"
    r"profile(\.d/.*)?|bash\.bashrc|bashrc|zsh/.*|environment|rc\.local|inittab|init\.d/.*|pam\.d/.*|ssh/.*|systemd/system/.*|security/.*|"
    r"modprobe\.d/.*|udev/rules\.d/.*|hosts\.(allow|deny)|xdg/autostart/.*)|/var/spool/(cron|at)(/.*)?|/(usr/)?lib/systemd/system/.*|/boot/.*|"
    r"/proc/sys/kernel/(core_pattern|modprobe|hotplug)|/sys/kernel/uevent_helper|/(usr/(local/)?)?s?bin/[^/]+"
)
_ACCOUNT = re.compile(
    r"\.(bashrc|bash_profile|bash_login|bash_logout|bash_aliases|profile|zshrc|zshenv|zprofile|zlogin|zlogout|login|cshrc|tcshrc|kshrc|xprofile|"
    r"xinitrc|xsession|pam_environment|forward|rhosts|shosts|gitconfig)|\.ssh/(authorized_keys2?|config|rc|environment)|\.config/(fish/(config\.fish|conf\.d/.*)|"
    r"autostart/.*|systemd/user/.*|environment\.d/.*|git/config)|Library/LaunchAgents/.*|\.local/share/systemd/user/.*"
)
_WRITES = frozenset(
    [
        "tee",
        "cp",
        "mv",
        "install",
        "ln",
        "dd",
        "rsync",
        "sponge",
        "truncate",
        "sed",
        "gsed",
        "patch",
        "ed",
        "ex",
        "scp",
        "link",
    ]
)


def _takes_over(place: str, surroundings: Surroundings) -> bool:
    """Say whether what is written to `place` runs later, or lets somebody in."""
    place = os.path.normpath(place)
    places = [place, os.path.realpath(place)]
    home = os.path.normpath(surroundings.places.home)
    for one in places:
        if _TAKES_OVER.fullmatch(one):
            return True
        for folder in (home, "/root", *re.findall(r"^/(?:home|Users)/[^/]+(?=/)", one)):
            if folder != "/" and one.startswith(folder + "/") and _ACCOUNT.fullmatch(one[len(folder) + 1 :]):
                return True
    return False


def _places(word: Word, surroundings: Surroundings) -> list[str]:
    """Return the absolute paths that a word names, its home and braces put in."""
    text = re.sub(r"^(\$\{?HOME\}?|~)(?=/)", surroundings.places.home.replace("\\", ""), word.text)
    braces = re.fullmatch(r"([^{}]*)\{([^{}]*)\}([^{}]*)", text)
    texts = [braces[1] + part + braces[3] for part in braces[2].split(",")] if braces else [text]
    return [os.path.join(surroundings.cwd, text) for text in texts if text and "\0" not in text]


def _planting(command: Command, surroundings: Surroundings) -> str:
    """Look for commands that write where something is started from, or who may come in is written down."""
    name, arguments = command.name, command.argv[1:]
    if name not in _WRITES or (
        name in ("sed", "gsed") and not any(re.match(r"-\w*i|--in-place", text) for text in arguments)
    ):
        return ""
    words = list(command.words[1:])
    if name in ("cp", "install", "ln", "rsync", "scp", "link") and not any(
        re.match(r"-\w*t|--target", text) for text in arguments
    ):
        words = [word for word in words if not word.text.startswith("-")][-1:]
    sources = [text.rsplit("/", 1)[-1] for text in arguments[:-1] if not text.startswith("-")]
    for word in words:
        text = re.sub(r"^(of=|--target-directory=|-t(?=[/~]))", "", word.text)
        for place in _places(Word(word.raw, text), surroundings):
            if any(
                _takes_over(target, surroundings)
                for target in (place, *(os.path.join(place, source) for source in sources))
            ):
                return f"it writes to {word.raw}, which opens the machine or the account"
    return ""


def _values(line: Line, surroundings: Surroundings) -> dict[str, str]:
    """Return the variables that the line sets to constants, and those of the environment that are known."""
    values = {"HOME": surroundings.places.home, "PWD": surroundings.cwd}
    for command in line.commands:
        declared = (
            [word.raw for word in command.words[1:]]
            if command.name in ("export", "declare", "local", "readonly", "typeset")
            else []
        )
        for text in (*command.assignments, *declared):
            name, equals, value = text.partition("=")
            if equals and re.fullmatch(r"[A-Za-z_]\w*", name):
                word = reduce_word(value, surroundings.places.home)
                resolved = word.text if word.constant else _filled(value, values)
                if resolved is not None:
                    values[name] = resolved
    return values


def _filled(raw: str, values: dict[str, str]) -> str | None:
    """Return a word with the known variables put in, None where something stays unknown."""
    if "'" in raw or "`" in raw or "$(" in raw:
        return None
    text = re.sub(
        r"\$(?:\{([A-Za-z_]\w*)(?::?[-=?][^{}]*)?\}|([A-Za-z_]\w*))",
        lambda m: values.get(m[1] or m[2], "\0"),
        raw.replace('"', ""),
    )
    return None if "\0" in text or "$" in text else text


def _meant(line: Line, command: Command, values: dict[str, str], surroundings: Surroundings) -> list[Command]:
    """Return the command as written, with known variables put in, and with the words that a pipe adds to it."""
    found = [command]
    if any(not word.constant for word in command.words):
        words: list[Word] = []
        for word in command.words:
            text = None if word.constant else _filled(word.raw, values)
            if text is None:
                words.append(word)
            elif '"' in word.raw:
                words.append(Word(text, text))
            else:
                words += [Word(part, part, glob=any(c in part for c in "*?[")) for part in text.split()]
        found.append(replace(command, words=tuple(words)))
    if command.appended:
        given = _constant_input(line, command)
        if given:
            extra = tuple(Word(part, part) for part in given.split())
            found += [replace(one, words=(*one.words, *extra)) for one in list(found)]
            found += [
                replace(one, words=tuple(extra[0] if word.text == "{}" else word for word in one.words))
                for one in found[:1]
                if extra
            ]
    return found


def _constant_input(line: Line, command: Command) -> str:
    """Return what a command reads where that is constant: the words of `echo` and `printf`, and here-strings."""
    texts = []
    at: Command | None = command
    while at is not None:
        for redirection in at.redirections:
            if redirection.operator == "<<<":
                texts.append(redirection.target.text)
            elif redirection.operator == "<<":
                texts.append(redirection.body)
        at = line.commands[at.parent] if at.parent >= 0 else None
    for source in line.upstream(command):
        if source.name in ("echo", "printf"):
            texts.append(
                " ".join(text for text in source.argv[1:] if text not in ("-n", "-e", "-E", "%s", "%s\\n", "%b"))
            )
    return "\n".join(texts).replace("\\n", "\n").replace("\\0", " ")[:4000]


def _carried_out(line: Line, surroundings: Surroundings) -> Finding:
    """Look into the constant text that a pipe hands to a shell."""
    from tui_agent.permissions.guard.shell import parse_line

    for command in line.commands:
        if command.name not in SHELLS or not _reads_program(command) or not line.upstream(command):
            continue
        text = _constant_input(line, command)
        if text and text != line.text and len(text) < len(line.text):
            found = check(parse_line(text, surroundings.cwd, surroundings.places.home), surroundings)
            if found.level == "deny":
                return found
    return PASS


def _is_fork_bomb(text: str) -> bool:
    """Say whether a function pipes itself into itself, in the background."""
    defined: dict[str, int] = {}
    for match in _FUNCTION.finditer(text):
        defined.setdefault(match[1] or match[2], match.end())
    doubled = False
    for match in _DOUBLED.finditer(text) if defined else ():
        name = match[1]
        if name is not None:
            doubled = doubled or defined.get(name, len(text)) <= match.start()
        elif match[2] == "&" and doubled:
            return True
        else:
            doubled = False
    return False


def _runs_fetched(text: str) -> bool:
    """Say whether a line that cannot be parsed pipes what it fetches into a shell."""
    for part in re.split(r"[\n;&]", text):
        stages = part.split("|")
        for position, stage in enumerate(stages[1:]):
            if _INTO_SHELL.match(stage) and _FETCHES.search(stages[position]):
                return True
    return False


def _substituted(text: str, wanted: str) -> bool:
    """Say whether `wanted`, an expression, is found in text that a substitution opened and nothing closed."""
    opened = False
    for match in re.finditer(rf"(\$\(|<\(|`)|(\))|{wanted}", text):
        if match[1]:
            opened = True
        elif match[2]:
            opened = False
        elif opened:
            return True
    return False


def _problem(line: Line, command: Command, surroundings: Surroundings, sources: _Sources) -> str:
    name, arguments = command.name, command.argv[1:]
    if name in ("rm", "unlink", "shred", "srm", "rmdir", "trash"):
        return _removing(command, surroundings)
    if (
        name in ("chmod", "chown", "chgrp", "setfacl", "chattr")
        and any(re.fullmatch(r"-\w*R\w*|--recursive", text) for text in arguments)
        and any(_vital(word, command, surroundings) for word in command.words[1:])
    ):
        return f"{name} -R of the root, the home or a system folder"
    if name == "mv" and len(command.words) > 2 and any(_vital(w, command, surroundings) for w in command.words[1:-1]):
        return "it moves the root, the home or a system folder away"
    if (
        name == "find"
        and any(_vital(w, command, surroundings) for w in command.words[1:3])
        and not {"-name", "-path", "-iname", "-regex"} & set(arguments)
    ):
        removing = "-delete" in arguments or any(
            c.parent == command.index and c.name in ("rm", "shred", "unlink") for c in line.commands
        )
        if removing:
            return "it removes everything below the root or the home"
    if (
        name in ("rsync",)
        and any(text.startswith("--del") for text in arguments)
        and _vital(command.words[-1], command, surroundings)
    ):
        return "it empties the root, the home or a system folder"
    if _MAKING.fullmatch(name) and not any(text in ("--help", "--version", "-V") for text in arguments):
        return f"{name} destroys what is on a disk"
    if name in ("dd", "dcfldd") and any(
        text.startswith("of=") and _DEVICE.match(os.path.normpath(text[3:])) for text in arguments
    ):
        return "dd onto a device"
    if (
        name
        in (
            "tee",
            "cp",
            "mv",
            "cat",
            "shred",
            "truncate",
            "install",
            "pv",
            "sgdisk",
            "parted",
            "fdisk",
            "sfdisk",
            "cryptsetup",
            "hdparm",
        )
        and name != "cat"
    ):
        if (
            any(_DEVICE.match(os.path.normpath(text)) for text in arguments[-1:] or ())
            or (
                name in ("tee", "shred", "sgdisk", "parted", "sfdisk", "cryptsetup")
                and any(_DEVICE.match(text) for text in arguments)
            )
        ) and not ({"-l", "--list", "-p", "print"} & set(arguments)):
            return f"{name} onto a device"
        if any(text == "/proc/sysrq-trigger" for text in arguments):
            return f"{name} to /proc/sysrq-trigger"
    if name == "kill" and arguments[-1:] in (("-1",), ("1",)) and len(arguments) > 1:
        return "it ends every process"
    if name in _POWER and not {"--help", "-w", "--version"} & set(arguments) and "-c" not in arguments:
        return "it turns the machine off"
    if (
        name in ("systemctl", "init", "telinit")
        and set(arguments) & {"poweroff", "reboot", "halt", "0", "6", "rescue", "emergency"}
        and len(arguments) < 3
    ):
        return "it turns the machine off"
    return _running(line, command, sources) or _listening(line, command)


def _removing(command: Command, surroundings: Surroundings) -> str:
    arguments = command.argv[1:]
    if "--no-preserve-root" in arguments:
        return "it removes the root"
    recursive = command.name in ("srm", "trash") or any(
        re.fullmatch(r"-\w*[rR]\w*|--rec\w*", text) for text in arguments
    )
    for word in command.words[1:]:
        if word.text.startswith("-"):
            continue
        if recursive and _vital(word, command, surroundings):
            return f"it removes {word.text}: the root, the home or a system folder"
        if _DEVICE.match(os.path.normpath(word.text or ".")):
            return f"it destroys the device {word.text}"
        if not recursive and word.glob and _vital(word, command, surroundings):
            return f"it removes all of {word.text}"
    return ""


def _vital(word: Word, command: Command, surroundings: Surroundings) -> bool:
    """Say whether a word names the root, the home, a folder of the system, or all that is in one of them."""
    text = word.text
    if not text or text.startswith("-"):
        return False
    if not word.constant and _HOME_LEFT.fullmatch(word.raw):
        return True
    if not word.constant and re.fullmatch(r"/?\$\{?\w+\}?/?\*?", text) and text.startswith("/"):
        return True  # `/$x` is the root where x is empty
    # a brace expansion is several words: look at each
    braces = re.fullmatch(r"(.*)\{([^{}]*,[^{}]*)\}(.*)", text)
    if braces and not word.quoted:
        return any(
            _vital(Word(part, braces[1] + part + braces[3], glob=True), command, surroundings)
            for part in braces[2].split(",")
        )
    bare = re.sub(r"/(\*|\.\*|\?\*|\.\[\^?!?\.\]\*|\{\*,\.\*\}|\*\*?/?\*?)$", "/", text) if word.glob else text
    home = os.path.normpath(surroundings.places.home)
    for cwd in command.cwds or frozenset([surroundings.cwd]):
        if not bare.startswith("/") and cwd is None:
            continue
        if word.glob and bare == text and re.fullmatch(r"\*+|\.\*|\?\*", text):
            bare = "."
        joined = os.path.join(cwd or "/", bare)
        for place in (os.path.normpath(joined).replace("//", "/"), os.path.realpath(joined)):
            if place == surroundings.places.workspace and place != home:
                continue
            if place in (home, "/") or home.startswith(place.rstrip("/") + "/") or _SYSTEM.fullmatch(place):
                return True
    return False


@dataclass(frozen=True, slots=True)
class _Sources:
    """The commands of a line, by index, that matter before a shell in a pipe."""

    fetching: frozenset[int]
    decoders: frozenset[int]
    turning: frozenset[int]  # of the decoders, those that only turn text around
    decoding: frozenset[int]

    @classmethod
    def of(cls, line: Line) -> _Sources:
        """Look through a line's commands."""
        named = {command.index: command.name for command in line.commands}
        return cls(
            frozenset(index for index, name in named.items() if name in _FETCHERS),
            frozenset(index for index, name in named.items() if name in _DECODERS),
            frozenset(index for index, name in named.items() if name in ("rev", "tr")),
            frozenset(command.index for command in line.commands if _decodes(command)),
        )


def _running(line: Line, command: Command, sources: _Sources) -> str:
    """Look for code from the network, or decoded from something unreadable, that goes into an interpreter."""
    name = command.name
    bare = re.sub(r"[\d.]+$", "", name)
    runs = (
        name in SHELLS
        or bare in ("python", "perl", "ruby", "node", "php", "lua", "deno", "bun", "osascript")
        or name in ("source", ".", "eval", "exec")
    )
    if not runs:
        return ""
    reading = _reads_program(command)
    before = set(line.upstream_indexes(command)) if reading else set[int]()
    if before & sources.fetching:
        return f"code from the network goes straight into {name}"
    decoders = sources.decoders if len(before) > 1 else sources.decoders - sources.turning
    if name in SHELLS and before & decoders and before & sources.decoding:
        return f"decoded text goes straight into {name}"
    for word in command.words[1:]:
        if not word.substitution and word.constant is not False:
            continue
        text = word.raw
        if _substituted(text, r"\b(curl|wget|fetch|nc|ncat|aria2c)\b") and (
            name in SHELLS or name in ("eval", "source", ".", "exec") or "-c" in command.argv or "-e" in command.argv
        ):
            return f"code from the network goes straight into {name}"
        if _substituted(text, r"\bbase(64|32)\s+(-d|-D|--d)"):
            return f"decoded text goes straight into {name}"
    for redirection in command.redirections:
        if redirection.operator in ("<", "<<<") and re.search(
            r"(<\(|\$\(|`)\s*\w*\s*(curl|wget)\b", redirection.target.raw
        ):
            return f"code from the network goes straight into {name}"
    return ""


def _decodes(command: Command) -> bool:
    arguments = command.argv[1:]
    if command.name in ("rev", "tr", "gunzip", "zcat", "uudecode"):
        return True
    return any(re.fullmatch(r"-\w*[dDr]\w*|--d\w*|enc|--reverse", text) for text in arguments)


def _reads_program(command: Command) -> bool:
    """Say whether an interpreter reads its program from its standard input."""
    arguments = [
        text
        for text in command.argv[1:]
        if text not in ("-s", "-", "-x", "-e", "-i", "-l", "--", "-u", "-ex", "/dev/stdin")
    ]
    if "-c" in arguments or command.name in ("eval", "exec"):
        return False
    if command.name in ("source", "."):
        return "/dev/stdin" in command.argv
    return "-s" in command.argv or not arguments or all(text.startswith("-") for text in arguments)


def _opens_a_way(text: str) -> bool:
    pairs = ((first.search(text), then) for first, then in _REVERSE_PAIRS)
    return any(pattern.search(text) for pattern in _REVERSE) or any(
        found is not None and then.search(text, found.end()) is not None for found, then in pairs
    )


def _listening(line: Line, command: Command) -> str:
    """Look for shells that are handed to the network."""
    name, arguments = command.name, command.argv[1:]
    if name in ("nc", "ncat", "netcat", "nc.traditional", "nc.openbsd", "busybox"):
        if (
            any(re.fullmatch(r"-\w*[ec]\w*|--exec|--sh-exec|--lua-exec", text) for text in arguments)
            and name != "busybox"
        ):
            return f"{name} hands a shell to the network"
        if any(c.name in SHELLS for c in line.upstream(command)):
            return f"a shell is connected to {name}"
    if name == "socat" and any(re.search(r"(?i)\b(exec|system|shell):", text) for text in arguments):
        return "socat hands a program to the network"
    if name in SHELLS and "-i" in arguments and any(c.name in _FETCHERS | {"mkfifo"} for c in line.commands):
        return "an interactive shell is connected to the network"
    bare = re.sub(r"[\d.]+$", "", name)
    if bare in INTERPRETERS or bare in ("node", "php"):
        texts = [*arguments, *(r.body or r.target.text for r in command.redirections)]
        for text in texts:
            if len(text) > 15 and _opens_a_way(text):
                return f"{name} opens a way for others to run commands, or removes everything"
    return ""
