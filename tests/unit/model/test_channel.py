"""Events: what is accepted, in which unit, and the reason why the rest is rejected."""

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from percolator.errors import EventError
from percolator.model.channel import REJECTED_SUBJECT, SUBJECTS, Channel
from tests.channels import KIND_NAMES, channel_of, subject_of

slabs = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(st.sampled_from(KIND_NAMES), slabs)
def test_subject_and_channel_name_the_same_kind_and_slab(kind: str, slab: str) -> None:
    """Parsing either name returns the kind and the slab that it was built from."""
    channel = channel_of(kind, slab)
    assert Channel.of_subject(channel.subject) == Channel.parse(channel.name) == channel


def test_the_names_are_the_documented_ones() -> None:
    """Singular on NATS, plural on the WebSocket."""
    assert [subject_of(kind, "SOL") for kind in KIND_NAMES] == [
        "percolator.price.SOL",
        "percolator.trade.SOL",
        "percolator.funding.SOL",
        "percolator.liquidation.SOL",
        "percolator.market.SOL",
    ]
    assert [channel_of(kind, "SOL").name for kind in KIND_NAMES] == [
        "price:SOL",
        "trades:SOL",
        "funding:SOL",
        "liquidations:SOL",
        "market:SOL",
    ]


def test_a_channel_is_written_as_its_name() -> None:
    assert str(channel_of("trade", "SOL")) == "trades:SOL"


def test_the_stream_does_not_include_published_rejections() -> None:
    """A rejection that came back as an event would be rejected again, forever."""
    assert not any(
        REJECTED_SUBJECT.startswith(subject.rstrip(">")) for subject in SUBJECTS.values()
    )


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "percolator",
        "percolator.",
        "percolator.prices.SOL",
        "percolator.trades.SOL",
        "percolator.candle.SOL",
        "percolator.candle.S O L",
        "other.price.SOL",
    ],
)
def test_a_subject_of_an_unknown_kind_has_no_channel(subject: str) -> None:
    """A newer version may know it; a stream may hold more than our events."""
    assert Channel.of_subject(subject) is None


@pytest.mark.parametrize(
    "subject",
    [
        "percolator.price",
        "percolator.price.",
        "percolator.price.A.B",
        "percolator.price.SOL\n",
        "percolator.price.SÖL",
        "percolator.price.*",
        "percolator.price." + "x" * 65,
    ],
)
def test_a_subject_without_a_valid_market_name_is_rejected(subject: str) -> None:
    """A kind and one market, and nothing else."""
    with pytest.raises(EventError) as rejected:
        Channel.of_subject(subject)
    assert rejected.value.reason == "invalid_subject"


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "price",
        "price:",
        ":SOL",
        "price:SOL:junk",
        "trade:SOL",
        "Price:SOL",
        "price:SOL ",
        "price:SOL\n",
        "price:SÖL",
        "price:" + "x" * 65,
    ],
)
def test_another_channel_name_is_not_valid(channel: str) -> None:
    """Exactly one colon, a known kind before it, and a slab after it."""
    assert Channel.parse(channel) is None


class Text(str):
    """A string that can be referenced weakly."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("text", ["price:SOL", "x" * 4096])
def test_a_channel_name_from_a_client_is_not_kept(text: str) -> None:
    """There is no end of such names, and memory must be bounded."""
    channel = Text(text)
    gone = weakref.ref(channel)
    Channel.parse(channel)
    del channel
    assert gone() is None


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_wildcard_is_the_channel_of_all_markets(kind: str) -> None:
    """A client may name it; no event is on it, and its subject matches those of all markets."""
    channel = channel_of(kind, "*")
    assert Channel.parse(channel.name) == channel == channel_of(kind, "SOL").wildcard
    assert channel.is_wildcard
    assert not channel_of(kind, "SOL").is_wildcard
    assert channel.subject == f"percolator.{kind}.*"
    with pytest.raises(EventError):
        Channel.of_subject(channel.subject)
