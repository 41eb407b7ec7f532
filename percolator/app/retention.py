"""Retention: forgets the markets of which the stream holds no event any more.

A publisher can make up any number of markets. The stream drops their events after a while, and the
gateway follows it: what it holds is what a gateway that starts now would hold. A changed definition
of the stream is noticed here too.
"""

import asyncio
import logging

from percolator.errors import NatsError
from percolator.fanout.book import Book
from percolator.jetstream.feed import ANSWER_SECONDS, Feed

LOOK_SECONDS = 10.0
"""Seconds between two looks at what the stream still holds."""

logger = logging.getLogger(__name__)


async def follow(feed: Feed, book: Book) -> None:
    """Look at the stream from time to time, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        client = feed.client
        if client is None:
            continue
        try:
            state = await feed.stream.look(client, timeout=ANSWER_SECONDS)
        except NatsError as error:
            logger.debug("the stream's oldest seq is not known: %s", error)
            continue
        # The feed may have found another stream meanwhile; or this one, and the feed not yet.
        if feed.client is client and state.epoch == feed.created:
            book.forget_before(state.first_seq)
