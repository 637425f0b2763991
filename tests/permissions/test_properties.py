"""What holds for all rules and lines."""

from __future__ import annotations

import os
import shlex
import tomllib
from importlib import resources

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.permissions.support import judge, lines
from tui_agent.permissions.guard.lexer import NotPlainError, read_plain
from tui_agent.permissions.guard.shell import parse_line
from tui_agent.permissions.policy import Policy, Request
from tui_agent.permissions.rule_sources import listed_rules

RANK = {"allow": 0, "ask": 1, "deny": 2}
RULES = st.sampled_from(
    [
        "Bash",
        "Bash(*)",
        "Bash(git *)",
        "Bash(git push *)",
        "Bash(ls *)",
        "Bash(rm -rf *)",
        "Bash(npm test)",
        "Bash(cat:*)",
        "Bash(sudo *)",
        "Bash(git; x)",
        "Read(./src/**)",
        "Edit(*.py)",
        "Bash(find *)",
        "Bash(bash -c *)",
        "nonsense(",
    ]
)
LINES = st.sampled_from(
    [
        "ls",
        "git push",
        "git log | cat src/a",
        "rm -rf build",
        "sudo git push",
        "npm test && ls",
        "cat src/a > b.py",
        "bash -c 'git push'",
        "find . -exec git push {} +",
        "echo $(git push)",
        "git $x",
        "cat a.py",
        "f() { ls; }; f",
    ]
)
SOME = st.lists(RULES, max_size=4)
SHELL = st.text(st.sampled_from("abls -\n\t;&|<>(){}[]$`'\"\\*?~!#=./@,0é\x00\r\x1b"), max_size=40)


@settings(max_examples=150, deadline=None)
@given(LINES, SOME, SOME, SOME, SOME, SOME)
def test_more_ask_and_deny_rules_never_allow_more(  # noqa: PLR0917 - hypothesis fills them in order
    line: str, allow: list[str], ask: list[str], deny: list[str], more_ask: list[str], more_deny: list[str]
) -> None:
    before = judge(line, allow=allow, ask=ask, deny=deny).verdict
    after = judge(line, allow=allow, ask=[*ask, *more_ask], deny=[*more_deny, *deny]).verdict
    assert RANK[after] >= RANK[before]


@settings(max_examples=100, deadline=None)
@given(LINES, SOME, SOME, SOME, st.randoms())
def test_the_order_of_rules_never_matters(
    line: str, allow: list[str], ask: list[str], deny: list[str], chance: object
) -> None:
    before = judge(line, allow=allow, ask=ask, deny=deny).verdict
    for rules in (allow, ask, deny):
        chance.shuffle(rules)  # type: ignore[attr-defined]
    assert judge(line, allow=allow, ask=ask, deny=deny).verdict == before


@settings(max_examples=300, deadline=None)
@given(SHELL)
def test_no_text_makes_the_guard_fail(text: str) -> None:
    parse_line(text, "/w", "/h")
    verdict = judge(text)
    assert not any("check failed" in module.reason for module in verdict.modules), verdict
    try:
        read_plain(text)
    except NotPlainError:
        assert verdict.verdict != "allow"


WORDS = ["rm -rf /", "mkfs.ext4 /dev/sda1", "cat /etc/shadow", "pkill tui-agent", "chmod -R 777 /"]


def _quoted(word: str, how: int) -> str:
    forms = (
        word,
        f"'{word}'",
        f'"{word}"',
        word[0] + "''" + word[1:],
        "\\" + word,
        "$'" + "".join(f"\\x{ord(c):02x}" for c in word) + "'",
    )
    return forms[how % len(forms)]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(WORDS),
    st.lists(st.integers(0, 5), min_size=3, max_size=3),
    st.lists(
        st.sampled_from(
            [
                "{}",
                "sudo {}",
                "env {}",
                "timeout 5 {}",
                "ls; {}",
                "( {} )",
                "nice -n 5 {}",
                "command {}",
                "busybox {}",
                "if true; then {}; fi",
                "{} | cat",
                "true && {} &",
                "setsid {}",
            ]
        ),
        max_size=4,
    ),
)
def test_quotes_and_wrappers_never_lift_a_denial(line: str, how: list[int], wrappers: list[str]) -> None:
    words = line.split()
    text = " ".join(_quoted(word, way) for word, way in zip(words, [*how, 0], strict=False))
    for wrapper in wrappers:
        simple = not any(char in text for char in ";|&()") and not text.startswith("if ")
        takes_words = wrapper.split()[0] in ("sudo", "env", "timeout", "nice", "command", "busybox", "setsid")
        if takes_words and not simple:
            continue
        text = wrapper.format(text)
    assert judge(text, allow=["Bash(*)"]).verdict == "deny", text


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([line for line, _ in lines("not_allowed.txt")][:400]),
    st.sampled_from(["ls; {}", "{}; ls", "ls | {}", "{} && ls", "({})", "ls\n{}"]),
)
def test_a_harmless_neighbour_never_helps(line: str, form: str) -> None:
    if judge(line).verdict == "allow" or (form != "ls; {}" and line.startswith(("cd", "pushd"))):
        return
    assert judge(form.format(line)).verdict != "allow"


