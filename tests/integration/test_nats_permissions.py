"""What users of nats/nats-server.conf may not do, tried for real: see docs/security.md."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import nats.errors
import pytest
from nats.js.api import StreamConfig

from percolator.jetstream.creation import names
from tests.gateway import event_json
from tests.integration.deployed import User, deployed, logged_in, serving, set_passwords
from tests.integration.operations import (
    API,
    CANDLES,
    CANDLES_API,
    FOREIGN,
    LISTENING,
    OWN_API,
    REQUESTS,
    STREAM,
    TARGETS,
)
from tests.nats_server import NatsServer


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A nats-server with our configuration and some users more."""
    set_passwords(monkeypatch)
    with serving(tmp_path / "nats") as started:
        yield started


@pytest.fixture
async def operator(server: NatsServer) -> AsyncIterator[User]:
    """The operator, who sees everything in the stream's account.

    A gateway of another account reads the stream, which has one event.
    """
    async with deployed(server, "edge") as victim:
        await victim.has_read(await victim.publish("price", "SOL"))
        async with logged_in(server, "operator") as user:
            yield user


class State(NamedTuple):
    """The stream, and the consumer of the gateway that reads it."""

    config: StreamConfig
    created: datetime | None
    messages: int
    last_seq: int
    consumer: datetime | None


async def state(operator: User) -> State:
    """The stream, which only publishers and the operator may change, and the victim's consumer."""
    context = operator.client.jetstream()
    info = await context.stream_info(STREAM)
    consumer = await context.consumer_info(STREAM, "edge-1")
    messages, last_seq = info.state.messages, info.state.last_seq
    return State(info.config, info.created, messages, last_seq, consumer.created)


async def is_refused(user: User, subject: str, body: bytes = b"") -> bool:
    """Send a request: it must violate a permission, or reach nothing, or be refused."""
    try:
        answer = json.loads(await user.request(subject, body))
    except (PermissionError, nats.errors.NoRespondersError):
        return True
    return "error" in answer


@pytest.mark.parametrize("prefix", ["$JS.API", "gateway.API", "edge.API"])
@pytest.mark.parametrize("what", API | CANDLES_API)
async def test_a_gateway_is_refused_a_request(
    what: str, prefix: str, server: NatsServer, operator: User
) -> None:
    """Whatever it asks JetStream for beside its work."""
    before = await state(operator)
    async with logged_in(server, "gateway") as user:
        assert await is_refused(user, f"{prefix}.{(API | CANDLES_API)[what]}")
    assert await state(operator) == before


@pytest.mark.parametrize("prefix", ["$JS.API", "projector.API", "gateway.API"])
@pytest.mark.parametrize("what", API)
async def test_a_projector_is_refused_a_request(
    what: str, prefix: str, server: NatsServer, operator: User
) -> None:
    """Whatever it asks JetStream for beside its work."""
    before = await state(operator)
    async with logged_in(server, "projector") as user:
        assert await is_refused(user, f"{prefix}.{API[what]}")
    assert await state(operator) == before


