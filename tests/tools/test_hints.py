"""A failed command's result says what the sandbox and the environment had to do with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.support import Bench, text
from tests.tools.test_temporary import boxed
from tui_agent.runtime import Runtime
from tui_agent.sandbox import Access, Sandbox, SandboxState
from tui_agent.tools.hints import sandbox_hint


def bench(root: Path, **more: object) -> Bench:
    home = root / "home"
    home.mkdir(exist_ok=True)
    secrets = {"MY_SERVICE_TOKEN": "abcdefgh12345678", "OTHER_PASSWORD": "qwertz1234567890"}
    runtime = Runtime(environment={"HOME": str(home), "PATH": "/usr/bin:/bin", **secrets}, home=home)
    made = Bench(root, runtime=runtime)
    folders = {"data": root / "data", "config": root / "config", "scratch": root / "scratch"}
    made.sandbox = Sandbox(runtime, workspace=made.workspace, **folders, **more)
    return made


def unconfined() -> SandboxState:
    return SandboxState("none", "none")


async def test_a_command_that_names_a_withheld_variable_is_told(tmp_path: Path) -> None:
    made = bench(tmp_path, probe=unconfined)
    result = text(await made.do("bash", command='echo "${MY_SERVICE_TOKEN:-unset}"'))
    assert result.startswith("unset\n[withheld from commands")
    assert "MY_SERVICE_TOKEN" in result
    assert "OTHER_PASSWORD" not in result
    assert "pass_environment" in result


async def test_a_failed_command_is_told_what_it_did_not_get_and_others_are_not(tmp_path: Path) -> None:
    made = bench(tmp_path, probe=unconfined)
    assert "MY_SERVICE_TOKEN, OTHER_PASSWORD" in text(await made.do("bash", command="false"))
    assert text(await made.do("bash", command="echo ok")) == "ok"


async def test_a_variable_is_let_through_by_name(tmp_path: Path) -> None:
    made = bench(tmp_path, probe=unconfined, passed=("MY_SERVICE_TOKEN",))
    result = text(
        await made.do("bash", command='test -n "$MY_SERVICE_TOKEN" && test -z "$OTHER_PASSWORD" && echo yes')
    )
    assert result.startswith("yes\n")
    assert "MY_SERVICE_TOKEN" not in result


@boxed
@pytest.mark.parametrize(
    ("command", "hint"),
    [
        ("python3 -c \"import socket; socket.create_connection(('example.org', 80))\"", 'access: "network"'),
        ("git init -q a && cd a && git config core.editor vi && touch .git/x; git config core.pager less", ""),
        ("git init -q .", "does not become a repository"),
        ("touch /usr/x", 'access: "full"'),
        ("false", ""),
    ],
)
async def test_a_failure_of_the_sandbox_s_making_says_so(tmp_path: Path, command: str, hint: str) -> None:
    result = text(await bench(tmp_path).do("bash", command=command))
    assert hint in result
    assert ("access:" in result) == bool(hint)


def test_what_programs_say_without_network_is_known() -> None:
    for words in (
        "curl: (6) Could not resolve host: example.org",
        "npm error code EAI_AGAIN",
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "Failed to establish a new connection: [Errno -3] Temporary failure in name resolution",
        "dial tcp: lookup proxy.golang.org: no such host",
    ):
        assert "network" in sandbox_hint(words, "bubblewrap", "sandbox")
        assert not sandbox_hint(words, "none", "sandbox")
        assert not sandbox_hint(words, "bubblewrap", "network")
    locked = "error: could not lock config file .git/config: Device or resource busy"
    assert "settings and hooks of git" in sandbox_hint(locked, "bubblewrap", "sandbox")
    assert "$TMPDIR" in sandbox_hint("bash: /tmp/x: Permission denied", "landlock", "sandbox")


def test_npm_without_the_registry_of_the_home_folder_is_told_why() -> None:
    confined: tuple[Access, ...] = ("sandbox", "network")
    for words in (
        "npm error code E401\nnpm error Incorrect or missing password.",
        "npm ERR! code ENEEDAUTH\nnpm ERR! need auth This command requires you to be logged in.",
        "npm error 404 Not Found - GET https://registry.npmjs.org/@corp%2fthing - Not found",
        "ERR_PNPM_FETCH_401  GET https://npm.example.org/x: Unauthorized - 401",
    ):
        for access in confined:
            assert "~/.npmrc is hidden" in sandbox_hint(words, "bubblewrap", access)
        assert not sandbox_hint(words, "bubblewrap", "full")
    for words in ("npm error code ELIFECYCLE", "npm error missing script: build", "HTTP 401 Unauthorized"):
        assert "npmrc" not in sandbox_hint(words, "bubblewrap", "network")
