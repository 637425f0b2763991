"""Files that matter more than others: secrets, the app's own files, repositories' inner files, steering files.

All functions take absolute, normalised paths as text. They compare without regard to case, for a file system
may do so too.
"""

from __future__ import annotations

import fnmatch
import re
from typing import Literal

from tui_agent.permissions.guard.model import Places

Level = Literal["", "ask", "deny"]

# Private keys, password stores and cloud credentials: no task needs their content in a conversation.
_DENIED = re.compile(
    r"""(?xi)
    /\.ssh/(id_[^/]*(?<!\.pub)|identity|[^/]*\.pem|[^/]*_(rsa|ed25519|ecdsa|dsa))$
  | /\.gnupg(/|$) | /\.aws/(credentials|sso/cache|cli/cache)(/|$) | /\.azure/[^/]*(token|credential|profile)[^/]*$
  | /(\.config/gcloud|gcloud)/([^/]*credential[^/]*|access_tokens\.db|legacy_credentials)(/|$)
  | /\.kube/config$ | /\.docker/config\.json$ | /\.config/gh/hosts\.ya?ml$ | /\.password-store(/|$)
  | /\.(netrc|pgpass|git-credentials|my\.cnf|vault-token|pypirc)$ | /_netrc$ | /\.cargo/credentials(\.toml)?$
  | ^/etc/(shadow|gshadow|sudoers)(-|$|\.d/|/) | ^/etc/ssh/ssh_host_[^/]*_key$ | ^/private/etc/master\.passwd$
  | ^/proc/([^/]+/(task/[^/]+/)?(environ|mem|maps|auxv)$|kcore$|sysrq-trigger$) | ^/dev/(mem|kmem|port)$
  | ^/var/run/secrets/ | ^/run/secrets/
  | /(Login\ Data|key4\.db|logins\.json|cookies\.sqlite)$ | /Library/Keychains/ | /\.local/share/keyrings/
  | /wallet\.dat$ | /\.terraform\.d/credentials\.tfrc\.json$ | /\.config/op/
    """
)
_ASKED = re.compile(
    r"""(?xi)
    /\.env(rc)?([._~-](?!example$|sample$|template$|dist$|defaults?$)[^/]*)?$ | /\.env\d+$
  | /[^/]*kubeconfig[^/]*$ | /([^/]+[_-])?(deploy|private|signing|master|ssh)[_-]?key(\.(txt|json|bak))?$
  | /[^/]+\.env$ | /[^/]+\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|asc|gpg|ovpn|age)$
  | /(id_(rsa|dsa|ecdsa|ed25519)[^/]*(?<!\.pub))$
  | /(\.ssh|\.aws|\.azure|\.kube|\.docker|\.gnupg)(/|$)
  | /\.(npmrc|yarnrc|pip/pip\.conf|htpasswd|htdigest|boto|s3cfg|passwd-s3fs|(\w+_)?history)$
  | /\.(dockercfg|dockerconfigjson|databrickscfg|smbcredentials|mylogin\.cnf|msmtprc|mbsyncrc|fetchmailrc|authinfo)$
  | /(\.m2/settings(-security)?\.xml|\.gradle/gradle\.properties|\.kaggle/kaggle\.json|huggingface/token)$
  | /(rclone\.conf|local\.settings\.json|krb5cc_[^/]*)$ | /[^/]+\.(tfvars|keytab|jwk|p8)(\.json)?$
  | /([^/]*[._-])?((secrets|credentials)([._-](?!example|sample|template|dist|schema|test)[\w-]+)*|secret|credential)
     \.(json|ya?ml|toml|ini|txt|env|xml|properties|conf|cfg|enc)$
  | /(service[-_]?account[^/]*|client_secret[^/]*|auth|tokens?)\.(json|ya?ml|toml|ini|txt|env|xml|properties)$
  | /credentials$ | /[^/]*\.tfstate(\.backup)?$ | /\.vault_pass[^/]*$ | /\.secrets?(/|$)
  | ^/proc/(self|thread-self|\d+|\*)/(root|cwd|fd|task|cmdline|stack|ns|map_files)(/|$) | /\.config/gcloud(/|$)
    """
)
_EXAMPLES = (
    ".env", ".env.local", ".env.production", "id_rsa", "id_ed25519", "server.pem", "server.key", "credentials",
    "secrets.json", "secrets.yml", ".npmrc", ".netrc", ".ssh", ".aws", ".git-credentials", "prod.env",
)  # fmt: skip
_LONGEST_GLOB = 1000
_GIT_INNER = re.compile(r"(?i)/(\.git|\.git[^/]*~\d|git~\d)(/|$)")
_GIT_STEERING = re.compile(
    r"(?i)/\.git/(.*/)?(config(\.worktree)?|hooks(/.*)?|info/attributes|objects/info/alternates|commondir|gitdir)$"
)
_STEERING = re.compile(
    r"(?i)/(\.bashrc|\.bash_profile|\.bash_login|\.bash_logout|\.profile|\.zshrc|\.zshenv|\.zprofile|\.zlogin|\.inputrc|\.gitconfig|\.gitmodules|"
    r"\.gitattributes|\.envrc|\.mcp\.json|\.npmrc|\.yarnrc(\.yml)?|\.pnpmfile\.c?js|\.pre-commit-config\.yaml|\.ripgreprc|\.curlrc|\.wgetrc|"
    r"\.vimrc|\.exrc|\.tmux\.conf|crontab|sitecustomize\.py|usercustomize\.py|authorized_keys|\.ssh/.*|\.(vscode|idea|husky|devcontainer|cargo|cursor|codex|gemini|windsurf|claude|direnv|mise)(/.*)?|"
    r"\.github/workflows/.*|\.config/(fish|git|systemd|autostart)/.*|(\.?venv|env)/(bin/.*|pyvenv\.cfg|.*\.pth))$"
)


