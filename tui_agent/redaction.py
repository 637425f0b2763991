"""Keeps secrets out of what is written down: known key formats, and the values of secret variables.

Applied to text when it becomes an event, so that the model and the disk get the same text, and by the command
runner before it writes output down. Standard library only, and little of it: the runner imports this.

The formats are those that the issuers document by a fixed prefix; nothing is guessed from randomness, which
would take commit hashes and ids for secrets.
"""

from __future__ import annotations

import binascii
import json
import re

TYPE_CHECKING = False  # importing typing would take a fifth of the runner's start-up time
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

SECRET_NAME = re.compile(
    r"(^|_)((API|ACCESS|PRIVATE|MASTER|ENCRYPTION|SIGNING|AUTH|ACCOUNT|SECRET|DEPLOY|LICENSE)_?KEY"
    r"|SECRETS?|[A-Z0-9]*TOKEN|[A-Z0-9]*PASSWORD|[A-Z0-9]*PASSWD|[A-Z0-9]*PASSPHRASE|PASS|(SSH|DB|PG|MYSQL)PASS"
    r"|PAT|AUTH|CREDENTIALS?|COOKIE|DSN|CONNECTION_STRING|CONN_STR"
    r"|(DATABASE|DB|REDIS|MONGO|MONGODB|POSTGRES|POSTGRESQL|PG|MYSQL|AMQP|RABBITMQ|BROKER|JDBC)_(URL|URI))(_|$)"
    r"|_PWD$",
    re.IGNORECASE,
)
"""Names of environment variables whose values are secret."""

_PLACE = re.compile(r"_(SOCK|FILE|PATH|DIR|NAME|ID)$", re.IGNORECASE)
"""Ends of names that say where or which something is; the value is no secret, though its name may hold one."""

SHORTEST_VALUE = 8
"""Characters that a variable's value must have: a shorter one is no secret, and is found in many words."""

_W = r"[A-Za-z0-9_-]"
_PEM_LINE = r"(?:[\s\\rn→|]*+\d*+[\s→|]*+[A-Za-z0-9+/=]{40,}+)*+[\s\\rn]*+[A-Za-z0-9+/=]*+"

_CREDENTIALS = r"(?:[Bb]asic|[Bb]earer|[Tt]oken|BASIC|BEARER) [A-Za-z0-9+/=_.~-]{16,}"
_PGP_KEY = r"-----BEGIN PGP PRIVATE KEY BLOCK-----(?:[^-]|-(?!----))*+(?:-----END [A-Z ]*-----)?"
_USER_INFO = (
    r"(?<=://)(?!(?:[^\s/@:]*:)(?:\$|\{|<|%[({]|\*|x+@|(?:pass(?:word|wd)?|user|secret|postgres|root|guest|changeme|example)@))"
    r"[^\s/@:\"'`]*:[^\s/@\"'`]{3,}(?=@)"
)
"""Name and password in an address, but for what stands in place of a password in examples."""

