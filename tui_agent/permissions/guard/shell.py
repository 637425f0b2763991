"""Parses a line once, for all modules: every simple command in it, however deep, with the folder it may run in.

tree-sitter-bash gives the structure; the words' values come from `words`. Commands inside substitutions,
functions, loops, and the scripts and words that wrappers run, are all there: a deny must see them.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tui_agent.permissions.guard.model import Command, Line, Redirection, Word
from tui_agent.permissions.guard.unwrap import unwrap
from tui_agent.permissions.guard.words import reduce_word

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_DEPTH = 50
"""Scripts within scripts that are looked into; deeper asks."""

MOST_COMMANDS = 2000
MOST_WORDS = 8000
MOST_GLOBS = 500
LONGEST_GLOB = 2000
MOST_FOLDERS = 50
"""More of them in one line, those inside of wrappers counted again, and it is refused: what could be hidden among
them is more than can be looked for."""

_LOOP_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,20}")
_ONE_WORD = re.compile(r"[\w.,:/@%+-]+")
_MOST_VALUES = 10
_EXTENDED_GLOB = re.compile(r"[@?*+!]\(")
_UNREADABLE = re.compile("[\x00\ud800-\udfff]")

Cwds = frozenset[str | None]


class _TooMuch(Exception):
    """The line has more in it than is looked at; the message says of what."""


_PLAIN_NODES = frozenset(
    [
        "program",
        "list",
        "pipeline",
        "command",
        "command_name",
        "word",
        "raw_string",
        "string",
        "string_content",
        "ansi_c_string",
        "number",
        "concatenation",
        "simple_expansion",
        "variable_name",
        "special_variable_name",
        "expansion",
        "file_redirect",
        "file_descriptor",
        "redirected_statement",
        "heredoc_redirect",
        "heredoc_start",
        "heredoc_body",
        "heredoc_content",
        "heredoc_end",
        "herestring_redirect",
        "subshell",
        "compound_statement",
        "negated_command",
        "comment",
        "variable_assignment",
        "test_command",
        "unary_expression",
        "binary_expression",
        "test_operator",
        "parenthesized_expression",
        "if_statement",
        "elif_clause",
        "else_clause",
        "while_statement",
        "for_statement",
        "do_group",
        "declaration_command",
        "unset_command",
    ]
)
_FEATURES = {
    "command_substitution": "substitution", "process_substitution": "substitution", "subscript": "subscript",
    "arithmetic_expansion": "arithmetic", "c_style_for_statement": "arithmetic", "function_definition": "function",
    "array": "subscript", "brace_expression": "brace",
}  # fmt: skip
_WORDS = frozenset(
    [
        "word",
        "raw_string",
        "string",
        "ansi_c_string",
        "number",
        "concatenation",
        "simple_expansion",
        "expansion",
        "command_substitution",
        "process_substitution",
        "arithmetic_expansion",
        "translated_string",
        "brace_expression",
        "regex",
        "extglob_pattern",
    ]
)
_LOOPS = frozenset(["for_statement", "while_statement", "c_style_for_statement"])
_MOVES = re.compile(r"\b(cd|pushd|popd)\b")
_SUBSHELL = re.compile(r"(?<!\$)\([^()]*\)")
_SEQUENCES = frozenset(["program", "compound_statement", "do_group", "if_statement", "elif_clause", "else_clause"])


@functools.cache
def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_bash

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def parse_line(text: str, cwd: str, home: str) -> Line:
    """Return the line's commands and what stands out in its structure. Never raises for any text."""
    line = Line(text)
    text = _UNREADABLE.sub("\ufffd", text)
    try:
        for number, most, what in (
            (len(_EXTENDED_GLOB.findall(text)), MOST_GLOBS, "extended patterns"),
            (text.count("("), MOST_COMMANDS, "parentheses"),
        ):
            if number > most:  # tree-sitter takes minutes for some of these
                raise _TooMuch(f"more than {most:,} {what}")  # noqa: TRY301 -- one place for all limits
        _walk(line, text, cwd, home)
        if "error" in line.features or "too_deep" in line.features:
            # so that what is denied is seen in a broken line too, each piece is read by itself
            pieces = dict.fromkeys(re.split(r"[;&|\n()`]+", text))
            if len(pieces) > MOST_COMMANDS:
                raise _TooMuch(f"{len(pieces):,} pieces, and cannot be parsed")  # noqa: TRY301 -- as above
            for piece in pieces:
                _walk(line, piece, cwd, home)
    except _TooMuch as error:
        line.features["too_much"] = str(error)
    return line


