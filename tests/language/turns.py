"""The turns that are not plain English, each with what to write instead.

A space in a pattern stands for any gap between two words, also one from line to line. A pattern
must match nothing that is plain English: what only a reader can tell is left to readers.
"""

import re
from typing import NamedTuple

GAP = r"[\s#*/>]+"
"""What may stand between two words: a line break, and how the next line of a comment begins."""
OPENING = r'^[^\S\n]*(?:r?"""|/\*\*\s*)'
"""Where a docstring begins, in Python or in JavaScript."""
COMPARISONS = r"longer|more|less|use|good|different|other|doubt|\w+er"
"""What may plainly follow "that is no"."""

VERBS = "is|has|had|gets|says|does|can|may|must|will|would|sees|knows|needs|wants|likes|asks|takes"


class Turn(NamedTuple):
    """A turn: what it looks like, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def _turn(pattern: str, instead: str) -> Turn:
    return Turn(re.compile(pattern.replace(" ", GAP), re.MULTILINE), instead)


TURNS = (
    _turn(
        OPENING + r"(?:Give|Tell|Say|Take|Let|Hear)\b(?!\s+(?:up|back|over|off|away)\b)",
        "Return, Send, Raise, Report, or what the thing is",
    ),
    _turn(OPENING + r"So (?:many|often|much|long)\b", "what the number is, and its unit"),
    _turn(r"\b(?i:whoever)\b", "the thing's name, or: anyone who"),
    _turn(r"\b(?i:nobody|somebody)\b(?![\":@-])", "the thing's name; no client; a client"),
    _turn(r"\bdivided by commas\b", "comma-separated"),
    _turn(r"\bfor ever\b", "forever"),
    _turn(r"\b(?i:at) the most\b(?!\s+[a-z]{3})", "at most"),
    _turn(r"\b(?:that|which) (?:is|are) none\b(?!\s+of\b)", "that is not one"),
    _turn(
        rf"\w+ (?:that|which) (?:is|are) no (?!(?:{COMPARISONS})\b)",
        "that is not a; that is not a valid",
    ),
    _turn(r"\b(?i:where) there (?:is|are|was|were)\b", "if there is; when there is"),
    _turn(r"\b(?:None|True|False) where\b", "None if; True if"),
    _turn(r"\bRaises \w+(?:(?:, | or )\w+)*,? where\b", "Raises ... if"),
    _turn(
        r"\b(?:events|messages|once|twice|times) an? (?:second|minute|hour|day)\b",
        "per second, per minute",
    ),
    _turn(r"\b(?:one|two|a) (?:file|line|row|task) a (?:client|command|market|kind)\b", "per"),
    _turn(rf"\b(?i:what) one (?:{VERBS})\b", "what you; what a client"),
    _turn(r"\b(?<!-)(?i:anew)\b", "again"),
    _turn(r"\b(?i:likewise)\b", "also; too"),
    _turn(r"\b(?i:in) vain\b", "without success"),
    _turn(r"\b(?i:heed)(?:s|ed|ing)?\b", "handle; check"),
    _turn(r"\b(?i:tak)(?:e|es|en|ing) note\b", "record; notice"),
    _turn(r"\bof late(?=[.,;:)])", "recently"),
)
