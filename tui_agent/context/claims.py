"""Claims of a summary that the journal does not bear out: files, commands, tests, and other acts such as a push.

Only plain statements of fact are looked at; what is planned, wanted, denied or doubtful claims nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class _Act:
    """A kind of act: the verbs that claim it, the commands that do it, and what to say where there is none.

    `by_edit` says that a changed file bears the claim out too (a function can be removed by an edit), except where
    the claim is about one of `_OUTSIDE`.
    """

    verb: str
    command: re.Pattern[str]
    missing: str
    by_edit: bool = False


_OUTSIDE = re.compile(
    r"\b(?:databases?|db|schemas?|branch(?:es)?|tags?|buckets?|containers?|volumes?|images?|pods?|clusters?|namespaces?|"
    r"servers?|instances?|accounts?|users?|repos?|repositor(?:y|ies)|director(?:y|ies)|folders?|files?|caches?|"
    r"releases?|pull requests?|issues?|packages?|backups?|virtual ?env(?:ironment)?s?|worktrees?)\b",
    re.IGNORECASE,
)
"""Things that no edit of a file's text makes, removes or renames."""

_ACTS = (
    _Act(
        r"deleted|removed|erased|dropped|purged|wiped",
        re.compile(
            r"\b(?:rm|rmdir|unlink|shred|drop\w*|delete\w*|truncate|clean|prune|purge|uninstall|remove|destroy|"
            r"flush\w*|down|git\s+\w+\s+-[dD])\b|\s-delete\b",
            re.IGNORECASE,
        ),
        "no command that deletes",
        by_edit=True,
    ),
    _Act(
        r"committed",
        re.compile(r"\b(?:commit|merge|cherry-pick|revert|rebase|am|ci)\b"),
        "no commit",
    ),
    _Act(r"pushed", re.compile(r"\b(?:push|sync|publish|pr\s+create)\b"), "no push"),
    _Act(
        r"(?:re)?installed",
        re.compile(
            r"(?<![-\w])(?:install|add|sync|ci|get|i|upgrade|update|require|restore|bootstrap|setup)\b|\s-S\w*\s|"
            r"\b(?:yarn|bundle)\s*(?:$|[;&|])"
        ),
        "no installation",
    ),
    _Act(
        r"renamed|moved",
        re.compile(r"\b(?:mv|rename|move|ren|git\s+branch\s+-[mM])\b", re.IGNORECASE),
        "nothing that was renamed",
        by_edit=True,
    ),
    _Act(
        r"created",
        re.compile(
            r"\b(?:create\w*|mkdir|touch|init|new|tee|cp|ln|install|clone|add|venv|virtualenv|generate|run|up|"
            r"tag|branch|checkout\s+-[bB]|switch\s+-[cC]|mktemp|startproject|dump\w*|pg_dump|tar|zip)\b|>",
            re.IGNORECASE,
        ),
        "nothing that was created",
        by_edit=True,
    ),
    _Act(
        r"deployed|published",
        re.compile(r"\b(?:\w*deploy\w*|apply|up|push|publish|release|rollout|upload|upgrade)\b"),
        "no deployment",
    ),
    _Act(r"merged", re.compile(r"\b(?:merge|pull|rebase)\b"), "no merge"),
)

_OTHERS = re.compile(
    r"\b(?:users?|person|they|he|she|you|your|someone|somebody|colleagues?|maintainers?|upstream|previous\w*|"
    r"earlier)\b",
    re.IGNORECASE,
)
"""Words of a sentence that tells what others did, or when: it claims nothing of this work."""

_BULLET = r"^\s*(?:[-*•>]+\s+|\d+[.)]\s+)?(?:\[[xX]\]\s+)?(?:\*\*)?"
_ADVERBS = r"(?:(?:\w+ly|then|also|just|already|first|have|and)\s+)*"
_OWN_WORK = re.compile(rf"{_BULLET}(?:(?:I|we)\b|\w+ed\b|wrote\b|ran\b|made\b|built\b)", re.IGNORECASE)
_IN_MEMORY = re.compile(
    r"\s+\S+(?:\s+\S+){0,3}\s+(?:on|in|into)to?\s+(?:the\s+|a\s+)?(?:\w+\s+)?(?:stack|queue|list|array)\b"
)


def _claims_act(verb: str, sentence: str) -> Iterator[str]:
    """Yield what each claim of an own act with this verb is about: the words near it."""
    active = rf"(?:{_BULLET}|\b(?:I|we)(?:['’]ve)?\s+){_ADVERBS}(?:{verb})\b"
    active += r"(?!\s+\w+\s+(?:is|are|was|were|has|have|can)\b)"
    if _OWN_WORK.match(sentence):
        active += rf"|(?:,|\band\b|\bthen\b)\s+{_ADVERBS}(?:{verb})\b"
    for match in re.finditer(active, sentence, re.IGNORECASE):
        after = sentence[match.end() :]
        if not _IN_MEMORY.match(after):
            yield " ".join(after.split()[:6])
    for match in re.finditer(
        rf"\b(?:was|were|has been|have been)\s+(?:\w+ly\s+)?(?:{verb})\b(?!\s+by\b)", sentence, re.IGNORECASE
    ):
        yield " ".join(sentence[: match.start()].split()[-6:])


def _unproven_acts(sentence: str, record: WorkRecord) -> Iterator[str]:
    if _OTHERS.search(re.sub(r"`[^`]*`", "", sentence)):
        return
    names_file = bool(_PATH.search(sentence))
    for act in _ACTS:
        if names_file and act.by_edit:
            continue  # the file itself is looked for
        for about in _claims_act(act.verb, sentence):
            edited = act.by_edit and bool(record.changed) and not _OUTSIDE.search(about)
            if not edited and not record.succeeded(act.command):
                yield f"the journal holds {act.missing}"


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
    yield from _unproven_acts(sentence, record)
