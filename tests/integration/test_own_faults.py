"""Faults in the gateway's own code: one connection ends, and the fault is logged."""

import logging

import pytest

from percolator.app import pages
from percolator.fanout.session import ClientSession
from tests.gateway import Gateway, eventually


def fail(*_args: object, **_kwargs: object) -> None:
    """Raise the fault."""
    raise KeyError("an internal secret")


async def test_a_fault_in_a_request_closes_its_connection_with_1011(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its places are freed, the log has the traceback, and other clients are served."""
    witness = await gateway.client("trades:SOL")
    client = await gateway.client("trades:SOL", "price:BTC")
    monkeypatch.setattr(ClientSession, "_carry_out", fail)
    with caplog.at_level(logging.ERROR):
        client.send({"type": "ping"})
        assert await client.closed() == (1011, "internal error")
    assert [record.exc_info is not None for record in caplog.records] == [True]
    await client.gone()
    await eventually(lambda: gateway.service.slab_limits.clients == {"SOL": 1})
    seq = await gateway.publish("trade", "SOL")
    assert (await witness.receive())["seq"] == seq
    assert gateway.service.stats.closed == {1011: 1}


async def test_a_fault_in_a_route_is_answered_with_500(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a word about the fault."""
    monkeypatch.setattr(pages, "stats_view", fail)
    status, _, body = await gateway.get("/ws/stats")
    assert (status, body) == (500, b"An internal error occurred; try again.\n")
    assert (await gateway.get("/health"))[0] == 200