def secret_level(path: str, begin: int = 0) -> Level:
    """Return how secret the file at `path` is: never shown, shown when the user says so, or not at all.

    What stands before `begin` is known to make nothing secret.
    """
    if _DENIED.search(path, begin):
        return "deny"
    return "ask" if _ASKED.search(path, begin) else ""


def could_name_secret(pattern: str, *, searched: bool = False) -> bool:
    """Say whether a glob, such as `.e*`, could stand for a secret file's name.

    A shell's `*` at the start stands for no hidden file; where a program `searched` by it, it does.
    """
    last = pattern.rstrip("/").rsplit("/", 1)[-1]
    if len(last) > _LONGEST_GLOB:
        return True
    if last.strip("*?") == "" or not re.search(r"[*?\[]", last):
        return False
    if re.search(r"(?i)\.(pem|key|env|p12|pfx|kdbx|ppk)$", last):
        return True
    if last.startswith("*.") or (not searched and re.fullmatch(r"\*?[\w-]+\*?\.\w{1,4}", last)):
        return False
    hidden = searched or last.startswith((".", "["))
    return any(fnmatch.fnmatchcase(name, last) for name in _EXAMPLES if hidden or not name.startswith("."))


def own_file(path: str, places: Places) -> bool:
    """Say whether `path` is the app's own: its folders, and the files that grant or forbid."""
    folded = path.casefold()
    for folder in places.protected:
        if folder and (folded + "/").startswith(folder.casefold().rstrip("/") + "/"):
            return True
    return bool(
        re.search(r"/\.tui-agent(/|$)", folded)
        or re.search(r"/\.claude/settings(\.local)?\.json$", folded)
        or re.search(r"^/etc/tui-agent(/|$)", folded)
    )


def holds_own_files(path: str, places: Places) -> bool:
    """Say whether the folder `path` holds files of the app's own, so that removing it removes them."""
    prefix = path.rstrip("/").casefold() + "/"
    return any(folder and folder.casefold().startswith(prefix) for folder in places.protected)


def write_level(path: str) -> tuple[Level, str]:
    """Return how much writing to `path` matters, whoever asked for it, and why."""
    if _GIT_STEERING.search(path):
        return "deny", "it decides what git runs"
    if _GIT_INNER.search(path):
        return "ask", "it is inside a repository's .git"
    if _STEERING.search(path):
        return "ask", "programs run what it says"
    return "", ""