def _walk(line: Line, text: str, cwd: str, home: str) -> None:
    try:
        _Walk(line, home, text, 0).script(frozenset([cwd]), inside=False, upstream=(), parent=-1)
    except RecursionError:
        line.features.setdefault("too_deep", "")


class _Walk:
    """Walks one script, adding to a line."""

    def __init__(self, line: Line, home: str, text: str, depth: int) -> None:
        self.line, self.home, self.depth = line, home, depth
        self.source = text.encode("utf-8", "surrogatepass")
        self.inside = False
        self.parent = -1
        self.level = 0
        self.feeding: tuple[int, ...] = ()
        self.values: dict[str, Word] = {}  # of loop variables, by how they are written

    def script(self, cwds: Cwds, *, inside: bool, upstream: tuple[int, ...], parent: int) -> Cwds:
        """Walk the whole script; `parent` is the wrapper that runs it."""
        self.inside, self.feeding, self.parent = inside, upstream, parent
        self.line.depth = max(self.line.depth, self.depth)
        if self.depth > MAX_DEPTH:
            self.line.features.setdefault("too_deep", "")
            return cwds
        tree = _parser().parse(self.source)
        if tree.root_node.has_error:
            self.line.features.setdefault("error", self.text(tree.root_node)[:40])
        success, failure = self.visit(tree.root_node, cwds)
        return success | failure

    def text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def word(self, node: Node) -> Word:
        raw = self.text(node)
        value = self.values.get(raw)
        return replace(value, raw=raw) if value is not None else reduce_word(raw, self.home)

    def visit(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        """Walk a node; return the folders it may leave the shell in when it succeeds, and when it fails."""
        self.level += 1
        self.line.depth = max(self.line.depth, self.level + self.depth)
        try:
            if self.level > 150:
                self.line.features.setdefault("too_deep", "")
                return cwds, cwds
            return self._visit(node, cwds)
        finally:
            self.level -= 1

    def _visit(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        kind = node.type
        self.note(node)
        if kind == "list":
            return self.list_(node, cwds)
        if kind == "pipeline":
            self.pipeline(node, cwds)
            return cwds, cwds
        if kind == "subshell":
            self.sequence(node, cwds)
            return cwds, cwds
        if kind == "redirected_statement":
            return self.redirected(node, cwds)
        if kind in ("command", "declaration_command", "unset_command", "variable_assignment", "variable_assignments"):
            return self.command(node, cwds)
        if kind == "test_command":
            return self.test(node, cwds)
        if kind in _LOOPS and _MOVES.search(_SUBSHELL.sub("", self.text(node))):
            cwds = cwds | {None}  # each turn may begin in another folder
        if kind == "for_statement":
            return self.loop(node, cwds)
        if kind == "negated_command":
            success, failure = self.sequence(node, cwds)
            return failure, success
        if kind in _SEQUENCES:
            success, failure = self.sequence(node, cwds)
            if kind in ("program", "compound_statement"):
                return success, failure
            both = cwds | success | failure
            return both, both
        if kind in ("command_substitution", "process_substitution"):
            was, self.inside = self.inside, True
            self.sequence(node, cwds)
            self.inside = was
            return cwds, cwds
        success, failure = self.sequence(node, cwds)
        both = cwds | success | failure
        return both, both

    def note(self, node: Node) -> None:
        """Remember what stands out."""
        features, kind = self.line.features, node.type
        if node.is_missing or kind == "ERROR":
            features.setdefault("error", self.text(node)[:40])
        elif kind in _FEATURES:
            features.setdefault(_FEATURES[kind], self.text(node)[:40])
        if node.is_named and kind not in _PLAIN_NODES and kind not in _FEATURES and kind != "ERROR":
            features.setdefault("node", kind)
        if kind == "compound_statement" and node.child_count and node.children[0].type == "((":
            features.setdefault("arithmetic", self.text(node)[:40])

    def sequence(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        """Walk the children one after the other."""
        success, failure = cwds, frozenset[str | None]()
        for position, child in enumerate(node.children):
            if not child.is_named:
                self.note(child)
                continue
            before = success | failure
            success, failure = self.visit(child, before)
            following = node.children[position + 1].type if position + 1 < node.child_count else ""
            if following == "&":
                success, failure = before, before
        return success, failure or success

    def loop(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        """Walk a `for` loop: its body once for each of a few values, else once with the values unknown."""
        variable = next((self.text(child) for child in node.children if child.type == "variable_name"), "")
        if not _LOOP_VARIABLE.fullmatch(variable):
            self.line.features.setdefault("loop_variable", variable)
        items = [self.word(child) for child in node.children if child.type in _WORDS]
        again = len(re.findall(rf"\bfor\s+{re.escape(variable)}\b", self.source.decode("utf-8", "replace"))) > 1
        known = not again and 0 < len(items) <= _MOST_VALUES and all(item.constant for item in items)
        reach = cwds
        for item in items if known else [None]:
            before = dict(self.values)
            if item is not None:
                self.values |= dict.fromkeys((f'"${variable}"', f'"${{{variable}}}"'), item)
                if _ONE_WORD.fullmatch(item.text) and not item.glob:
                    self.values |= dict.fromkeys((f"${variable}", f"${{{variable}}}"), item)
            success, failure = self.sequence(node, reach)
            reach = reach | success | failure
            self.values = before
        return reach, reach

    def list_(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        parts = [child for child in node.children if child.is_named]
        operator = next((child.type for child in node.children if not child.is_named), ";")
        if len(parts) != 2 or operator not in ("&&", "||"):
            return self.sequence(node, cwds)
        success, failure = self.visit(parts[0], cwds)
        if operator == "&&":
            then, otherwise = self.visit(parts[1], success or cwds)
            return then, failure | otherwise
        then, otherwise = self.visit(parts[1], failure or cwds)
        return success | then, otherwise

    def pipeline(self, node: Node, cwds: Cwds) -> None:
        was = self.feeding
        for child in node.children:
            if child.is_named:
                first = len(self.line.commands)
                self.visit(child, cwds)
                self.feeding = (*self.feeding, *range(first, len(self.line.commands)))
        self.feeding = was

    def redirected(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        first = len(self.line.commands)
        success, failure = cwds, cwds
        redirections: list[Redirection] = []
        later: list[Node] = []
        for child in node.children:
            if child.type in ("file_redirect", "heredoc_redirect", "herestring_redirect"):
                redirections.append(self.redirection(child, cwds, later))
            elif child.is_named:
                success, failure = self.visit(child, cwds)
        last = len(self.line.commands)
        if first == last and redirections:
            self.add(Command(len(self.line.commands), (), redirections=tuple(redirections), cwds=cwds))
        for index in range(first, last):
            command = self.line.commands[index]
            self.line.commands[index] = replace(command, redirections=(*command.redirections, *redirections))
        was = self.feeding
        self.feeding = (*was, *range(first, len(self.line.commands)))
        for child in later:
            self.visit(child, cwds)
        self.feeding = was
        self.heredoc_scripts(first, redirections, cwds)
        return success, failure

    def heredoc_scripts(self, first: int, redirections: list[Redirection], cwds: Cwds) -> None:
        """Look into what a shell is given on its standard input."""
        from tui_agent.permissions.guard.unwrap import SHELLS

        shells = [c.index for c in self.line.commands[first:] if c.name in SHELLS | {"source", "."}]
        for redirection in redirections:
            if shells and redirection.operator in ("<<", "<<<"):
                self.nested(redirection.body or redirection.target.text, cwds, shells[0])

    def redirection(self, node: Node, cwds: Cwds, later: list[Node]) -> Redirection:
        """Read a redirection; what stands after a heredoc's marker on its line goes to `later`."""
        operator, target, body, quoted = "", Word("", ""), "", False
        for child in node.children:
            kind = child.type
            self.note(child)
            if kind == "heredoc_start":
                marker = self.text(child)
                target, quoted = Word(marker, marker), any(c in marker for c in "'\"\\")
            elif kind == "heredoc_body":
                body = self.text(child)
                self.visit(child, cwds)
            elif kind in ("file_descriptor", "heredoc_end"):
                continue
            elif not child.is_named and not operator:
                operator = "<<" if kind == "<<-" else kind
            elif kind in _WORDS and operator != "<<":
                if not target.raw:  # the grammar gives a redirection words that are arguments
                    target = self.word(child)
                self.visit_inside(child, cwds)
            else:
                later.append(child)
        found = Redirection(operator, target, body, quoted, self.depth > 0)
        self.line.redirections.append(found)
        return found

    def visit_inside(self, node: Node, cwds: Cwds) -> None:
        """Walk a word for the commands in it."""
        if node.type in ("command_substitution", "process_substitution"):
            self.visit(node, cwds)
            return
        self.note(node)
        if node.child_count:
            for child in node.children:
                self.visit_inside(child, cwds)

    def command(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        words: list[Word] = []
        assignments: list[str] = []
        redirections: list[Redirection] = []
        later: list[Node] = []
        if node.type == "variable_assignment":
            self.visit_inside(node, cwds)
            assignments.append(self.text(node))
        for child in node.children if not assignments else ():
            self.note(child)
            if child.type in ("variable_assignment", "variable_name") and node.type in (
                "declaration_command",
                "unset_command",
            ):
                words.append(self.word(child))
                self.visit_inside(child, cwds)
            elif child.type == "variable_assignment":
                assignments.append(self.text(child))
                self.visit_inside(child, cwds)
            elif child.type in ("file_redirect", "heredoc_redirect", "herestring_redirect"):
                redirections.append(self.redirection(child, cwds, later))
            elif child.type != "comment":
                words.append(self.word(child))
                self.visit_inside(child, cwds)
        index = len(self.line.commands)
        first = self.add(
            Command(index, tuple(words), tuple(assignments), tuple(redirections), cwds=cwds), visible=True
        )
        for child in later:
            self.visit(child, cwds)
        self.heredoc_scripts(index, redirections, cwds)
        return _after(first, cwds, self.home)

    def test(self, node: Node, cwds: Cwds) -> tuple[Cwds, Cwds]:
        """Read `[ … ]` and `[[ … ]]` as a command of plain words."""
        self.visit_inside(node, cwds)
        raw = self.text(node)
        words = [reduce_word(part, self.home) for part in _split(raw)]
        if words and words[0].text not in ("[", "[["):
            self.line.features.setdefault("arithmetic", raw[:40])
        self.add(Command(len(self.line.commands), tuple(words), cwds=cwds))
        return cwds, cwds

    def add(self, command: Command, *, visible: bool = False) -> Command:
        """Add a command and all that it wraps; return the innermost one if it runs in this shell."""
        if self.feeding or self.inside or self.parent >= 0:
            command = replace(
                command,
                upstream=(*self.feeding, *command.upstream),
                inside_substitution=self.inside or command.inside_substitution,
                parent=self.parent if command.parent < 0 else command.parent,
            )
        self.line.commands.append(command)
        self.count(command)
        effective = command
        inners = unwrap(command.words)
        if not inners:
            return effective
        index = command.index
        run_here = {"command", "builtin", "exec", "time", "eval"}
        for inner in inners:
            if inner.script is not None:
                if not inner.script.constant or command.appended or inner.appended:
                    self.line.features.setdefault("dynamic_script", inner.script.raw[:40])
                self.nested(inner.script.text, command.cwds, index)
            else:
                assignments = tuple(
                    word.raw for word in command.words[1 : max(inner.offset, 1)] if _ASSIGNMENT.match(word.text)
                )
                found = self.add(
                    Command(
                        len(self.line.commands),
                        inner.words,
                        (*command.assignments, *assignments),
                        command.redirections,
                        command.cwds,
                        parent=index,
                        parent_offset=inner.offset,
                        appended=inner.appended or command.appended,
                    )
                )
                if command.name in run_here:
                    effective = found
        own = command.name in ("find", "fd", "fdfind", "gfind", "git", "ssh", "trap")
        safe = all(inner.safe for inner in inners)
        self.line.commands[index] = replace(self.line.commands[index], wrapper=not own, safe_wrapper=safe)
        return effective

    def count(self, command: Command) -> None:
        """Raise `_TooMuch` where the line has more of something than is looked at."""
        line = self.line
        line.word_count += len(command.words) + len(command.redirections)
        globs = {word.text for word in command.words if word.glob}
        line.globs |= globs
        for number, most, what in (
            (len(line.commands), MOST_COMMANDS, "commands"),
            (line.word_count, MOST_WORDS, "words"),
            (max(map(len, globs), default=0), LONGEST_GLOB, "characters in a pattern for file names"),
            (len(line.globs), MOST_GLOBS, "patterns for file names"),
            (len(command.cwds), MOST_FOLDERS, "folders that a command of it may run in"),
        ):
            if number > most:
                raise _TooMuch(f"more than {most:,} {what}")

    def nested(self, script: str, cwds: Cwds, parent: int) -> None:
        """Walk a script that a command of this one runs."""
        self.line.scripts.append(script)
        walk = _Walk(self.line, self.home, script, self.depth + 1)
        walk.script(cwds, inside=self.inside, upstream=self.feeding, parent=parent)


_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_PART = re.compile(r"""(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\.)*"|\\.)+""", re.DOTALL)


def _split(raw: str) -> list[str]:
    return _PART.findall(raw)


def _after(command: Command, cwds: Cwds, home: str) -> tuple[Cwds, Cwds]:
    """Return the folders after a command: only `cd` and its like change them."""
    name = command.words[0].text if command.words else ""
    if name in ("pushd", "popd", "eval", "source", "."):
        unknown = cwds | {None}
        return unknown, unknown
    if name != "cd":
        return cwds, cwds
    operands = [word for word in command.words[1:] if word.text not in ("-P", "-L", "-e", "--")]
    if len(operands) > 1 or (operands and not operands[0].constant) or (operands and operands[0].glob):
        return frozenset([None]), cwds
    target = operands[0].text if operands else home
    if target in {"-", ""}:
        return frozenset([None]), cwds
    success: set[str | None] = set()
    exists = True
    for cwd in cwds:
        if cwd is None:
            success.add(None if not target.startswith("/") else os.path.realpath(target))
            exists = False
            continue
        joined = os.path.join(cwd, target)
        real = os.path.realpath(joined)
        success.add(real)
        if ".." in target:  # `cd` takes `..` away as text, programs follow the links
            success.add(os.path.realpath(os.path.normpath(joined)))
        exists = exists and os.path.isdir(real)
    return frozenset(success), frozenset() if exists else cwds
