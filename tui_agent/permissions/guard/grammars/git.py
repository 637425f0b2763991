"""git: looking is harmless, in the surroundings that the runner gives it (see `repo_config`)."""

from __future__ import annotations

from tui_agent.permissions.guard.model import Command, Word
from tui_agent.permissions.guard.usage import NotHarmless, Usage, apply_spec, git_spec

_GLOBALS = frozenset(
    [
        "--no-pager",
        "-P",
        "--no-replace-objects",
        "--literal-pathspecs",
        "--no-optional-locks",
        "--glob-pathspecs",
        "--icase-pathspecs",
        "--noglob-pathspecs",
        "--no-lazy-fetch",
        "--no-advice",
    ]
)
_LISTING = frozenset(["-l", "--list", "--contains", "--no-contains", "--merged", "--no-merged", "--points-at", "-n"])


def split_git(words: tuple[Word, ...]) -> tuple[list[Word], tuple[Word, ...]]:
    """Return the folders given with -C, and the words from the subcommand on. Raises `NotHarmless`."""
    at, folders = 1, list[Word]()
    while at < len(words):
        text = words[at].text
        if text in _GLOBALS:
            at += 1
        elif text == "-C" and at + 1 < len(words):
            folders.append(words[at + 1])
            at += 2
        elif text in ("--version", "--help", "-h", "-v") and at + 1 == len(words):
            return folders, (Word("version", "version"),)
        elif text.startswith("-"):
            raise NotHarmless(f"git {text.split('=')[0]} is not known to be harmless")
        else:
            break
    return folders, words[at:]


def use_git(command: Command) -> Usage:
    """Return what the call reads. Raises `NotHarmless` for what changes the repository or runs a program."""
    folders, words = split_git(command.words)
    if not words:
        return Usage(paths=folders)
    name = words[0].text
    spec = git_spec(name)
    if spec is None:
        raise NotHarmless(f"git {name} is not known to be read-only")
    usage = apply_spec(spec, words[1:])
    if name not in ("log", "show", "diff", "blame", "annotate", "grep", "ls-files", "status", "check-ignore"):
        usage.paths = [word for word in usage.paths if word.text.startswith(("/", ".."))]
    for flag, value in usage.flags:
        if flag in ("--format", "--pretty") and "%G" in value:
            raise NotHarmless("a format with %G runs gpg")
        if flag in ("--format", "--sort") and "signature" in value:
            raise NotHarmless("a format with the signature runs gpg")
        if flag == "--textconv":
            raise NotHarmless("--textconv runs programs")
    check = _CHECKS.get(spec.check)
    if check is not None:
        check(usage)
    usage.paths += folders
    return usage


def _list(usage: Usage) -> None:
    flags = {flag for flag, _ in usage.flags}
    if usage.operands and not flags & _LISTING:
        raise NotHarmless("with a name it makes one, unless --list is given")


def _remote(usage: Usage) -> None:
    texts = [word.text for word in usage.operands]
    if texts and texts != ["show"] and (texts[0] != "get-url" or len(texts) > 2):
        raise NotHarmless("only the list of remotes and get-url are harmless")


def _reflog(usage: Usage) -> None:
    if usage.operands and usage.operands[0].text in ("expire", "delete", "drop", "write"):
        raise NotHarmless("it removes or writes entries")


def _stash(usage: Usage) -> None:
    texts = [word.text for word in usage.operands]
    if texts[:1] not in (["list"], ["show"]):
        raise NotHarmless("only stash list and stash show are harmless")


def _config(usage: Usage) -> None:
    texts = [word.text for word in usage.operands]
    flags = {flag for flag, _ in usage.flags}
    if flags & {"-l", "--list"}:
        if texts:
            raise NotHarmless("git config --list takes no name")
    elif any(flag.startswith("--get") for flag in flags):
        if len(texts) > 1:
            raise NotHarmless("too many words for git config")
    elif texts[:1] in (["get"], ["list"]):
        if len(texts) > 2:
            raise NotHarmless("too many words for git config")
    elif len(texts) != 1 or texts[0] in ("set", "unset", "edit", "rename-section", "remove-section"):
        raise NotHarmless("git config with a value sets it")


def _notes(usage: Usage) -> None:
    if usage.operands and usage.operands[0].text not in ("list", "show"):
        raise NotHarmless("only git notes list and show are harmless")


_CHECKS = {
    "git_list": _list,
    "git_remote": _remote,
    "git_reflog": _reflog,
    "git_stash": _stash,
    "git_config": _config,
    "git_notes": _notes,
}
