"""A click group whose first word is a prompt unless it is exactly the name of a command.

`tui-agent run` is the command, `tui-agent "run the tests"` (one word to the shell) a prompt; after `--`
everything is a prompt.
"""

from __future__ import annotations

from difflib import get_close_matches

import click
from click.core import ParameterSource


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
        if not explicit and words[0].isidentifier():
            close = get_close_matches(words[0], self.commands, n=1, cutoff=0.75)
            if close:
                message = f"No such command {words[0]!r}; did you mean {close[0]!r}?"
                ctx.fail(f"{message} If it is a prompt: tui-agent -- {words[0]}")
        ctx.meta["takes_prompt"] = True
        ctx.allow_interspersed_args = True
        if len(words) > 1 and not any(word.startswith("-") for word in words):
            ctx.fail(f"A prompt of several words needs quotes: tui-agent {' '.join(words)!r}")
        ctx.allow_extra_args = False
        return click.Command.parse_args(self, ctx, args)

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
