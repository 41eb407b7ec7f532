"""The check of the language finds each turn, and leaves plain English alone."""

from pathlib import Path

import pytest

from tests.language import __main__ as program
from tests.language.search import OWN, ROOT, search, texts
from tests.language.turns import TURNS

BAD = {
    '"""Give the seq of a log."""': '"""Give',
    '    """Tell a client that it is late."""': '"""Tell',
    "/** Hear of a message. */": "/** Hear",
    '"""So many bytes are parsed before the loop."""': '"""So many',
    "Whoever asks first gets it.": "Whoever",
    "a gap that nobody is owed": "nobody",
    "a text divided by commas": "divided by commas",
    "It waits for ever.": "for ever",
    "64 characters at the most.": "at the most",
    "a name that is none": "that is none",
    "a text that is no JSON": "text that is no",
    "0 where there is no event": "where there is",
    "None where it has no followers": "None where",
    "Raises EventError or OSError where it ends.": "Raises EventError or OSError where",
    "1,000 events a second": "events a second",
    "at most twice a second": "twice a second",
    "one file a command": "one file a command",
    "what one would expect": "what one would",
    "The log is made anew.": "anew",
    "The rate likewise.": "likewise",
    "It tried in vain.": "in vain",
    "the settings that it heeds": "heeds",
    "It takes note of the seq.": "takes note",
    "It has grown of late.": "of late",
}
"""Sentences, each with the turn that it holds."""

GOOD = (
    '"""Return the seq of a log."""',
    '"""Givens of a test."""',
    'text = "Give me the seq"',
    '"""Some of it. Take care: so many things go wrong, and so often."""',
    "It follows at the most recent price.",
    "It waits forever, for every client, at most once.",
    "a client that is no longer there; a log that is no more than a list",
    "Nothing is lost: that is no failure.",
    "This is where the log begins, and None is where it ends.",
    "a comma-separated list; 1,000 events per second; the flag --anew",
    "what one client asks for; what one subscription costs",
    "the number of late events; a sum of late and lost ones",
    "It raises its hand where others stay calm.",
    "/** Give up this connection. */",
    'user = "nobody"; url = "nats://somebody:secret@host"',
)


@pytest.mark.parametrize(("sentence", "turn"), BAD.items())
def test_the_check_finds_the_turn_in_a_bad_sentence(sentence: str, turn: str) -> None:
    assert [found.found for found in search(sentence)] == [turn]


def test_every_turn_has_a_bad_sentence() -> None:
    unseen = [turn.pattern.pattern for turn in TURNS if not any(map(turn.pattern.search, BAD))]
    assert unseen == []


@pytest.mark.parametrize("sentence", GOOD)
def test_the_check_passes_a_good_sentence(sentence: str) -> None:
    assert search(sentence) == []


def test_the_check_finds_a_turn_that_goes_on_in_the_next_line() -> None:
    """The line is the one that the turn begins on."""
    (found,) = search("x = 1\n    # The log is kept for\n    # ever.\n")
    assert (found.line, found.found) == (2, "for # ever")


def test_the_check_reads_the_name_of_a_test_as_a_sentence() -> None:
    assert search("def test_a_client_that_nobody_knows_is_refused() -> None:")
    assert not search("nobody_knows = 1")


def test_the_check_reads_the_text_of_the_project_and_not_its_own() -> None:
    found = set(texts(ROOT))
    assert {ROOT / "README.md", ROOT / "percolator" / "errors.py", ROOT / "Makefile"} <= found
    assert not [path for path in found if OWN in path.parents]
    assert not [path for path in found if ".venv" in path.parts]


def test_the_program_names_the_place_of_a_turn_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("Good.\nIt waits for ever.\n")
    monkeypatch.setattr(program, "ROOT", tmp_path)
    assert program.main() == 1
    assert capsys.readouterr().out == ('page.md:2: "for ever": write forever\n1 turns to rewrite\n')


def test_the_program_passes_a_tree_without_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.md").write_text("It waits forever.\n")
    monkeypatch.setattr(program, "ROOT", tmp_path)
    assert program.main() == 0
    assert capsys.readouterr().out == ""