_FORMATS: tuple[tuple[str, str, str], ...] = (
    # what it is, how it begins, all of it
    ("Anthropic key", "sk-ant-", rf"sk-ant-{_W}{{16,}}"),
    ("API key", "sk-", rf"(?<!{_W})sk-(?!ant-)(?:proj-|svcacct-|or-v1-)?(?=[A-Za-z_-]*\d){_W}{{24,}}"),
    *(("GitHub token", f"gh{kind}_", rf"\bgh{kind}_[A-Za-z0-9]{{36,}}") for kind in "pousr"),
    ("GitHub token", "github_pat_", r"\bgithub_pat_\w{22,}"),
    ("GitLab token", "glpat-", rf"\bglpat-{_W}{{20,}}"),
    ("AWS access key", "AKIA", r"\bAKIA[A-Z0-9]{16}\b"),
    ("AWS access key", "ASIA", r"\bASIA[A-Z0-9]{16}\b"),
    ("Google key", "AIza", rf"\bAIza{_W}{{35}}"),
    ("Google token", "ya29.", rf"\bya29\.{_W}{{20,}}"),
    ("Slack token", "xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("Slack token", "xapp-", r"\bxapp-\d-[A-Za-z0-9-]{20,}"),
    ("Slack webhook", "hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}"),
    ("Stripe key", "k_live_", r"\b[sr]k_live_[A-Za-z0-9]{16,}"),
    ("Stripe key", "k_test_", r"\b[sr]k_test_[A-Za-z0-9]{16,}"),
    ("npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}"),
    ("PyPI token", "pypi-AgE", rf"\bpypi-AgE{_W}{{50,}}"),
    ("Hugging Face token", "hf_", r"\bhf_[A-Za-z0-9]{30,}"),
    *(("DigitalOcean token", f"do{kind}_v1_", rf"\bdo{kind}_v1_[a-f0-9]{{64}}") for kind in "opr"),
    ("SendGrid key", "SG.", rf"\bSG\.{_W}{{22}}\.{_W}{{43}}"),
    ("JSON web token", "eyJ", rf"\beyJ{_W}{{10,}}\.eyJ{_W}{{10,}}\.{_W}{{10,}}"),
    ("Docker token", "dckr_pat_", rf"\bdckr_pat_{_W}{{20,}}"),
    ("Vault token", "hvs.", rf"\bhvs\.{_W}{{20,}}"),
    ("Vault token", "hvb.", rf"\bhvb\.{_W}{{20,}}"),
    ("Grafana token", "glsa_", r"\bglsa_[A-Za-z0-9]{20,}(?:_[A-Fa-f0-9]{8})?"),
    *(("Shopify token", f"shp{kind}_", rf"\bshp{kind}_[A-Fa-f0-9]{{32,}}") for kind in ("at", "ca", "pa", "ss")),
    ("Atlassian token", "ATATT3x", r"\bATATT3x[A-Za-z0-9_=-]{20,}"),
    ("Databricks token", "dapi", r"\bdapi[a-f0-9]{32}(?:-\d)?"),
    ("Groq key", "gsk_", r"\bgsk_[A-Za-z0-9]{32,}"),
    ("password", "://", _USER_INFO),
    *(("credentials", f"{name}: ", rf"(?<={name}: ){_CREDENTIALS}") for name in ("Authorization", "authorization")),
    ("credentials", "AUTHORIZATION: ", rf"(?<=AUTHORIZATION: ){_CREDENTIALS}"),
    ("private key", "-----BEGIN PGP ", _PGP_KEY),
    ("private key", "-----BEGIN ", rf"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----{_PEM_LINE}(?:-----END [A-Z0-9 ]*-----)?"),
)
_STARTS = (*dict.fromkeys(prefix for _, prefix, _ in _FORMATS), "rk_live_", "sk_live_", "rk_test_", "sk_test_")

_SEALED_BLOCKS = {"redacted_thinking", "compaction"}

LONGEST_HELD = 16_384
"""Characters of a stream held back at most while they may be the beginning of a secret."""

_SHORTEST_ENCODED = 10
"""Characters of an encoded value without its ends that are looked for; fewer are found in many words."""

_UNFINISHED_HEADER = re.compile(r"uthorization:[^\S\n]*(?:basic|bearer|token)?[^\S\n]*[^\s]*$", re.IGNORECASE)


def is_secret_name(name: str) -> bool:
    """Say whether an environment variable of this name holds a secret."""
    return SECRET_NAME.search(name) is not None and _PLACE.search(name) is None and name != "OLDPWD"


def encoded_forms(value: str) -> set[str]:
    """Return how a value looks in base64, wherever in the encoded text it begins, in hex, and in an address."""
    data = value.encode("utf-8", "surrogatepass")
    found = {data.hex(), data.hex().upper()}
    for before in range(3):
        text = binascii.b2a_base64(b"\0" * before + data, newline=False).decode()
        # the first and the last character also hold bits of what stands around the value
        core = text.rstrip("=")[(0, 2, 3)[before] : None if (before + len(data)) % 3 == 0 else -1]
        if len(text.rstrip("=")) % 4 and before == 0:
            found.add(text.rstrip("="))
        if len(core) >= _SHORTEST_ENCODED:
            found |= {core, core.replace("+", "-").replace("/", "_")}
    for kept in ("-._~", "-._~/", "-_.!~*'()"):
        quoted = "".join(
            chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) in kept) else f"%{byte:02X}"
            for byte in data
        )
        found |= {quoted, quoted.replace("%20", "+"), re.sub("%..", lambda match: match[0].lower(), quoted)}
    return found


