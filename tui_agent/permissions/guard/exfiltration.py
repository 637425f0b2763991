"""Secrets together with a way out.

Class of attack: a key or the environment that goes to the network, in a body, an address or a DNS name.
Denied in every mode, whatever a rule says.
"""

from __future__ import annotations

import os
import re

from tui_agent.permissions.guard.model import PASS, Command, Finding, Line, Surroundings
from tui_agent.permissions.guard.places import guessed_paths, real_path
from tui_agent.permissions.sensitive import could_name_secret, secret_level

SINKS = frozenset(
    [
        "curl",
        "wget",
        "fetch",
        "aria2c",
        "http",
        "https",
        "httpie",
        "xh",
        "curlie",
        "lynx",
        "w3m",
        "nc",
        "ncat",
        "netcat",
        "socat",
        "telnet",
        "ftp",
        "tftp",
        "sftp",
        "scp",
        "ssh",
        "rsync",
        "rclone",
        "s3cmd",
        "aws",
        "gsutil",
        "gcloud",
        "az",
        "mail",
        "mailx",
        "sendmail",
        "mutt",
        "dig",
        "nslookup",
        "host",
        "drill",
        "ping",
        "ping6",
        "openssl",
        "whois",
        "finger",
        "logger",
        "gh",
        "glab",
        "kubectl",
        "docker",
        "croc",
        "wormhole",
        "magic-wormhole",
        "transfer",
        "smbclient",
        "irc",
    ]
)
"""Programs that reach the network."""

_DNS = frozenset(
    [
        "dig",
        "nslookup",
        "host",
        "drill",
        "ping",
        "ping6",
        "traceroute",
        "getent",
        "resolvectl",
        "nc",
        "curl",
        "wget",
        "whois",
        "systemd-resolve",
    ]
)
_ENVIRONMENT = frozenset(["env", "printenv", "set", "export", "declare"])
_STORES = {
    "security": re.compile(r"find-(generic|internet)-password|dump-keychain|export"),
    "gpg": re.compile(r"--export-secret\S*"), "pass": re.compile(r"show|[A-Za-z].*"),
    "secret-tool": re.compile(r"lookup|search"), "op": re.compile(r"read|item"), "vault": re.compile(r"read|kv"),
    "gh": re.compile(r"token"), "gcloud": re.compile(r"print-access-token|print-identity-token"),
    "kubectl": re.compile(r"secrets?"), "aws": re.compile(r"get-session-token|get-secret-value|export-credentials"),
}  # fmt: skip
_ENCODED = re.compile(r"^(?=.*\d)[A-Za-z0-9_=-]{40,63}$")
_VARIABLE = re.compile(r"(?i)\$\{?[A-Z0-9_]*(TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|PRIVATE|CREDENTIAL)")


def check(line: Line, surroundings: Surroundings) -> Finding:
    """Deny a secret source and a network sink in one line, and names that carry data to a DNS server."""
    sinks = [command for command in line.commands if command.name in SINKS]
    socket = any("/dev/tcp/" in r.target.text or "/dev/udp/" in r.target.text for r in line.redirections)
    code = [c for c in line.commands if _code_with_network(c)]
    if not sinks and not socket and not code:
        return PASS
    for command in sinks:
        if command.name in _DNS:
            reason = _data_in_name(command)
            if reason:
                return Finding("deny", reason)
    for command in line.commands:
        reason = _source(command, surroundings, len(sinks))
        if reason:
            way = sinks[0].name if sinks else "the network"
            return Finding("deny", f"{reason}, and {way} reaches the network")
    return PASS


def _code_with_network(command: Command) -> bool:
    if not re.match(r"(python|node|ruby|perl|php|deno|bun)", command.name):
        return False
    texts = [text for text in command.argv[1:] if len(text) > 10]
    return any(
        re.search(
            r"(?i)\b(requests\.|urllib|http\.client|urlopen|fetch\(|https?://|net::http|file_get_contents|LWP)", text
        )
        for text in texts
    )


