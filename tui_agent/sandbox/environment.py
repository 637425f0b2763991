"""The environment that a command gets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from tui_agent.redaction import is_secret_name

# What makes bash or a tool run code, or read the command differently, without being part of the command.
_STEERING = re.compile(
    r"^(BASH_ENV|ENV|SHELLOPTS|BASHOPTS|CDPATH|GLOBIGNORE|PROMPT_COMMAND|PS4|BASH_FUNC_.*|TUI_AGENT_.*"
    r"|ANTHROPIC_.*)$"
)

_NAMES = (
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR TMP TEMP TEMPDIR HOSTNAME COLUMNS LINES SSH_AUTH_SOCK "
    "DISPLAY WAYLAND_DISPLAY XAUTHORITY SOURCE_DATE_EPOCH HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY "
    "http_proxy https_proxy ftp_proxy all_proxy no_proxy SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CI DEBUG "
    "VERBOSE EDITOR VISUAL MAKEFLAGS MAKELEVEL CC CXX CPP LD AR NM CPATH KUBECONFIG IN_NIX_SHELL TF_LOG TF_INPUT"
)
_PREFIXES = (
    "LC_ XDG_ CMAKE_ PKG_CONFIG CONDA_ PYENV_ PYTHON VIRTUAL_ENV PIP_ UV_ POETRY_ PDM_ HATCH_ PIPENV_ PYTEST_ TOX_ "
    "COVERAGE_ DJANGO_ FLASK_ TOKENIZERS_ OMP_ CUDA_ NODE_ NVM_ NPM_CONFIG_ npm_config_ YARN_ PNPM_ BUN_ DENO_ "
    "VOLTA_ COREPACK_ GO CGO_ CARGO_ RUST JAVA_ JDK_ MAVEN_ GRADLE_ SDKMAN_ RUBY GEM_ BUNDLE_ RAILS_ RACK_ RBENV_ "
    "PHP_ COMPOSER_ PERL DOTNET_ ASDF_ MISE_ NIX_ HOMEBREW_ ANDROID_ COMPOSE_ GIT_AUTHOR_ GIT_COMMITTER_"
)
_SUFFIXES = (
    "_ENV _HOME _ROOT _DIR _PATH _HOST _PORT _VERSION _MODULE _MODE _LEVEL _LOG _OPTS _OPTIONS _REGION _PROFILE "
    "_VERBOSE CFLAGS CPPFLAGS CXXFLAGS LDFLAGS LDLIBS"
)


def _any_of(words: str) -> str:
    return f"(?:{words.replace(' ', '|')})"


_ALLOWED = re.compile(f"{_any_of(_NAMES)}|{_any_of(_PREFIXES)}.*|.*{_any_of(_SUFFIXES)}")
"""Names that commands get. What no name here allows is withheld, unless the user lets it through."""

_OF_THE_TERMINAL = re.compile(
    r"_|TERM\w*|COLORTERM|COLORFGBG|NO_COLOR|CLICOLOR\w*|LS_COLORS|LSCOLORS|SHLVL|PWD|OLDPWD|WINDOWID|TMUX\w*|STY|MORE"
    r"|(VTE|SSH|DBUS|GPG|HIST|DESKTOP|GNOME|GTK|QT|ITERM|KITTY|WEZTERM|ALACRITTY|GHOSTTY|VSCODE|KONSOLE|LESS)\w*"
    r"|PS\d|PAGER|\w+PAGER|MAIL|SESSION_MANAGER|INVOCATION_ID|JOURNAL_STREAM|ANTHROPIC_\w+|OPENAI_\w+"
)
"""Withheld without a word: they are about the user's terminal and desktop, which commands do not have."""

_FIXED = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_EDITOR": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "PYTHONUNBUFFERED": "1",
}

FAIL_FAST = {"PIP_RETRIES": "0", "npm_config_fetch_retries": "0", "CARGO_NET_RETRY": "0", "UV_HTTP_RETRIES": "0"}
"""For commands without network: it is no use to try again."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The search path for commands where the session has none."""


def withheld(base: Mapping[str, str], passed: Collection[str] = ()) -> list[str]:
    """Return the names of the variables that commands do not get, those that look like a secret's first."""
    names = (name for name in base if not _STEERING.match(name) and not _OF_THE_TERMINAL.fullmatch(name))
    missing = [name for name in names if name not in passed and not _allowed(name, base[name])]
    return sorted(missing, key=lambda name: (not is_secret_name(name), name))


def _allowed(name: str, value: str) -> bool:
    """Say whether commands get a variable: its name is known, and neither name nor value is a secret's."""
    return _ALLOWED.fullmatch(name) is not None and not is_secret_name(name) and not _PASSWORD_IN_URL.search(value)


_PASSWORD_IN_URL = re.compile(r"://[^\s/@:]*:[^\s/@]+@")


def command_environment(base: Mapping[str, str], passed: Collection[str] = ()) -> dict[str, str]:
    """Return the environment for a command: what is known to be needed of `base`, and nothing that waits for a user.

    Only variables of names on a list are kept, unless they are `passed`; none that looks like a secret's, and none
    that injects code into bash. Pagers, editors and prompts are turned off, because there is no terminal.
    """
    kept = {
        name: value
        for name, value in base.items()
        if not _STEERING.match(name) and (name in passed or _allowed(name, value))
    }
    return {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", **kept, **_FIXED}
