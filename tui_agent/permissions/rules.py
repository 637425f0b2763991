"""Rules: what a user, an administrator or a project allows, asks about or denies.

The syntax is the one people know: `Bash(git log *)`, `Read(./src/**)`, `Edit(/docs/**)`,
`WebFetch(domain:example.org)`, `mcp__server__tool`, `Skill(name)`, or the bare name of a tool. A Bash rule is a
list of tokens that is compared with the words of one simple command; `*` stands for whole words, any number of
them. Path rules are written like `.gitignore`: `//x` is absolute, `/x` is from the folder of the rule's file,
`~/x` from the home, all else from the workspace.
"""

from __future__ import annotations

import contextlib
import difflib
import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Literal

from tui_agent.permissions.guard.lexer import NotPlainError, read_plain
from tui_agent.permissions.guard.model import Word
from tui_agent.permissions.guard.words import reduce_word

RuleVerdict = Literal["allow", "ask", "deny"]
Source = Literal["managed", "user", "flag", "session", "project", "agent"]
"""Where a rule comes from; `flag` is the command line of this start."""

STRENGTH: dict[str, int] = {"managed": 4, "user": 3, "flag": 2, "session": 1, "project": 0, "agent": -1}
"""Sources by strength: of several rules with the same verdict, the strongest one is named as the winner."""

TOOL_NAMES: dict[str, frozenset[str]] = {
    "Bash": frozenset(["bash"]),
    "Read": frozenset(["read", "glob", "grep"]),
    "Glob": frozenset(["glob"]),
    "Grep": frozenset(["grep"]),
    "LS": frozenset(["glob"]),
    "Edit": frozenset(["edit", "write"]),
    "MultiEdit": frozenset(["edit"]),
    "Write": frozenset(["write"]),
    "WebFetch": frozenset(["webfetch", "web_fetch"]),
    "WebSearch": frozenset(["websearch", "web_search"]),
    "Skill": frozenset(["skill"]),
    "Task": frozenset(["task"]),
    "Agent": frozenset(["task"]),
    "TodoWrite": frozenset(["todo"]),
}
"""The names used in rules, and the tools of this program that they stand for."""

_OTHER_TOOLS = frozenset(["ask", "todo", "bash_output", "task"])
_FOREIGN_TOOLS = frozenset(
    [
        "askuserquestion",
        "bashoutput",
        "enterplanmode",
        "exitplanmode",
        "killbash",
        "killshell",
        "listmcpresourcestool",
        "lsp",
        "notebookedit",
        "notebookread",
        "readmcpresourcetool",
        "slashcommand",
        "taskoutput",
        "toolsearch",
    ]
)
"""Tools of other agents whose rule files are read too: a rule for them is no mistake, and does nothing here."""

_PATH_TOOLS = frozenset(["Read", "Edit", "Write", "MultiEdit", "Glob", "Grep", "LS"])
_CANONICAL = {name.lower(): name for name in TOOL_NAMES}
_RULE = re.compile(r"\s*([A-Za-z_][\w.-]*(?:\*)?)\s*(?:\((.*)\))?\s*", re.DOTALL)
_STAR = "*"


class RuleError(ValueError):
    """The rule cannot be used; the message says what is wrong and what to write instead."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rule stands. `line` counts from 1, None if it is not from a file. `base` is what `/x` starts from."""

    source: Source
    file: str
    line: int | None = None
    base: str = ""


