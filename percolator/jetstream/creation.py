"""How a consumer is created: under a name of this user's own, if the user has a prefix.

nats-server allows a number of consumers per account, and a user that takes them all keeps others
from reading. A user with a prefix may therefore only create consumers with certain names.
"""

import contextlib
import json

import nats.errors
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.errors import APIError, NotFoundError

from percolator.jetstream import failures
from percolator.jetstream.client import NatsClient
from percolator.jetstream.errors import ConsumerError

DESCRIPTION = "percolator gateway feed"
NAMES_PER_USER = 16
"""Consumers that a user with a prefix may have; nats/nats-server.conf lists their names."""
LIMIT_REACHED = 10026
NAME_IN_USE = (10013, 10148)


def names(prefix: str) -> list[str]:
    """Return the names that a user's consumers may have."""
    return [f"{prefix}-{number}" for number in range(1, NAMES_PER_USER + 1)]


async def create(
    client: NatsClient, stream: str, config: ConsumerConfig, *, within: float
) -> ConsumerInfo:
    """Create a consumer; the server has `within` seconds for each answer.

    Raises ConsumerError, which quotes NATS.
    """
    try:
        return await _create(client, stream, config, within)
    except nats.errors.Error as error:
        advice = ""
        if isinstance(error, APIError):
            advice = failures.advice(error, "check the stream and the permissions")
        raise ConsumerError(
            f"NATS does not create a consumer: {failures.words(error)}{advice and f'; {advice}'}"
        ) from None


async def _create(
    client: NatsClient, stream: str, config: ConsumerConfig, within: float
) -> ConsumerInfo:
    if client.prefix is not None:
        return await _create_named(client, stream, config, client.prefix, within)
    context = client.jetstream(timeout=within)
    try:
        return await context.add_consumer(stream, config)
    except APIError as error:
        if error.err_code != LIMIT_REACHED:
            raise
        said = failures.words(error)
    if not await _remove_stale(client, stream, within):
        raise ConsumerError(
            f"the stream {stream} has as many consumers as NATS allows ({said}): remove those that "
            "nothing reads (nats consumer rm), or raise max_consumers of the account"
        )
    return await context.add_consumer(stream, config)


async def _create_named(
    client: NatsClient, stream: str, config: ConsumerConfig, prefix: str, within: float
) -> ConsumerInfo:
    """Use the first free name; if there is none, the first of a consumer that nothing reads."""
    for name in names(prefix):
        if info := await _create_new(client, stream, config.evolve(name=name), within):
            return info
    context = client.jetstream(timeout=within)
    for name in names(prefix):
        with contextlib.suppress(NotFoundError):  # its gateway has just deleted it
            if (await context.consumer_info(stream, name)).push_bound:
                continue
            await context.delete_consumer(stream, name)
        if info := await _create_new(client, stream, config.evolve(name=name), within):
            return info
    raise ConsumerError(
        f"all {NAMES_PER_USER} consumers of {prefix} are in use: "
        "add another NATS user for further gateways, with its own nats_prefix"
    )


async def _create_new(
    client: NatsClient, stream: str, config: ConsumerConfig, within: float
) -> ConsumerInfo | None:
    """Create a consumer, and never update one as the library may; None if the name is in use."""
    body = {"stream_name": stream, "config": config.as_dict(), "action": "create"}
    subject = f"{client.api}.CONSUMER.CREATE.{stream}.{config.name}"
    answer = json.loads((await client.request(subject, json.dumps(body).encode(), within)).data)
    if "error" not in answer:
        info: ConsumerInfo = ConsumerInfo.from_response(answer)
        return info
    if answer["error"].get("err_code") in NAME_IN_USE:
        return None
    raise APIError.from_error(answer["error"])


async def _remove_stale(client: NatsClient, stream: str, within: float) -> int:
    """Delete consumers of gateways that are gone; return how many, 0 also if that is not allowed.

    The server deletes them too, but only once they were inactive for a while.
    """
    context = client.jetstream(timeout=within)
    removed = 0
    with contextlib.suppress(nats.errors.Error):
        for info in await context.consumers_info(stream):
            ours = info.config.description == DESCRIPTION
            if ours and not info.push_bound:
                removed += await context.delete_consumer(stream, info.name)
    return removed
