"""Varied Markdown of an exact length: what `say N` answers with. The same N gives the same text."""

from __future__ import annotations

from collections.abc import Iterator

from tui_agent.models.offline.tokens import BYTES_PER_TOKEN

_WORDS_TEXT = (
    "journal event step turn limit gauge receipt pool rule decision session run outcome intent record "
    "file line reader writer prompt answer screen pane key chunk commit hash chain order state fold view "
    "small plain quick steady open whole early late next first last every each some other same again "
    "often never always before after"
)
_WORDS = tuple(_WORDS_TEXT.split())


class _Words:
    """A fixed sequence of words: a linear congruential generator picks them (constants of Numerical Recipes)."""

    def __init__(self) -> None:
        self._state = 2_463_534_242

    def pick(self, count: int) -> list[str]:
        words = []
        for _ in range(count):
            self._state = (self._state * 1_664_525 + 1_013_904_223) % 2**32
            words.append(_WORDS[(self._state >> 16) % len(_WORDS)])
        return words

    def sentence(self, count: int) -> str:
        return " ".join(self.pick(count)).capitalize() + "."


def markdown(tokens: int) -> str:
    """Return `tokens` tokens of Markdown: headings, paragraphs, lists, fenced code, tables, quotes. ASCII."""
    size = tokens * BYTES_PER_TOKEN
    parts: list[str] = []
    used = 0
    for part in _parts():
        if used + len(part) + 2 > size - 40:
            break
        parts.append(part)
        used += len(part) + 2
    text = "\n\n".join(parts) + ("\n\n" if parts else "")
    words = _Words()
    while len(text) < size:
        text += words.sentence(9) + " "
    return text[: size - 1].rstrip(" ").ljust(size - 1, ".") + "."


def _parts() -> Iterator[str]:
    words = _Words()
    number = 0
    while True:
        number += 1
        yield f"## {number}. {words.sentence(4)[:-1]}"
        yield " ".join(words.sentence(11) for _ in range(4))
        first, second, third = words.pick(3)
        yield f"The **{first}** comes before the *{second}*; see `{third}.py`. {words.sentence(14)}"
        yield "\n".join(f"- {words.sentence(7)}" for _ in range(4)) + f"\n  - {words.sentence(5)}"
        name, value = words.pick(2)
        yield (
            f"```python\ndef {name}(items: list[str]) -> int:\n    # {words.sentence(6)}\n    {value} = 0\n"
            f"    for item in items:\n        if item.startswith({name!r}):\n            {value} += len(item)\n"
            f"    return {value}\n```"
        )
        yield "\n".join(f"{place}. {words.sentence(6)}" for place in range(1, 5))
        rows = "\n".join(f"| {words.pick(1)[0]} | {row * 17} | {words.sentence(4)} |" for row in range(1, 5))
        yield f"| name | count | what it is |\n| :--- | ---: | --- |\n{rows}"
        yield f"> {words.sentence(12)}\n> {words.sentence(9)}"
