"""`nats/stream.json` defines for operators' tools the same stream that the code defines."""

import json
from pathlib import Path

from percolator.jetstream.stream import definition

FILE = Path(__file__).parents[2] / "nats" / "stream.json"


def test_the_file_and_the_code_define_the_same_stream() -> None:
    ours = {key: value for key, value in definition("PERCOLATOR").as_dict().items() if value}
    file = json.loads(FILE.read_text())
    assert {key: value for key, value in file.items() if value} == ours


def test_the_file_contains_only_keys_that_the_code_knows() -> None:
    assert set(json.loads(FILE.read_text())) <= set(definition("PERCOLATOR").as_dict())
