"""File name patterns: `*`, `?`, `[…]`, `{a,b}`, and `**` for any number of folders."""

from __future__ import annotations

import re


def glob_regex(pattern: str) -> str:
    r"""Return a regular expression over relative paths that matches what the pattern means.

    `*` and `?` stay within one folder; `**/` is any number of folders, none included; a leading `./` is
    dropped. Brackets and braces that do not close stand for themselves. Example: ``glob_regex("**/*.py")``.
    """
    return _translate(pattern.removeprefix("./"))


def filter_regex(pattern: str) -> str:
    """Return the expression for a pattern that filters files: without a slash, it is about names anywhere."""
    return glob_regex(pattern if "/" in pattern else f"**/{pattern}")


def _translate(pattern: str) -> str:
    out = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if pattern.startswith("*", at):
                at += 1
                if pattern.startswith("/", at):
                    at += 1
                    out.append("(?:.*/)?")
                else:
                    out.append(".*")
            else:
                out.append("[^/]*")
        elif character == "?":
            out.append("[^/]")
        elif character == "[" and (end := _class_end(pattern, at)) > 0:
            inside = pattern[at:end]
            negated = inside[:1] in {"!", "^"}
            body = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[1:] if negated else inside)
            out.append(f"(?!/)[{'^' if negated else ''}{body}]")
            at = end + 1
        elif character == "{" and (end := _brace_end(pattern, at)) > 0:
            choices = [_translate(choice) for choice in _choices(pattern[at:end])]
            out.append(f"(?:{'|'.join(choices)})")
            at = end + 1
        else:
            out.append(re.escape(character))
    return "(?s:" + "".join(out) + ")"


def _class_end(pattern: str, start: int) -> int:
    # A bracket right after the opening one is part of the class.
    skip = 2 if pattern[start : start + 1] in {"!", "^"} else 1
    return pattern.find("]", start + skip)


def _brace_end(pattern: str, start: int) -> int:
    depth = 1
    for at in range(start, len(pattern)):
        depth += {"{": 1, "}": -1}.get(pattern[at], 0)
        if depth == 0:
            return at
    return -1


def _choices(inside: str) -> list[str]:
    choices = [""]
    depth = 0
    for character in inside:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "," and depth == 0:
            choices.append("")
        else:
            choices[-1] += character
    return choices
