"""Adding a rule to a file that a user wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui_agent.permissions.rule_file import RuleFileError, add_rules


def rules_after(before: str, text: str, folder: Path) -> dict[str, object]:
    folder.mkdir(exist_ok=True)
    (folder / "permissions.toml").write_text(before)
    path = add_rules(folder, [text], "allow", "/home/dev")
    after = path.read_text()
    for line in before.splitlines():
        if "#" in line:
            assert line.split("#", 1)[1] in after
    return tomllib.loads(after)


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# mine\n",
        'deny = ["Bash(rm *)"] # never\n',
        "allow = []\n",
        'allow = ["Bash(a)"]  # one\ndeny = ["Read(./x)"]\n',
        'allow = [\n    "Bash(a)",  # ] not the end\n    "Bash(b)",\n]\n# last\n',
        'allow = [\n    "Bash(a)"  # no comma\n]\n',
        '# "allow = [" stands here too\nask = ["Bash(a)"]',
        '[[allow]]\nrule = "Bash(a)"\nmatch = ["a"]  # so\n',
        'allow = [{rule = "Bash(a)", match = ["a"]}]\n',
    ],
)
def test_all_else_stays_as_it_was(tmp_path: Path, before: str) -> None:
    known = tomllib.loads(before)
    found = rules_after(before, "Bash(pytest *)", tmp_path)
    assert {k: v for k, v in found.items() if k != "allow"} == {k: v for k, v in known.items() if k != "allow"}
    assert found["allow"][:-1] == known.get("allow", [])
    assert found["allow"][-1] in ("Bash(pytest *)", {"rule": "Bash(pytest *)"})


def test_a_rule_stands_there_once(tmp_path: Path) -> None:
    add_rules(tmp_path, ["Bash(a *)"], "allow", "/h")
    add_rules(tmp_path, ["Bash(a *)"], "allow", "/h")
    assert tomllib.loads((tmp_path / "permissions.toml").read_text()) == {"allow": ["Bash(a *)"]}


@pytest.mark.parametrize("text", ["", "Bash(a; b)", "Bash(", "Bash($X *)"])
def test_no_rule_is_not_saved(tmp_path: Path, text: str) -> None:
    with pytest.raises(RuleFileError):
        add_rules(tmp_path, [text], "allow", "/h")
    assert not (tmp_path / "permissions.toml").exists()


def test_a_file_that_does_not_parse_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "permissions.toml").write_text("allow = [\n")
    with pytest.raises(RuleFileError):
        add_rules(tmp_path, ["Bash(a)"], "allow", "/h")
    assert (tmp_path / "permissions.toml").read_text() == "allow = [\n"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.from_regex(r"[a-z \]\[#\"',=]{1,12}", fullmatch=True).map(
            lambda s: f"Bash(echo '{s}')".replace("''", "'x'")
        ),
        max_size=5,
    )
)
def test_any_rules_in_turn(tmp_path: Path, texts: list[str]) -> None:
    file = tmp_path / "permissions.toml"
    file.unlink(missing_ok=True)
    saved = []
    for text in texts:
        try:
            add_rules(tmp_path, [text], "deny", "/h")
        except RuleFileError as error:
            assert "not saved" in str(error)
            continue
        saved.append(text)
    if saved:
        assert tomllib.loads(file.read_text()) == {"deny": list(dict.fromkeys(saved))}


def test_of_several_rules_all_are_saved_or_none(tmp_path: Path) -> None:
    file = tmp_path / "permissions.toml"
    file.write_text('# mine\nallow = ["Bash(a *)"]\n')
    with pytest.raises(RuleFileError):
        add_rules(tmp_path, ["Bash(b *)", "Bash(c; d)"], "allow", "/h")
    assert file.read_text() == '# mine\nallow = ["Bash(a *)"]\n'
    add_rules(tmp_path, ["Bash(b *)", "Bash(a *)", "Bash(c *)"], "allow", "/h")
    assert file.read_text() == '# mine\nallow = ["Bash(a *)", "Bash(b *)", "Bash(c *)"]\n'
