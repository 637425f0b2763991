"""What the guard knows of a line: words, redirections, simple commands, and what the modules say of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui_agent.permissions.guard.reach import Below
    from tui_agent.permissions.guard.usage import Usage
    from tui_agent.permissions.rules import Rule, RuleSet
    from tui_agent.sandbox import TemporaryFolder

Level = Literal["pass", "allow", "ask", "deny"]

RANK: dict[str, int] = {"pass": 0, "allow": 0, "ask": 1, "deny": 2}
"""The lattice: the highest of all verdicts wins."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the shell, reduced as far as it can be known without running anything.

    `text` is its value with quotes removed and the home put in for `~` and `$HOME`; parts that cannot be
    known stay as written. `constant` says that `text` is the whole truth. `opaque` says that what is not
    known is only the value of a harmless variable such as `$PATH`. `glob` says that it holds an unquoted
    `*`, `?` or `[`.
    """

    raw: str
    text: str
    constant: bool = True
    opaque: bool = False
    glob: bool = False
    quoted: bool = False
    substitution: bool = False


@dataclass(frozen=True, slots=True)
class Redirection:
    """A redirection. `operator` is such as `>`, `2>&1` is operator `>&` with the target `1`.

    For a heredoc the operator is `<<`, `body` its text and `quoted` whether the end marker was quoted.
    """

    operator: str
    target: Word
    body: str = ""
    quoted: bool = False
    nested: bool = False  # in a script within the line


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command, or one that wraps another.

    `cwds` are the folders it may run in, None among them where that is not known. `upstream` are the indexes
    of the commands whose output it reads. `parent` is the index of the wrapper it was found in, and
    `parent_offset` the position of its name in the wrapper's words (-1: it was not a word of its own).
    `appended` says that a wrapper like xargs adds words that nobody knows.
    """

    index: int
    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    redirections: tuple[Redirection, ...] = ()
    cwds: frozenset[str | None] = frozenset()
    upstream: tuple[int, ...] = ()
    parent: int = -1
    parent_offset: int = -1
    appended: bool = False
    wrapper: bool = False
    safe_wrapper: bool = False
    inside_substitution: bool = False

    @property
    def argv(self) -> tuple[str, ...]:
        """The words' texts."""
        return tuple(word.text for word in self.words)

    @property
    def name(self) -> str:
        """The name of the program, without its folder; empty for a mere assignment."""
        return self.words[0].text.rsplit("/", 1)[-1] if self.words else ""

    def shown(self) -> str:
        """Return the command in short, for a reason."""
        text = " ".join(word.raw for word in self.words) or "=".join(self.assignments)
        return text if len(text) <= 60 else text[:57] + "…"


@dataclass(slots=True)
class Line:
    """A command line, parsed once. `features` maps what stood out in its structure to an example."""

    text: str
    commands: list[Command] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)
    features: dict[str, str] = field(default_factory=dict)
    usages: dict[int, Usage] = field(default_factory=dict)
    below: dict[tuple[str, bool], Below] = field(default_factory=dict)  # by folder, and whether links are followed
    depth: int = 0
    word_count: int = 0
    globs: set[str] = field(default_factory=set)
    hasty: bool = False  # it asks anyway: only what is denied is looked for
    scripts: list[str] = field(default_factory=list)  # scripts within the line, such as that of `sh -c`

    def inner(self) -> list[Command]:
        """Return the commands that do something themselves: all but the wrappers."""
        return [command for command in self.commands if not command.wrapper]

    def upstream(self, command: Command) -> list[Command]:
        """Return the commands whose output `command`, or a wrapper around it, reads."""
        return [self.commands[index] for index in self.upstream_indexes(command)]

    def upstream_indexes(self, command: Command) -> list[int]:
        """Return the indexes of these commands."""
        found = list(command.upstream)
        while command.parent >= 0:
            command = self.commands[command.parent]
            found += command.upstream
        return found


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that matter, all absolute. `protected` are the app's own; `folders` were granted besides."""

    home: str
    workspace: str
    protected: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    temporary: TemporaryFolder | None = None  # what the file tools see as /tmp


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a line would run, and the rules that hold there.

    `hides` says that protected files can be kept out of what a search sees: then they need not be asked about.
    """

    cwd: str
    places: Places
    rules: RuleSet
    hides: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What a module says. `allowed` are the indexes of the commands that it proposes to allow.

    `hidden` are the protected files that must be kept out of what the line sees, each with how firmly. `rules`
    are those that it found besides the ones that match the words.
    """

    level: Level = "pass"
    reason: str = ""
    allowed: frozenset[int] = frozenset()
    firm: bool = False  # an ask that the mode bypass does not lift
    hidden: tuple[tuple[str, Literal["ask", "deny"]], ...] = ()
    rules: tuple[Rule, ...] = ()


PASS = Finding()


@dataclass(frozen=True, slots=True)
class ModuleVerdict:
    """What a module said of a line."""

    name: str
    verdict: Level
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """What the guard says of a line. `read_only` says that it changes nothing, as far as it is known.

    `line` is None where there was too much in it to be looked at.
    """

    verdict: Literal["allow", "ask", "deny"]
    reason: str
    modules: tuple[ModuleVerdict, ...]
    read_only: bool
    firm: bool = False
    hidden: tuple[tuple[str, Literal["ask", "deny"]], ...] = ()
    rules: tuple[Rule, ...] = ()
    line: Line | None = None


Check = Callable[[Line, Surroundings], Finding]
