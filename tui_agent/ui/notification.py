"""The sequence that makes the terminal show a desktop notification."""

from __future__ import annotations

from collections.abc import Mapping

from tui_agent.text import inert_line

ASKS = "tui-agent asks"
DONE = "tui-agent is done"
MOST = 200
"""Characters of the text that are shown."""

_TITLED_PROGRAMS = frozenset({"WezTerm", "ghostty"})
_TITLED_TERMS = ("rxvt", "foot", "contour", "xterm-ghostty")


def desktop_notification(text: str, environment: Mapping[str, str], title: str = ASKS) -> str:
    """Return the sequence that shows `text`, which may hold anything, on the terminal of that environment.

    It is one sequence, since several terminals know both: OSC 777, which has a title, for those that document it
    (rxvt-unicode, VTE, foot, WezTerm, Ghostty, Contour), else OSC 9, which most others know or take no notice of. In
    tmux it is passed through, which tmux does if its option `allow-passthrough` is on.
    """
    shown = inert_line(text)[:MOST]
    if _takes_a_title(environment):
        sequence = f"\x1b]777;notify;{title};{shown.replace(';', ',')}\x1b\\"
    else:
        sequence = f"\x1b]9;{title}: {shown}\x07"
    if environment.get("TMUX"):
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{doubled}\x1b\\"
    return sequence


def _takes_a_title(environment: Mapping[str, str]) -> bool:
    return (
        environment.get("TERM_PROGRAM", "") in _TITLED_PROGRAMS
        or environment.get("TERM", "").startswith(_TITLED_TERMS)
        or bool(environment.get("VTE_VERSION"))
    )
