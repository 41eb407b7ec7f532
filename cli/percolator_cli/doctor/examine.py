"""Gathers facts about a gateway and its NATS. Failures are recorded, not raised."""

import asyncio
import contextlib
import json
import resource
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from percolator.app.descriptors import SPARE
from percolator.app.nats_source import nats_address
from percolator.client.address import GatewayAddress
from percolator.client.channel import Channel as Asked
from percolator.client.connection import leave, open_connection, receive
from percolator.client.requests import Request, subscribes
from percolator.config.settings import Settings
from percolator.errors import (
    EventError,
    GatewayError,
    GatewayUnreachableError,
    MessageError,
    NatsError,
    NatsRefusedError,
    NatsUnfitError,
)
from percolator.jetstream.connect import connect
from percolator.jetstream.failures import words
from percolator.jetstream.refusals import RefusedError
from percolator.jetstream.stream import differences, lacking
from percolator.model import events
from percolator.model.channel import Channel
from percolator.model.server_messages import Connected, Refused, Subscribed
from percolator_cli import gateway
from percolator_cli.doctor.facts import Facts, GatewayFacts, NatsFacts, StreamFacts
from percolator_cli.loadtest.pacing import paced

SECONDS = 5.0
"""Timeout of each request."""


async def examine(
    settings: Settings, at: GatewayAddress, token: str | None, channels: Sequence[str] = ()
) -> Facts:
    """Examine the gateway and NATS at the same time; the gateway is asked for the channels."""
    gateway_facts, nats_facts = await asyncio.gather(
        _gateway(settings, at, token, channels), _nats(settings)
    )
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Facts(
        gateway_facts,
        nats_facts,
        is_local=at.is_local,
        descriptors=None if hard == resource.RLIM_INFINITY else hard,
        descriptors_wanted=settings.max_connections + SPARE,
    )


async def _gateway(
    settings: Settings, at: GatewayAddress, token: str | None, channels: Sequence[str]
) -> GatewayFacts:
    facts = GatewayFacts(at.http)
    try:
        health, date = await asyncio.to_thread(gateway.health, at)
    except GatewayError as error:
        facts.trouble = str(error)
        return facts
    facts.health = health.by_name
    if date is not None:
        facts.clock_ahead = date + 0.5 - time.time()  # the header has whole seconds
    secret = settings.stats_token.get_secret_value() if settings.stats_token else None
    try:
        facts.stats = (await asyncio.to_thread(gateway.stats, at, secret)).by_name
    except GatewayError as error:
        facts.stats_trouble = str(error)
    facts.socket_trouble = await _socket_trouble(at, token, channels, facts)
    return facts


async def _socket_trouble(
    at: GatewayAddress, token: str | None, channels: Sequence[str], facts: GatewayFacts
) -> str:
    """Open a WebSocket and subscribe as a client does. Returns why that fails, or ''."""
    try:
        socket = await open_connection(at, token, seconds=SECONDS)
        try:
            async with asyncio.timeout(SECONDS):
                greeting = await receive(socket)
                if not isinstance(greeting, Connected):
                    return "the greeting is not valid"
                facts.greeting = greeting
                limits = greeting.limits
                for request, pause in paced(subscribes(map(Asked, channels), limits), limits):
                    await asyncio.sleep(pause)
                    await _ask(socket, request, facts)
        finally:
            await leave(socket)
    except MessageError as error:
        return f"a message of it is not valid: {error}"
    except ConnectionClosed as closed:
        end = closed.rcvd
        return f"closed with {end.code} {end.reason}".strip() if end else "closed without a reason"
    except TimeoutError:
        return "timed out"
    except GatewayUnreachableError as error:
        return str(error)
    return ""


async def _ask(socket: ClientConnection, request: Request, facts: GatewayFacts) -> None:
    """Send a subscribe, and record which of its channels are unknown or refused."""
    await socket.send(json.dumps(request))
    left = len(request["channels"])
    while left > 0:
        match await receive(socket):
            case Subscribed(unknown=unknown):
                facts.unknown += [name for name in request["channels"] if name in unknown]
                return
            case Refused(count=count, message=message, channel=channel):
                facts.refused.append(message if channel is None else f"{channel}: {message}")
                # An error without a channel and a count is about all of them.
                left -= count or (left if channel is None else 1)


async def _nats(settings: Settings) -> NatsFacts:
    address = nats_address(settings)
    facts = NatsFacts(address.shown, gateway_creates=settings.create_stream)
    try:
        client = await connect(address, name="percolator doctor", reconnect=False)
    except NatsError as error:
        facts.trouble = str(error)
        facts.answers = isinstance(error, NatsRefusedError | NatsUnfitError)
        return facts
    try:
        facts.version = _version(client)
        await _jetstream(client, settings.stream, facts)
    except (AttributeError, KeyError, TypeError, ValueError):  # the library's, for odd JSON
        facts.jetstream_trouble = "JetStream's answer is not valid"
    finally:
        await client.close()
    return facts


def _version(client: Client) -> str:
    version = client.connected_server_version
    try:
        return f"{version.major}.{version.minor}.{version.patch}"
    except ValueError:  # not in the form that the library expects
        return "unknown"


async def _jetstream(client: Client, name: str, facts: NatsFacts) -> None:
    context = client.jetstream(timeout=SECONDS)
    try:
        info = await context.stream_info(name)
    except NotFoundError:
        return
    except (nats.errors.Error, OSError) as error:
        facts.jetstream_trouble = f"cannot look up the stream {name}: {words(error)}"
        if not isinstance(error, RefusedError):  # which says what to do
            facts.jetstream_trouble += "; enable JetStream (-js), or give this user access to it"
        return
    stream = StreamFacts(name, differences(info.config, name))
    stream.growth = lacking(info.config, name)
    stream.messages, stream.last_seq = info.state.messages, info.state.last_seq
    if info.state.messages:
        with contextlib.suppress(nats.errors.Error, ValueError):
            await _newest(context, stream)
    facts.stream = stream


async def _newest(context: JetStreamContext, stream: StreamFacts) -> None:
    """Examine the newest event: when it was stored, and whether it is valid."""
    message = await context.get_msg(stream.name, stream.last_seq)
    if message.time is None:
        return
    stored = message.time.replace(tzinfo=message.time.tzinfo or UTC)
    stream.newest_age = (datetime.now(UTC) - stored).total_seconds()
    try:
        channel = Channel.of_subject(message.subject or "")
        if channel is None:
            return  # of a kind that this version does not know
        stored_ms = (stored - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
        event = events.decode(channel, message.data or b"", stored_ms)
    except EventError as error:
        stream.newest_fault = str(error)
    else:
        stream.newest_ahead = event.timestamp / 1_000 - stored.timestamp()