class Redactor:
    """Replaces secrets by what they are: `[redacted: GitHub token]`.

    `secrets` are the secret variables of the environment, by name: all that it needs of it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.secrets = {
            name: value.strip()
            for name, value in environment.items()
            if is_secret_name(name) and len(value.strip()) >= SHORTEST_VALUE
        }
        values: dict[str, str] = {}
        for name, value in self.secrets.items():
            values |= dict.fromkeys(encoded_forms(value), name)
        values |= {value: name for name, value in self.secrets.items()}
        # As they stand in JSON, which tool calls arrive in.
        for plain in (True, False):
            values |= {json.dumps(value, ensure_ascii=plain)[1:-1]: name for name, value in self.secrets.items()}
        # Longest first: a value may hold another one.
        self._values = sorted(values.items(), key=lambda item: -len(item[0]))

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        if len(text) < SHORTEST_VALUE:
            return text  # every format is longer, too
        for value, name in self._values:
            if value in text:
                text = text.replace(value, f"[redacted: {name}]")
        for what, prefix, pattern in _FORMATS:
            # The search for the prefix is what costs, and it is fast. Few patterns are ever needed, and compiled.
            if prefix in text:
                text = re.sub(pattern, f"[redacted: {what}]", text)
        return text

    def value(self, value: Any) -> Any:
        """Return a JSON value without secrets in its texts; the very same object where there are none.

        Base64 data of images and documents stays as it is, and what a server signed or encrypted: it takes it back
        only to the letter.
        """
        if isinstance(value, str):
            clean = self.text(value)
            return value if clean == value else clean
        if isinstance(value, dict):
            kind = value.get("type")
            if kind in _SEALED_BLOCKS or (kind == "thinking" and "signature" in value):
                return value
            kept = {"encrypted_content", "encrypted_index"} | ({"data"} if kind == "base64" else set())
            changed = {self.text(k): v if k in kept else self.value(v) for k, v in value.items()}
            return changed if any(k not in changed or changed[k] is not v for k, v in value.items()) else value
        if isinstance(value, list):
            items = [self.value(item) for item in value]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        return value

    def stream(self) -> StreamRedactor:
        """Return a redactor for text that comes in pieces."""
        return StreamRedactor(self)

    def safe_length(self, text: str) -> int:
        """Return how many characters of `text` belong to no secret that may go on behind its end."""
        cut = len(text) - self._held(text)
        word = cut
        while 0 < word < len(text) and (text[word - 1].isalnum() or text[word - 1] in "_-"):
            word -= 1
            if cut - word > LONGEST_HELD:
                # No format is as long; all of an endless line would be held, and looked at again and again.
                break
        else:
            cut = word
        # Not in the middle of a value either, which can have blanks in it.
        moved = cut < len(text)
        while moved:
            moved = False
            for value, _ in self._values:
                at = text.find(value, max(0, cut - len(value) + 1))
                if 0 <= at < cut < at + len(value):
                    cut, moved = at, True
        return cut

    def _held(self, text: str) -> int:
        end = text[-LONGEST_HELD:]
        header = _UNFINISHED_HEADER.search(end) if ":" in end else None
        longest = len(end) - header.start() if header else 0
        last_word = len(end) if end[-1:].isspace() else len(end) - len((end.rsplit(None, 1) or [""])[-1])
        for start in (*_STARTS, *(value for value, _ in self._values)):
            # A secret that has begun goes on to the end, or to the first blank but for a private key.
            at = end.find(start, 0 if start.startswith("-----") else last_word)
            if at >= 0:
                longest = max(longest, len(end) - at)
            at = end.find(start[0], max(0, len(end) - len(start) + 1))
            while 0 <= at < len(end) - longest:
                if start.startswith(end[at:]):
                    longest = len(end) - at
                at = end.find(start[0], at + 1)
        return longest


class StreamRedactor:
    """Redacts text that comes in pieces: holds back an end that may be the beginning of a secret."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what can be shown by now."""
        # Cut before it is cleaned: what has begun may match already and go on all the same.
        text = self._held + text
        cut = self._redactor.safe_length(text)
        self._held = text[cut:]
        return self._redactor.text(text[:cut])

    def end(self) -> str:
        """Return what was held back."""
        return self._redactor.text(self.take_back())

    def take_back(self) -> str:
        """Return what was held back as it came, for somebody else to redact."""
        text, self._held = self._held, ""
        return text