@dataclass(frozen=True)
class Rule:
    """One rule, parsed. `tokens` is set for Bash rules, None for the bare tool name and for other tools."""

    text: str
    verdict: RuleVerdict
    origin: Origin
    tool: str
    specifier: str | None = None
    tokens: tuple[Word, ...] | None = None
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()
    firm: bool = False
    """Whether it asks in the mode bypass too: it stands for a rule that denied and cannot be read."""

    @cached_property
    def first_token(self) -> str:
        """The program that a Bash rule names, empty if any."""
        return self.tokens[0].text if self.tokens and self.tokens[0].raw != _STAR else ""

    def covers_tool(self, tool: str) -> bool:
        """Say whether the rule is about this tool, by the tool's own name."""
        if self.tool.startswith("mcp__"):
            if self.tool.endswith("*"):
                return tool.startswith(self.tool[:-1])
            return tool == self.tool or (self.tool.count("__") == 1 and tool.startswith(self.tool + "__"))
        names = TOOL_NAMES.get(self.tool)
        return tool.lower() in names if names else tool.casefold() == self.tool.casefold()

    def matches_words(self, argv: Sequence[str], *, loosely: bool = False) -> bool:
        """Say whether a Bash rule matches the words of a command.

        `loosely` is for rules that forbid: the program's folder, the order and spelling of flags, and global
        options before a subcommand make no difference. A rule that cannot be compared matches if it forbids.
        """
        try:
            return self._matches_words(argv, loosely)
        except Exception:
            return self.verdict != "allow"

    def _matches_words(self, argv: Sequence[str], loosely: bool) -> bool:
        if self.tokens is None:
            return True
        if _match_tokens(self.tokens, argv):
            return True
        if not loosely or not argv:
            return False
        forms = _forms(argv)
        if forms is None:  # too many options before the subcommand to tell which it is
            return self.first_token in ("", argv[0].rsplit("/", 1)[-1])
        return any(_match_tokens_loosely(self.tokens, form) for form in forms)

    def literal_count(self) -> int:
        """Return how many words stand before the first `*`; all of them where there is none."""
        tokens = self.tokens or ()
        return next((at for at, token in enumerate(tokens) if token.raw == _STAR), len(tokens)) if tokens else 0

    def matches_path(self, path: str, *, workspace: str, home: str) -> bool:
        """Say whether a path rule matches an absolute path."""
        return self.path_matcher(workspace=workspace, home=home)(path)

    def path_matcher(self, *, workspace: str, home: str) -> Callable[[str], bool]:
        """Return what says whether a path rule matches an absolute path, for many paths.

        A rule that cannot be compared matches if it forbids.
        """
        folded = self.verdict != "allow"
        if self.specifier is None:
            return lambda path: True
        try:
            bases = _bases(self.specifier, self.origin.base or workspace, workspace, home, folded)
        except Exception:
            return lambda path: folded

        def matches(path: str) -> bool:
            try:
                return any(_path_matches(base, pattern, path, folded) for base, pattern in bases)
            except Exception:
                return folded

        return matches

    def matches_name(self, name: str) -> bool:
        """Say whether a rule with a name, such as `Skill(name)`, matches.

        A rule that cannot be compared matches if it forbids.
        """
        try:
            return self._matches_name(name)
        except Exception:
            return self.verdict != "allow"

    def _matches_name(self, name: str) -> bool:
        if self.specifier is None:
            return True
        specifier = self.specifier
        if specifier.startswith("domain:"):
            domain, host = specifier[7:].strip().lower().rstrip("."), name.lower().rstrip(".")
            if domain.startswith("*."):
                return host.endswith(domain[1:])
            return host == domain or (self.verdict != "allow" and host.endswith("." + domain))
        if specifier.endswith(":*"):
            return name == specifier[:-2] or name.startswith(specifier[:-2] + ":")
        return fnmatch.fnmatchcase(name, specifier)


@dataclass(frozen=True)
class RuleSet:
    """All rules that hold. `problems` are the refused ones, as sentences with file and line."""

    rules: tuple[Rule, ...] = ()
    problems: tuple[str, ...] = ()
    # a file that could not be read: what it would have forbidden is not known, so nothing is allowed by rule
    degraded: bool = False

    @cached_property
    def _by_verdict(self) -> dict[str, tuple[Rule, ...]]:
        found: dict[str, tuple[Rule, ...]] = {}
        for verdict in ("allow", "ask", "deny"):
            kept = () if verdict == "allow" and self.degraded else self.rules
            # the firm ones first: of several that ask, only one is named
            chosen = [rule for rule in kept if rule.verdict == verdict]
            found[verdict] = tuple(sorted(chosen, key=lambda rule: not rule.firm))
        return found

    def of(self, verdict: RuleVerdict, tool: str) -> tuple[Rule, ...]:
        """Return the rules with this verdict about a tool, by the tool's own name."""
        return tuple(rule for rule in self._by_verdict[verdict] if rule.covers_tool(tool))

    def bash(self, verdict: RuleVerdict) -> tuple[Rule, ...]:
        """Return the rules with this verdict about commands."""
        return self._bash[verdict]

    @cached_property
    def _bash(self) -> dict[str, tuple[Rule, ...]]:
        return {verdict: self.of(verdict, "bash") for verdict in ("allow", "ask", "deny")}

    def plus(self, other: RuleSet) -> RuleSet:
        """Return both sets together."""
        return RuleSet(
            (*self.rules, *other.rules), (*self.problems, *other.problems), self.degraded or other.degraded
        )