def _source(command: Command, surroundings: Surroundings, sinks: int) -> str:
    name, arguments = command.name, command.argv[1:]
    is_sink = name in SINKS
    if name in _ENVIRONMENT and not command.wrapper:
        listing = not arguments or all(text in ("-0", "-p", "-x", "--null") for text in arguments)
        if listing or (name == "printenv" and re.search(r"(?i)key|token|secret|passw", " ".join(arguments))):
            return "the environment is read"
    if name in _STORES and (not is_sink or sinks > 1) and any(_STORES[name].fullmatch(text) for text in arguments):
        return f"{name} shows secrets"
    sending = name in ("curl", "wget", "http", "nc")
    if sending and any(_VARIABLE.search(word.raw) for word in command.words[1:]) and not _sent_as_login(command):
        return "a variable with a secret is sent"
    words = [word.text for word in guessed_paths(command)]
    words += [r.target.text for r in command.redirections if r.operator in ("<", "<>")]
    using_key = name in ("ssh", "scp", "sftp", "rsync") and "-i" in arguments
    to_use = _credentials_to_use(command) if name in ("curl", "wget") else []
    for text in dict.fromkeys(words):
        if using_key and arguments[arguments.index("-i") + 1 : arguments.index("-i") + 2] == (text,):
            continue
        if text in to_use:
            continue
        if _secret(text, command, surroundings):
            return f"{text} is read"
    inline = [
        text
        for text in arguments
        if len(text) > 15 and command.name.startswith(("python", "node", "perl", "ruby", "php", "deno", "bun"))
    ]
    for text in inline:
        if re.search(r"(?i)\.ssh/|\.aws/|\.env\b|id_rsa|os\.environ|process\.env|ENV\[|%ENV|getenv", text):
            return "the program reads secrets"
    return ""


def _secret(text: str, command: Command, surroundings: Surroundings) -> bool:
    if could_name_secret(text) and any(c in text for c in "*?["):
        return True
    for cwd in command.cwds or frozenset([surroundings.cwd]):
        joined = os.path.normpath(os.path.join(cwd or "/", text))
        if secret_level(joined) or secret_level(real_path(joined) if "\0" not in joined else joined):
            return True
    return False


def _sent_as_login(command: Command) -> bool:
    """Say whether the only secret is in a header or a login: that is what tokens are for."""
    arguments = command.words
    for position, word in enumerate(arguments[1:], 1):
        if _VARIABLE.search(word.raw):
            before = arguments[position - 1].text
            header = before in ("-H", "--header", "-u", "--user", "--oauth2-bearer") or word.text.startswith(
                ("-H", "--header=", "-u", "--user=")
            )
            if not header:
                return False
    return True


def _credentials_to_use(command: Command) -> list[str]:
    """Return the files that a client takes its own key or login from, without sending them as data."""
    found = []
    for position, text in enumerate(command.argv[:-1]):
        if text in (
            "--key",
            "--cert",
            "-E",
            "--cacert",
            "--netrc-file",
            "--private-key",
            "--certificate",
            "--ca-certificate",
        ):
            found.append(command.argv[position + 1])
    return found


def _data_in_name(command: Command) -> str:
    for word in command.words[1:]:
        text = word.text
        if command.name in ("curl", "wget", "nc"):
            match = re.match(r"[a-z]+://([^/?#]*)", text)
            if not match and command.name != "nc":
                continue
            text = match.group(1) if match else text
            raw = re.sub(r"^[\"']?[a-z]+://", "", word.raw).split("/")[0] if word.substitution else ""
            if word.substitution and re.match(r"\$\(|`", raw):
                return "a name for the DNS carries the output of a command"
        elif (word.substitution or (not word.constant and not word.opaque)) and re.search(r"[)}`\w]\.\w", word.raw):
            return "a name for the DNS carries data"
        labels = text.split(".")
        if len(labels) > 1 and any(_ENCODED.match(label) for label in labels[:-1]):
            return "a name for the DNS carries encoded data"
    return ""
