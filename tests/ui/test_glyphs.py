"""The screen uses only characters that common monospace fonts have."""

from __future__ import annotations

import io
import tokenize
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import tui_agent

IN_BOTH_FONTS = frozenset("·×–—’“”•…›←↑→↓−≈≤─━│╭╮╰╯┼▌▎░▒▓■▪▲▶▸▾●◇◦✓✗❯�")
"""What both JetBrains Mono 2.304 and DejaVu Sans Mono 2.37 have (`fc-query --format '%{charset}'`), of what we use.

Add a character only after looking it up in both.
"""

ROOT = Path(tui_agent.__file__).parent


def strings(file: Path) -> Iterator[str]:
    """Yield every string of a source file that is not a docstring, and the text of a data file."""
    if file.suffix != ".py":
        yield file.read_text()
        return
    begins = True
    for token in tokenize.generate_tokens(io.StringIO(file.read_text()).readline):
        if token.type == tokenize.STRING and not begins:  # a string that begins a statement is a docstring
            yield token.string
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            begins = token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def test_every_character_that_is_painted_is_in_both_fonts() -> None:
    # text.py and the guard name characters in order to find them in what others wrote
    files = [
        f
        for f in ROOT.rglob("*")
        if f.suffix in {".py", ".toml"} and f != ROOT / "text.py" and f.parent.name != "guard"
    ]
    assert len(files) > 100
    missing = {
        (str(file.relative_to(ROOT)), character)
        for file in files
        for text in strings(file)
        for character in text
        if ord(character) > 0x7F
        and unicodedata.category(character)[0] not in "CZM"
        and character not in IN_BOTH_FONTS
        and not character.isalpha()
    }
    assert not missing
