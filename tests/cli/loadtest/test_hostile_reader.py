"""The reader, with the bytes of a hostile gateway: they are read, or refused with one error."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import MessageError
from percolator.model.server_messages import MAX_MESSAGE_BYTES
from percolator_cli.loadtest.plan import Numbers
from tests.cli.loadtest.stream import Client, Market, reference
from tests.hostile import binary, text

BIG = st.sampled_from(["-1", "0", "1", "5", "2", "9" * 15, "9" * 19, "9" * 400, "1.5", "null"])
KINDS = st.sampled_from(["trade", "price", "funding", "liquidation", "gap", "connected", "x"])


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame that is nearly one of a gateway."""
    kind, seq, prev, size = draw(KINDS), draw(BIG), draw(BIG), draw(BIG)
    event = f'{{"type":"{kind}","slab":"SOL","size":"{size}","seq":{seq},"prev":{prev}}}'
    return draw(
        st.sampled_from([text(event), text(event[:-1]), binary(b"x"), b"\x89\x00", b"\x81\x80"])
        | st.binary(max_size=20)
    )


@given(st.lists(frames(), max_size=20), st.integers(1, 50))
def test_any_bytes_are_read_or_refused_with_one_error(given: list[bytes], chunk: int) -> None:
    """Among them the events of the market, in pieces of any size."""
    market, client = Market(), Client(reference())
    with contextlib.suppress(MessageError):
        client.feed(market.event("trade"), *given, market.event("trade"), chunk=chunk)
    client.reader.all_spans()


@pytest.mark.parametrize(
    "frame",
    [
        b"\x82\x01x",
        b"\x01\x01x",
        b"\xc1\x01x",
        b"\x81\x81xxxx",
        b"\x81\x7f" + (MAX_MESSAGE_BYTES + 1).to_bytes(8),
        text(json.dumps({"type": "gap"})),
    ],
    ids=["binary", "fragment", "compressed", "masked", "long", "malformed"],
)
def test_a_frame_that_no_gateway_sends_is_refused(frame: bytes) -> None:
    """Its rest would never come, or would not be read."""
    with pytest.raises(MessageError):
        Client(reference()).feed(frame)


@given(st.text("0123456789.", max_size=30))
def test_a_number_that_a_gateway_made_up_is_none_of_ours(digits: str) -> None:
    """It may know how this run numbers its events."""
    numbers = Numbers(salt=7)
    assert numbers.of_size(f"8{digits}") is None or len(digits) == 12
    assert numbers.of_rate(f"0.0000000007{digits}") is None or len(digits) == 10
