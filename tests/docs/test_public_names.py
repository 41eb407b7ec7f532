"""Public names may be added, and are never renamed or removed."""

import json
from pathlib import Path

from tests.docs import public
from tests.gateway import running

BEFORE = json.loads((Path(__file__).parents[1] / "data" / "public-names-0.1.0.json").read_text())
"""The public names of version 0.1.0."""


async def test_every_public_name_of_version_0_1_0_is_still_there(
    nats_url: str, stream_name: str
) -> None:
    """Settings, subjects, commands and flags, messages and fields, routes and metrics."""
    async with running(nats_url, stream_name) as gateway:
        for kind in ("price", "trade", "funding"):
            await gateway.publish(kind, "SOL")
        await gateway.publish_raw("percolator.price.SOL", b"{")
        await (await gateway.client("price:SOL")).receive()
        now = await public.names(gateway)
    missing = {what: sorted(set(before) - set(now[what])) for what, before in BEFORE.items()}
    assert missing == {what: [] for what in BEFORE}