@dataclass(slots=True)
class RuleBuilder:
    """Collects rules, and refuses those that cannot be used.

    `broken` says that a rule which forbids could not be read as it stands; a wrong name of a tool alone does not
    count as that.
    """

    home: str
    rules: list[Rule] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    broken: bool = False

    def add(
        self,
        text: object,
        verdict: RuleVerdict,
        origin: Origin,
        *,
        examples: Iterable[str] = (),
        counter_examples: Iterable[str] = (),
    ) -> None:
        """Add a rule, or a problem; what a refused rule would have allowed or denied asks.

        A rule that forbids and only lacks its closing parenthesis, fails its own examples, or misspells its tool
        forbids what it evidently means, until it is mended.
        """
        where = f"{origin.file}:{origin.line}" if origin.line else origin.file
        forbids = verdict != "allow"
        try:
            rule = parse_rule(
                text, verdict, origin, self.home, examples=tuple(examples), counter_examples=tuple(counter_examples)
            )
            fault = _failed_example(rule, self.home)
        except Exception as error:
            what = str(error) if isinstance(error, RuleError) else f"{text!r} cannot be read: {error!r}"
            self.problems.append(f"{where}: {what}")
            self.broken = self.broken or forbids
            self.rules.append(_in_place_of(str(text), verdict, origin, self.home))
            return
        if fault:
            kept = {"deny": "it still denies", "ask": "it still asks", "allow": "so it is refused"}[verdict]
            self.problems.append(f"{where}: the rule {text!r} {fault}; {kept}")
            self.broken = self.broken or forbids
            refused = Rule(rule.text, "ask", origin, rule.tool, rule.specifier, rule.tokens)
            self.rules.append(rule if forbids else refused)
            return
        self.rules.append(rule)
        self._check_tool(rule, str(text), where)

    def _check_tool(self, rule: Rule, text: str, where: str) -> None:
        """Tell of a tool that does not exist; a rule that forbids holds for the one that is evidently meant."""
        name = text.strip().split("(", 1)[0].strip()
        if rule.origin.source == "agent" or rule.tool.startswith("mcp__"):
            return
        if rule.tool in TOOL_NAMES:
            # A file can be corrected; on a command line the spelling does no harm.
            if name not in TOOL_NAMES and rule.origin.source != "flag":
                self.problems.append(f"{where}: {text!r}: the name is {rule.tool}; it is read so")
            return
        if rule.tool.lower() in _OTHER_TOOLS | _FOREIGN_TOOLS:
            return
        nearest = difflib.get_close_matches(name.lower(), [*_CANONICAL, *_OTHER_TOOLS], 1, 0.6)
        if not nearest:
            known = ", ".join(sorted(TOOL_NAMES))
            self.problems.append(
                f"{where}: {text!r}: there is no tool {name!r}; known are {known}, mcp__server__tool"
            )
            return
        meant = _CANONICAL.get(nearest[0], nearest[0])
        what = f"{where}: {text!r}: there is no tool {name!r}; the nearest is {meant}"
        if rule.verdict != "allow":
            with contextlib.suppress(RuleError):
                corrected = meant + text.strip()[len(name) :]
                self.rules.append(replace(parse_rule(corrected, rule.verdict, rule.origin, self.home), text=text))
                what += f". Until it is mended it holds as {corrected}"
        self.problems.append(what)

    def build(self, *, degraded: bool = False) -> RuleSet:
        """Return the set."""
        return RuleSet(tuple(self.rules), tuple(self.problems), degraded)


