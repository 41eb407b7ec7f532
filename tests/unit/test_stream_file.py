"""The files in nats/ define for operators' tools the same streams that the code defines."""

import json
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from percolator.jetstream import candles, stream

FOLDER = Path(__file__).parents[2] / "nats"

of_each_file = pytest.mark.parametrize(
    ("file", "ours"),
    [
        (FOLDER / "stream.json", stream.definition("PERCOLATOR")),
        (FOLDER / "candles.json", candles.definition("PERCOLATOR_CANDLES")),
    ],
    ids=["events", "candles"],
)


@of_each_file
def test_the_file_and_the_code_define_the_same_stream(file: Path, ours: StreamConfig) -> None:
    wanted = {key: value for key, value in ours.as_dict().items() if value}
    found = json.loads(file.read_text())
    assert {key: value for key, value in found.items() if value} == wanted


@of_each_file
def test_the_file_contains_only_keys_that_the_code_knows(file: Path, ours: StreamConfig) -> None:
    assert set(json.loads(file.read_text())) <= set(ours.as_dict())
