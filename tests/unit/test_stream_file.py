"""`nats/stream.json` says to operators' tools what the code says to NATS."""

import json
from pathlib import Path

from percolator.jetstream.stream import definition

FILE = Path(__file__).parents[2] / "nats" / "stream.json"


def test_the_file_and_the_code_define_the_same_stream() -> None:
    ours = {key: value for key, value in definition("PERCOLATOR").as_dict().items() if value}
    file = json.loads(FILE.read_text())
    assert {key: value for key, value in file.items() if value} == ours


def test_the_file_says_nothing_that_the_code_does_not_know() -> None:
    assert set(json.loads(FILE.read_text())) <= set(definition("PERCOLATOR").as_dict())