def parse_rule(
    text: object,
    verdict: RuleVerdict,
    origin: Origin,
    home: str,
    *,
    examples: tuple[str, ...] = (),
    counter_examples: tuple[str, ...] = (),
) -> Rule:
    """Return the rule. Raises `RuleError`."""
    if not isinstance(text, str):
        raise RuleError(f"a rule is a text, not {type(text).__name__}")
    match = _RULE.fullmatch(text)
    if not match or len(text) > 2000 or "\0" in text:
        raise RuleError(f"{text[:80]!r} is not a rule: write Tool or Tool(what), such as Bash(git log *)")
    name, specifier = match.group(1), match.group(2)
    tool = _CANONICAL.get(name.lower(), name)
    if name.endswith("*") and not name.startswith("mcp__"):
        raise RuleError(f"{text!r}: the name of a tool cannot be a pattern")
    if specifier is not None and not specifier.strip():
        raise RuleError(f"{text!r}: there is nothing in the parentheses")
    if tool.startswith("mcp__") and specifier not in (None, "*"):
        raise RuleError(f"{text!r}: rules for MCP tools have no parentheses")
    tokens = None
    if tool == "Bash" and specifier is not None and specifier.strip() not in ("*", ":*"):
        tokens = _bash_tokens(specifier, home)
    if (specifier is not None and specifier.strip() in ("*", "**")) or tool.startswith("mcp__"):
        specifier = None
    if tool in _PATH_TOOLS and specifier is not None and "\n" in specifier:
        raise RuleError(f"{text!r}: a path has no newline")
    if tool == "WebFetch" and specifier is not None and not re.fullmatch(r"domain:[\w.*:-]+", specifier):
        raise RuleError(f"{text!r}: write WebFetch(domain:example.org)")
    return Rule(text, verdict, origin, tool, specifier, tokens, examples, counter_examples)


def _bash_tokens(specifier: str, home: str) -> tuple[Word, ...]:
    text = specifier.strip()
    if text.endswith(":*"):
        text = text[:-2] + " *"
    try:
        plain = read_plain(text)
    except NotPlainError as error:
        raise RuleError(f"Bash({specifier}): it holds {error}; a rule is the words of one command") from error
    if (
        len(plain.commands) != 1
        or plain.targets
        or plain.compound
        or "\n" in text
        or re.search(r"(?<!\\)[;&|<>()]", re.sub(r"'[^']*'|\"[^\"]*\"", "", text))
    ):
        raise RuleError(f"Bash({specifier}): a rule is the words of one command; write a rule for each of them")
    tokens = tuple(reduce_word(raw, home) for raw in plain.commands[0])
    for token in tokens:
        if not token.constant:
            raise RuleError(f"Bash({specifier}): {token.raw} is not known before it runs")
    first = tokens[0]
    if first.glob and first.raw != _STAR:
        raise RuleError(f"Bash({specifier}): the name of the program cannot be a pattern")
    if re.match(r"[A-Za-z_]\w*=", first.raw):
        raise RuleError(f"Bash({specifier}): rules do not cover assignments")
    return tokens


def _in_place_of(text: str, verdict: RuleVerdict, origin: Origin, home: str) -> Rule:
    """Return what stands for a rule that cannot be parsed: its whole tool asks, unless it only allowed."""
    match = re.match(r"\s*([A-Za-z_][\w.-]*)", text)
    tool = _CANONICAL.get(match.group(1).lower(), match.group(1)) if match else ""
    if verdict == "allow" or not tool:
        return Rule(text, "ask", origin, "refused", text)
    if "(" in text and not text.rstrip().endswith(")"):
        try:
            return replace(parse_rule(text.rstrip() + ")", verdict, origin, home), text=text)
        except RuleError:
            pass  # more is wrong with it
    return Rule(text, "ask", origin, tool, firm=verdict == "deny")


def _failed_example(rule: Rule, home: str) -> str:
    for examples, wanted in ((rule.examples, True), (rule.counter_examples, False)):
        for example in examples:
            if _matches_example(rule, example, home) is not wanted:
                return f"{'does not match' if wanted else 'matches'} its example {example!r}"
    return ""


def _matches_example(rule: Rule, example: str, home: str) -> bool:
    if rule.tool == "Bash":
        from tui_agent.permissions.guard.shell import parse_line

        inner = parse_line(example, "/", home).inner()
        return bool(inner) and all(rule.matches_words(c.argv, loosely=rule.verdict != "allow") for c in inner)
    if rule.tool in _PATH_TOOLS:
        return rule.matches_path(os.path.normpath(os.path.join("/w", example)), workspace="/w", home=home)
    return rule.matches_name(example) if rule.specifier is not None else rule.covers_tool(example)


def _match_tokens(tokens: Sequence[Word], argv: Sequence[str]) -> bool:
    """Compare tokens with words; `*` stands for any number of whole words."""
    reach = {0}
    for token in tokens:
        if token.raw == _STAR:
            reach = set(range(min(reach), len(argv) + 1)) if reach else set()
        else:
            reach = {at + 1 for at in reach if at < len(argv) and _token_matches(token, argv[at])}
        if not reach:
            return False
    return len(argv) in reach


def _token_matches(token: Word, text: str) -> bool:
    if token.glob and not token.quoted:
        return fnmatch.fnmatchcase(text, token.text)
    return token.text == text


