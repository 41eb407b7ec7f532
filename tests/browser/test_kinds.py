"""percolator.js carries every kind of the gateway's table."""

import pytest

from percolator.model.kinds import KINDS
from tests.browser.conftest import OpenPage
from tests.browser.test_client import following, got
from tests.gateway import Gateway

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_page_gets_events_of_every_kind(gateway: Gateway, open_page: OpenPage) -> None:
    """Lossless kinds are chained by prev, and the others are not."""
    page = await following(open_page, gateway, *(f"{kind.prefix}:SOL" for kind in KINDS))
    seqs = {kind.name: await gateway.publish(kind.name, "SOL") for kind in KINDS}
    messages = {message["type"]: message for message in await got(page, len(KINDS))}
    assert {name: message["seq"] for name, message in messages.items()} == seqs
    for kind in KINDS:
        assert ("prev" in messages[kind.name]) is kind.lossless
