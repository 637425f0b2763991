"""Files whose names say that they hold secrets."""

from __future__ import annotations

import pytest

from tui_agent.permissions.sensitive import secret_level


@pytest.mark.parametrize(
    ("name", "level"),
    [
        (".dockercfg", "ask"),
        ("config/secrets.prod.yml", "ask"),
        ("prod-secrets.yaml", "ask"),
        (".secrets.toml", "ask"),
        ("config/credentials.yml.enc", "ask"),
        ("infra/prod.tfvars", "ask"),
        (".m2/settings.xml", "ask"),
        ("keys/apple.p8", "ask"),
        ("secrets.example.yml", ""),
        ("src/secrets.py", ""),
        ("docs/secrets.md", ""),
        ("secret-santa.txt", ""),
        ("settings.xml", ""),
        ("tokenizer.json", ""),
    ],
)
def test_files_that_hold_secrets_are_known_by_their_names(name: str, level: str) -> None:
    assert secret_level(f"/work/{name}") == level