@pytest.mark.parametrize("prefix", ["$JS.API", "gateway.API"])
@pytest.mark.parametrize("what", API | OWN_API | CANDLES_API)
async def test_a_publisher_is_refused_a_request(
    what: str, prefix: str, server: NatsServer, operator: User
) -> None:
    """It may ask JetStream for nothing at all."""
    before = await state(operator)
    async with logged_in(server, "publisher") as user:
        assert await is_refused(user, f"{prefix}.{(API | OWN_API | CANDLES_API)[what]}")
    assert await state(operator) == before


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        *(pytest.param("gateway", each, id=f"gateway-{what}") for what, each in FOREIGN.items()),
        pytest.param("gateway", "percolator.price.SOL", id="gateway-an event"),
        pytest.param("gateway", "percolator.candle.SOL", id="gateway-a candle"),
        *(
            pytest.param("publisher", each, id=f"publisher-{what}")
            for what, each in FOREIGN.items()
        ),
        pytest.param("publisher", "percolator.rejected", id="publisher-a report"),
        pytest.param("publisher", "percolator.candle.SOL", id="publisher-a candle"),
        *(
            pytest.param("projector", each, id=f"projector-{what}")
            for what, each in FOREIGN.items()
        ),
        pytest.param("projector", "percolator.price.SOL", id="projector-an event"),
        pytest.param("projector", "percolator.rejected", id="projector-a report"),
    ],
)
async def test_a_user_cannot_publish(
    name: str, subject: str, server: NatsServer, operator: User
) -> None:
    """Each violates a permission."""
    before = await state(operator)
    async with logged_in(server, name) as user:
        await user.client.publish(subject, event_json("price"))
        await user.settle()
        assert "permissions violation for publish" in user.violations[0]
    assert await state(operator) == before


@pytest.mark.parametrize("name", ["gateway", "publisher", "projector"])
@pytest.mark.parametrize("what", LISTENING)
async def test_a_user_cannot_listen(what: str, name: str, server: NatsServer) -> None:
    """Each violates a permission."""
    async with logged_in(server, name) as user:
        await user.listen(LISTENING[what])
        await user.settle()
        assert "permissions violation for subscription" in user.violations[0]


def definition(**fields: object) -> bytes:
    """Return a request for a consumer."""
    config = {"name": "gateway-2", "deliver_policy": "all", "ack_policy": "none", "max_deliver": 1}
    return json.dumps({"stream_name": STREAM, "config": config | fields}).encode()


async def listeners(server: NatsServer) -> list[User]:
    """Log in everybody who could hear what a gateway makes JetStream send."""
    edge, maker = User("edge"), User("maker")
    for user, subjects in (
        (edge, ("_INBOX.edge.>",)),
        (maker, ("_INBOX.maker.>", "percolator.rejected")),
    ):
        await user.log_in(server)
        for subject in subjects:
            await user.listen(subject)
    return [edge, maker]


async def has_heard(users: list[User]) -> bool:
    """Return whether anything reached these users so far; they log out."""
    for user in users:
        await user.settle()
        await user.client.close()
    return any(user.heard for user in users)


@pytest.mark.parametrize("name", ["gateway", "projector"])
@pytest.mark.parametrize("what", TARGETS)
async def test_a_gateway_cannot_have_an_answer_sent_to(
    what: str, name: str, server: NatsServer, operator: User
) -> None:
    """Answers stay in its account, whatever reply subject its requests name."""
    before, others = await state(operator), await listeners(server)
    async with logged_in(server, name) as user:
        for request, body in REQUESTS.items():
            data = json.dumps(body).encode()
            subject = f"gateway.API.{request}".replace("gateway", name)
            await user.client.publish(subject, data, reply=TARGETS[what])
        create = f"{name}.API.CONSUMER.CREATE.{STREAM}.{name}-2"
        await user.client.publish(create, definition(name=f"{name}-2"), reply=TARGETS[what])
        # Once this answer is here, the requests before it have been handled.
        await user.request(f"{name}.API.STREAM.INFO.{STREAM}")
    assert await state(operator) == before
    assert not await has_heard(others)


@pytest.mark.parametrize("name", ["gateway", "projector"])
@pytest.mark.parametrize("what", [*TARGETS, "a report"])
async def test_a_gateway_cannot_have_a_consumer_deliver_to(
    what: str, name: str, server: NatsServer, operator: User
) -> None:
    """Nothing in the stream's account listens there, so the consumer never becomes active."""
    before, others = await state(operator), await listeners(server)
    subject = TARGETS.get(what, "percolator.rejected")
    async with logged_in(server, name) as user:
        create = f"{name}.API.CONSUMER.CREATE.{STREAM}.{name}-2"
        body = definition(name=f"{name}-2", deliver_subject=subject)
        answer = json.loads(await user.request(create, body))
        if "error" in answer:
            assert answer["error"]["description"] == "consumer deliver subject forms a cycle"
        else:
            info = await user.request(f"{name}.API.CONSUMER.INFO.{STREAM}.{name}-2")
            assert json.loads(info)["num_pending"] == before.messages
            assert "push_bound" not in json.loads(info)
    assert await state(operator) == before
    assert not await has_heard(others)


