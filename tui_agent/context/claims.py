"""Claims of a summary that the journal does not bear out: files written, commands run, tests that passed.

Only plain statements of fact are looked at; what is planned, wanted, denied or doubtful claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tui_agent.context.record import WorkRecord

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_NO_CLAIM = re.compile(
    r"\b(not|never|no longer|cannot|without|todo|to do|left|remain\w*|next|should|shall|will|would|could|may|might|"
    r"must|need\w*|want\w*|plan\w*|pending|if|unless|until|before|asked?|asks|request\w*|fail\w*|open|denied|"
    r"tr(?:y|ied)|attempt\w*|instead)\b|n't\b|n’t\b|\?",
    re.IGNORECASE,
)
_TOOK = r"(?:was|were|is|are|has been|have been|been|got|now)\s+"
_VERB = (
    r"(?:wrote|written|created|added|edited|updated|modified|changed|rewrote|rewritten|replaced|patched|saved|fixed|"
    r"refactored|deleted|removed|renamed|implemented)"
)
_NAME = r"[`'\"]?(?P<path>(?:[\w.@~+-]+/)*[\w@+-][\w.@+-]*\.[A-Za-z]\w{0,9}|(?:[\w.@~+-]+/)+[\w.@+-]+)[`'\"]?"
_PATH = re.compile(rf"(?<![\w/.]){_NAME}(?![\w/])")
_WROTE = re.compile(rf"\b{_VERB}\b", re.IGNORECASE)
_RAN = re.compile(
    r"\b(?:ran|run|executed|invoked)\b[^.`\n]{0,40}`(?P<command>[^`\n]+)`"
    rf"|`(?P<passive>[^`\n]+)`\s+(?:{_TOOK})?(?:ran|run|executed|passed|succeeded|exited with 0)\b",
    re.IGNORECASE,
)
_PASSED = re.compile(
    r"\b(?:tests?|test suite|suite|checks?)\b[^.\n]{0,30}\b(?:pass(?:es|ed|ing)?|green|succeed(?:s|ed)?)\b"
    r"|\b(?:green|passing)\s+(?:tests?|suite)\b|\b\d+ passed\b",
    re.IGNORECASE,
)


def find_doubts(summary: str, record: WorkRecord) -> list[str]:
    """Return a line for each claim of `summary` that `record` does not bear out, at most once each."""
    doubts: dict[str, None] = {}
    for sentence in _SENTENCE.split(summary):
        if _NO_CLAIM.search(sentence):
            continue
        for doubt in _doubts(sentence, record):
            doubts[f"{doubt}: “{' '.join(sentence.split())[:160]}”"] = None
    return list(doubts)


def _doubts(sentence: str, record: WorkRecord) -> Iterator[str]:
    if _WROTE.search(sentence):
        for match in _PATH.finditer(sentence):
            if not record.changed_file(match["path"]):
                yield f"the journal holds no change of {match['path']}"
    for match in _RAN.finditer(sentence):
        command = match["command"] or match["passive"]
        if not _PATH.fullmatch(command) and not record.ran(command):
            yield f"the journal holds no run of {command}"
    if _PASSED.search(sentence) and not record.tests_passed:
        yield "the journal holds no test run that passed"
