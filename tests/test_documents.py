"""The documents say what is in the tree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "AGENTS.md",
    *(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]


def named(document: str) -> set[str]:
    return set(re.findall(r"`([\w./-]+)`", (ROOT / document).read_text()))


def test_the_architecture_lists_every_room() -> None:
    table = (ROOT / "ARCHITECTURE.md").read_text().partition("## The rooms")[2].partition("\n## ")[0]
    listed = {
        name.rstrip("/")
        for row in table.splitlines()
        if row.startswith("| `")
        for name in re.findall(r"`([\w./]+)`", row.split("|")[1])
    }
    package = ROOT / "tui_agent"
    rooms = {path.name for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert listed == rooms - {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "AGENTS.md"])
def test_every_file_that_a_document_names_is_there(document: str) -> None:
    paths = {name for name in named(document) if "/" in name and "NAME" not in name and "index.db" not in name}
    missing = {name for name in paths if not (ROOT / name).exists() and not (ROOT / "tui_agent" / name).exists()}
    assert missing <= {".venv/bin/pytest"}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_between_documents_leads_somewhere(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", (ROOT / document).read_text())
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []


def test_the_threat_model_names_tests_that_exist() -> None:
    found = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/threat-model.md").read_text())
    assert len(found) > 20
    missing = [
        f"{file}::{name}"
        for file, name in found
        if not re.search(rf"^(?:async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_each_defence_of_the_threat_model_has_its_test() -> None:
    table = (ROOT / "docs/threat-model.md").read_text().partition("## What is defended")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and not row.startswith("| attack")]
    assert rows
    assert [row for row in rows if not re.search(r"\| `tests/[\w/]+\.py::\w+` \|$", row)] == []
