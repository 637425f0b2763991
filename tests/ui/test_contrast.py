"""Everything that the packaged themes paint can be read: measured on the rendered screens themselves."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from pathlib import Path

import pytest
from rich.color import Color, ColorType
from textual.geometry import Region
from textual.screen import Screen

from tests.ui.support import Driven, driven

THEMES = ("tui-agent-dark", "tui-agent-light")
"""Not tui-agent-16: what its terminals show for the 16 colors is set by their user and cannot be measured here."""

TEXT, DECORATION = 4.5, 3.0
"""The least contrast of text, and of what only frames or fills: WCAG 2.2, 1.4.3 and 1.4.11."""

_DECORATION = frozenset("·…›▸▾●◇❯▌▏▎▍▋▊▉█▐▁▂▃▄▅▆▇▀░▒▓⎿")


def _luminance(color: Color) -> float:
    parts = [v / 255 for v in color.get_truecolor()]
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def _ratio(one: Color, other: Color) -> float:
    """Return the contrast of two colors as WCAG 2 defines it, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _is_decoration(character: str) -> bool:
    frames = ("BOX DRAWINGS", "BLOCK", "BRAILLE")
    return character in _DECORATION or unicodedata.name(character, "").startswith(frames)


class Painted:
    """Collects what is painted too faintly, with an example of each pair of colors."""

    def __init__(self) -> None:
        self.faint: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.pairs: set[tuple[str, str]] = set()

    def look(self, me: Driven, state: str) -> None:
        """Take note of all pairs on the screen; of a dialog's screen, those of the dialog."""
        screen = me.app.screen
        region = _dialog(screen)
        for y, strip in enumerate(screen._compositor.render_strips()):
            if not region.y <= y < region.bottom:
                continue
            for segment in strip.crop(region.x, region.right):
                style, text = segment.style, segment.text.strip()
                if style is None or not text:
                    continue
                front, back = style.color, style.bgcolor
                if style.reverse:
                    front, back = back, front
                assert front is not None and back is not None, (state, segment)
                assert ColorType.DEFAULT not in (front.type, back.type), (state, segment)
                assert not style.dim, (state, segment)
                pair = (front.name, back.name)
                self.pairs.add(pair)
                least = DECORATION if all(map(_is_decoration, text.replace(" ", ""))) else TEXT
                if (ratio := _ratio(front, back)) < least:
                    self.faint[pair].append(f"{ratio:.2f} < {least} in {state}: {segment.text.strip()[:50]!r}")


def _dialog(screen: Screen[object]) -> Region:
    if not screen.is_modal:
        return screen.region
    found = screen.query("#dialog, #--container")
    return found.first().region


@pytest.mark.parametrize("theme", THEMES)
async def test_everything_painted_can_be_read(isolated: Path, theme: str) -> None:
    (isolated / "hello.py").write_text("x = 1\nprint('hi')\n")
    painted = Painted()
    async with driven(isolated, theme=theme, size=(120, 40)) as me:

        async def look(state: str, *keys: str) -> None:
            if keys:
                await me.pilot.press(*keys)
            await me.pilot.pause()
            painted.look(me, state)

        await look("the start")
        await look("completions", "slash", "m")
        await me.pilot.press("escape", "backspace", "backspace")
        await me.request("read hello.py then edit hello.py: print => shout")
        await look("a request that waits")
        await look("the queue", "f4")
        await me.armed()
        await look("the queue, ready")
        await look("why", "w")
        await look("why, closed", "escape")
        await me.armed()
        await look("a rule", "a")
        await me.pilot.press("escape")
        await me.armed()
        await look("an edit", "e")
        await me.pilot.press("escape")
        await me.armed()
        await me.pilot.press("y")
        await me.idle()
        await me.until(lambda: not me.app.workbench.prompt.held, "the prompt sends again")
        await me.ask("run touch made; ls nowhere")
        await me.until(lambda: me.queue.entries, "the second request")
        await me.pilot.press("f4")
        await me.armed()
        await me.pilot.press("s")
        await look("a grant")
        await me.pilot.press("n", "n")
        await me.idle(2)
        await look("denied and done", "f6")
        await look("the cursor in the conversation", "up", "up", "up")
        await look("unfolded", "enter")
        await look("the search", "slash", "h", "e")
        await me.pilot.press("enter")
        await look("matches")
        await look("the timeline", "f3", "up", "up", "enter")
        await look("the budget", "f5")
        await look("help", "f1")
        await me.pilot.press("escape")
        for state, key in (("sessions", "f2"), ("context", "f8"), ("audit", "f9"), ("the palette", "ctrl+p")):
            await me.pilot.press("f7")
            before = me.app.screen
            await me.pilot.press(key)
            await me.until(lambda before=before: me.app.screen is not before, state)
            await me.pilot.pause(0.3)
            await look(state)
            await look(state, "down")
            await look(state, "x")
            await me.pilot.press("escape")
            await me.pilot.press("escape")
            await me.until(lambda: not me.app.screen.is_modal, f"{state} closed")
        await me.pilot.press("f7")
        me.app.workbench.prompt.take("")
        await me.ask("/theme")
        await me.until(lambda: me.app.screen.is_modal, "the picker")
        await look("a picker")
        await look("a picker", "down")
        await me.pilot.press("escape")
        for severity in ("information", "warning", "error"):
            me.app.notify("A message", title="Title", severity=severity)  # type: ignore[arg-type]
        await me.pilot.pause(0.1)
        await look("messages")
    assert len(painted.pairs) > 15
    faint = [f"{front} on {back}: {' | '.join(where[:3])}" for (front, back), where in painted.faint.items()]
    assert not faint, "\n" + "\n".join(sorted(faint))