def programs() -> list[str]:
    """Return every program that a table of the guard knows, and wrappers and builtins besides."""
    names = {"env", "xargs", "timeout", "sudo", "nice", "bash", "sh", "find", "printf", "test", "[", "trap", "cd"}
    for table in resources.files("tui_agent.permissions.guard").iterdir():
        if table.name.endswith(".toml"):
            found = {name for name in tomllib.loads(table.read_text("utf-8")) if name != "*"}
            names |= {f"git {name}" for name in found} if table.name == "git.toml" else found
    return sorted(names)


ODD = [
    "-",
    "--",
    "-y",
    "=",
    "-=",
    "--=",
    "--x=",
    "a=",
    "@",
    "+",
    "!",
    "-c",
    "-e",
    "-i",
    "-o",
    "-ofile",
    "{}",
    ";",
    "(",
    ")",
    "[",
    "]",
    "*",
    "?",
    "~",
    ".",
    "..",
    "/",
    ":",
    "::",
    "x::",
    "-C",
    "HEAD:",
    ":(",
    "%",
    "$",
    "{",
    "}",
    "s",
    "s/",
    "y/a",
    "'",
    '"',
    "\\",
    "|",
    "-1",
    "--2",
    "é",
    "-exec",
    "-f",
    "-m",
    "p",
    "-n",
    "-'",
    "-P",
    "P",
    "",
    "\t",
    "\n",
    "-\n",
    " ",
]


@settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "100")), deadline=None)
@given(st.data())
def test_no_odd_word_makes_a_check_or_its_explanation_fail(data: st.DataObject) -> None:
    known = programs()
    commands = []
    for _ in range(data.draw(st.integers(1, 2))):
        program = data.draw(st.sampled_from(known))
        words = data.draw(st.lists(st.sampled_from(ODD) | st.text(max_size=4), max_size=4))
        commands.append(f"{program} {shlex.join(word.replace(chr(0), '') for word in words)}")
    line = data.draw(st.sampled_from([" | ", " && ", "; "])).join(commands)
    first = commands[0].split()[0]
    rules = listed_rules(
        [f"Bash({first} *)", "Bash(git *)"], [f"Bash({first} -x *)", "Read(./a/**)"], ["Bash(rm *)", "Edit(./b/**)"],
        source="user", home="/home/dev", base="/w",
    )  # fmt: skip
    policy = Policy(rules, "/home/dev")
    mode = data.draw(st.sampled_from(["ask", "sandboxed", "plan", "bypass"]))
    found = policy.decide(Request("bash", {"command": line}, "/w", mode=mode, sandbox="available"))
    assert "failed:" not in found.reason, (line, found.reason)
    assert not any("check failed" in module.reason for module in found.modules), (line, found.modules)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["read", "edit", "glob", "grep", "webfetch", "skill"]), st.dictionaries(
    st.sampled_from(["path", "file_path", "pattern", "glob", "url", "name", "query"]),
    st.sampled_from(ODD) | st.text(max_size=6) | st.integers() | st.none()), st.sampled_from(ODD))  # fmt: skip
def test_no_odd_path_or_pattern_makes_a_check_fail(tool: str, given_input: dict[str, object], pattern: str) -> None:
    texts = [f"{name}({pattern})" for name in ("Read", "Edit", "WebFetch", "Skill")]
    rules = listed_rules(texts, texts, texts[:1], source="user", home="/home/dev", base="/w")
    found = Policy(rules, "/home/dev").decide(Request(tool, given_input, "/w"))
    assert "failed:" not in found.reason, (given_input, found.reason)