_MOST_FORMS = 40


def _forms(argv: Sequence[str]) -> list[Sequence[str]] | None:
    """Return the ways to write a command that mean the same to a rule that forbids, None for too many."""
    name = argv[0].rsplit("/", 1)[-1]
    forms: list[Sequence[str]] = [[name, *argv[1:]]]
    rest = list(argv[1:])
    while rest and rest[0].startswith("-"):
        takes = rest[0] in (
            "-C",
            "-c",
            "--git-dir",
            "--work-tree",
            "--namespace",
            "--exec-path",
            "--context",
            "-n",
            "-H",
            "--host",
            "--prefix",
            "--cwd",
            "--dir",
            "-R",
            "--manifest-path",
        )
        rest = rest[2:] if takes else rest[1:]
        forms.append([name, *rest])
        if len(forms) > _MOST_FORMS:
            return None
    return forms


_LONG = {"--recursive": "-r", "--force": "-f", "--all": "-a", "--delete": "-d", "--message": "-m", "--hard": "--hard"}


def _flags_and_operands(words: Sequence[str]) -> tuple[set[str], list[str]]:
    flags: set[str] = set()
    operands: list[str] = []
    for word in words:
        if word.startswith("--") and len(word) > 2:
            name = word.split("=", 1)[0]
            flags.add(next((short for long, short in _LONG.items() if len(name) > 4 and long.startswith(name)), name))
        elif word.startswith("-") and len(word) > 1:
            flags.update("-" + letter.replace("R", "r") for letter in word[1:])
        elif word != "--":
            operands.append(word)
    return flags, operands


def _match_tokens_loosely(tokens: Sequence[Word], argv: Sequence[str]) -> bool:
    if _match_tokens(tokens, argv):
        return True
    if any(token.glob and token.raw.startswith("-") for token in tokens):
        return False
    wanted, _ = _flags_and_operands([token.text for token in tokens])
    flags, operands = _flags_and_operands(argv)
    kept = [token for token in tokens if not (token.text.startswith("-") and len(token.text) > 1)]
    return wanted <= flags and _match_tokens(kept, operands)


def _bases(specifier: str, base: str, workspace: str, home: str, both: bool) -> list[tuple[str, str]]:
    """Return the folder and the pattern below it that a path rule means."""
    pattern = specifier.strip()
    if pattern.startswith("//"):
        return [("/", pattern[1:])]
    if pattern.startswith("~/") or pattern == "~":
        return [(home, pattern[1:] or "/")]
    if pattern.startswith("/"):
        found = [(base, pattern)]
        if both:  # a rule that forbids may have meant the absolute path
            found += [("/", pattern), (workspace, pattern)]
        return found
    if pattern.startswith("./"):
        return [(workspace, pattern[1:])]
    if pattern.startswith("../"):
        up = os.path.normpath(os.path.join(workspace, pattern.split("*")[0].rsplit("/", 1)[0]))
        return [(up, "/" + pattern.split("/", pattern.count("../"))[-1])]
    if both:
        return [(workspace, pattern), ("/", pattern)] if "/" not in pattern.rstrip("/") else [(workspace, pattern)]
    return [(workspace, pattern)]


def _path_matches(base: str, pattern: str, path: str, folded: bool) -> bool:
    base = base.rstrip("/")
    if folded:
        base, pattern, path = base.casefold(), pattern.casefold(), path.casefold()
    if path != base and not path.startswith(base + "/"):
        return False
    return bool(_compiled(pattern).fullmatch(path[len(base) :].lstrip("/")))


@lru_cache(maxsize=2048)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a `.gitignore`-like pattern as a regular expression over a relative path."""
    anchored = "/" in pattern.rstrip("/")
    while pattern.endswith("/**"):  # all in a folder, and the folder
        pattern = pattern[:-3]
    pattern = pattern.strip("/")
    out, at = [], 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] == "*":
            out.append("[^/]*")
            at += 1
        elif pattern[at] == "?":
            out.append("[^/]")
            at += 1
        elif pattern[at] == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            inner = pattern[at + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out.append("[" + ("^" + inner[1:] if inner.startswith(("!", "^")) else inner) + "]")
            at = end + 1
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    body = "".join(out)
    prefix = "" if anchored else "(?:.*/)?"
    # what matches a folder matches all in it
    return re.compile(f"{prefix}{body}(?:/.*)?" if body else ".*", re.DOTALL)