@pytest.mark.parametrize(
    "body",
    [
        {"stream_name": STREAM, "config": {"name": "edge-9"}},
        {"stream_name": STREAM, "config": {"durable_name": "edge-9"}},
        {"stream_name": "OTHER", "config": {"name": "gateway-2"}},
    ],
    ids=["another name", "another durable name", "another stream"],
)
async def test_a_gateway_cannot_name_another_consumer_in_a_request(
    body: dict[str, object], server: NatsServer, operator: User
) -> None:
    """What counts is the subject, which the permissions name."""
    async with logged_in(server, "gateway") as user:
        subject = f"gateway.API.CONSUMER.CREATE.{STREAM}.gateway-2"
        await user.request(subject, json.dumps(body).encode())
    consumers = await operator.client.jetstream().consumers_info(STREAM)
    assert {each.name for each in consumers} <= {"edge-1", "gateway-2"}


async def test_a_publisher_with_few_subjects_gets_no_event_onto_others_by_a_reply_subject(
    server: NatsServer, operator: User
) -> None:
    """The acknowledgement is no event, and it goes no further than the publishers' account."""
    before = await state(operator)
    async with logged_in(server, "publisher") as user:
        body = event_json("price")
        for reply in ("percolator.trade.SOL", f"$JS.API.STREAM.PURGE.{STREAM}"):
            await user.client.publish("percolator.price.SOL", body, reply=reply)
        await user.request("percolator.price.SOL", body)
    after = await state(operator)
    assert after.messages == before.messages + 3
    assert after == before._replace(messages=after.messages, last_seq=before.last_seq + 3)


@pytest.mark.usefixtures("operator")
async def test_a_user_that_fills_all_its_names_hinders_no_other_user(server: NatsServer) -> None:
    """Another account's gateway still starts."""
    async with logged_in(server, "gateway") as user:
        await user.listen("gateway.deliver.x")
        for name in names("gateway"):
            body = definition(name=name, deliver_subject="gateway.deliver.x")
            subject = f"gateway.API.CONSUMER.CREATE.{STREAM}.{name}"
            assert not await is_refused(user, subject, body)
        async with deployed(server, "edge") as other:
            await other.has_read(1)


async def test_nothing_that_is_allowed_is_refused(server: NatsServer, operator: User) -> None:
    """The checks above can tell allowed operations from forbidden ones."""
    candles = StreamConfig(name=CANDLES, subjects=["percolator.candle.>"], allow_direct=True)
    context = operator.client.jetstream()
    await context.add_stream(candles)
    await context.publish("percolator.candle.SOL", b"{}")
    async with logged_in(server, "gateway") as user:
        for subject in OWN_API.values():
            body = json.dumps(REQUESTS.get(subject)).encode()
            if "CONSUMER" in subject:
                body = definition(name="gateway-1")
            answer = await user.request(f"gateway.API.{subject}", body)
            assert (b'"error"' in answer) == ("STREAM.CREATE" in subject)  # it exists
        await user.client.publish("percolator.rejected", b"{}")
        for subject in ("_INBOX.gateway.x", "gateway.deliver.x"):
            await user.listen(subject)
        await user.settle()
        assert not user.violations
    async with logged_in(server, "publisher") as user:
        assert json.loads(await user.request("percolator.price.SOL", event_json("price")))["seq"]
        for subject in ("_INBOX.publisher.x", "percolator.rejected"):
            await user.listen(subject)
        await user.settle()
        assert not user.violations
