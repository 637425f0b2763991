"""A click group whose first word is a prompt unless it is exactly the name of a command.

`tui-agent run` is the command, `tui-agent "run the tests"` (one word to the shell) a prompt; after `--`
everything is a prompt.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from tui_agent.streams import OutputLost, given_up_cleanly

FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)
"""An option's folder, made absolute."""

WISHED = {
    "agents": "",
    "auth": "To give a key: export ANTHROPIC_API_KEY=…",
    "chat": "The app itself: tui-agent",
    "config": "Settings are in the file settings.toml of the configuration folder; see the README.",
    "configure": "Settings are in the file settings.toml of the configuration folder; see the README.",
    "continue": "To go on with this folder's latest session: tui-agent --continue",
    "cost": "",
    "doctor": "",
    "exec": "To run one prompt without a screen: tui-agent run -p PROMPT",
    "fork": "",
    "help": "For help: tui-agent --help",
    "history": "To list the sessions: tui-agent sessions",
    "hooks": "",
    "init": "",
    "install": "",
    "login": "To give a key: export ANTHROPIC_API_KEY=…",
    "logout": "The key is in the environment: unset ANTHROPIC_API_KEY",
    "ls": "To list the sessions: tui-agent sessions",
    "mcp": "",
    "memory": "",
    "model": "To choose a model: tui-agent --model MODEL",
    "models": "To choose a model: tui-agent --model MODEL",
    "new": "A new session: tui-agent",
    "plugin": "",
    "plugins": "",
    "print": "To run one prompt without a screen: tui-agent run -p PROMPT",
    "replay": "",
    "resume": "To choose a session to go on with: tui-agent --resume",
    "serve": "",
    "server": "",
    "session": "To list the sessions: tui-agent sessions",
    "settings": "Settings are in the file settings.toml of the configuration folder; see the README.",
    "setup": "To give a key: export ANTHROPIC_API_KEY=…",
    "skills": "",
    "start": "The app itself: tui-agent",
    "stats": "",
    "status": "",
    "tools": "To list the tools: tui-agent registry tools",
    "uninstall": "",
    "update": "",
    "upgrade": "",
    "usage": "",
    "version": "For the version: tui-agent --version",
    "whoami": "",
}
"""Words that other programs have as commands, each with what to type here instead, where there is something."""

_WORD = re.compile(r"[A-Za-z][A-Za-z_-]+")


def current_folder() -> Path:
    """Return the folder that the program was started in. Raises `click.UsageError` when it was deleted."""
    try:
        return Path.cwd().resolve()
    except FileNotFoundError:
        message = "The current folder does not exist any more: it was deleted or renamed. Go to another one with cd."
        raise click.UsageError(message) from None


class PromptGroup(click.Group):
    """Takes the arguments as a prompt, or as a command with the group's options as its defaults."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        if ctx.meta.get("takes_prompt"):
            return params
        return [param for param in params if not isinstance(param, click.Argument)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = self.make_parser(ctx).parse_args(args=list(args))[1]
        explicit = bool(words) and args[-len(words) - 1 :][:1] == ["--"]
        if ctx.resilient_parsing or not words or (words[0] in self.commands and not explicit):
            return super().parse_args(ctx, args)
        if not explicit and _WORD.fullmatch(words[0]):
            self._refuse_command(ctx, words[0])
        ctx.meta["takes_prompt"] = True
        ctx.allow_interspersed_args = True
        if len(words) > 1 and not any(word.startswith("-") for word in words):
            ctx.fail(f"A prompt of several words needs quotes: tui-agent {' '.join(words)!r}")
        ctx.allow_extra_args = False
        return click.Command.parse_args(self, ctx, args)

    def _refuse_command(self, ctx: click.Context, word: str) -> None:
        """Refuse a single word that looks like a command there is not: as a prompt it could cost money.

        That is a word near one of the commands, or one of `WISHED`. Other words are prompts: `explain`, `commit`.
        """
        name = word.lower()
        close = get_close_matches(name, self.commands, n=1, cutoff=0.75)
        if name not in WISHED and not close:
            return
        hint = WISHED.get(name) or (f"Did you mean {close[0]!r}?" if close else "All commands: tui-agent --help")
        ctx.fail(f"No such command {word!r}. {hint}\nTo send it as a prompt: tui-agent -- {word}")

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with _ends_the_program():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _ends_the_program():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and not ctx.resilient_parsing:
            ctx.default_map = {name: self._options_before(ctx, name, command)}
        return name, command, rest

    def _options_before(self, ctx: click.Context, name: str, command: click.Command) -> dict[str, object]:
        """Return the options that stood before the command; they count for it, if it has them."""
        known = {param.name for param in command.params}
        given = {}
        for param in self.get_params(ctx):
            key = param.name
            if key is None or ctx.get_parameter_source(key) is not ParameterSource.COMMANDLINE:
                continue
            if key not in known:
                ctx.fail(f"{param.opts[0]} has no meaning for the command {name!r}.")
            given[key] = ctx.params[key]
        return given

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return ["[OPTIONS]", "[PROMPT | COMMAND ...]"]


@contextmanager
def _ends_the_program() -> Iterator[None]:
    """End with a message and a code of its own where the output or the current folder is gone."""
    try:
        with given_up_cleanly():
            yield
    except OutputLost as lost:
        if str(lost):
            click.echo(f"Error: {lost}", err=True)
        raise click.exceptions.Exit(lost.exit_code) from lost
    except FileNotFoundError:
        if not _folder_is_gone():
            raise
        current_folder()


def _folder_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  # the question is whether it raises
    except FileNotFoundError:
        return True
    return False
