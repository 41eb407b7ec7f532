"""The stream: its one definition, and how it is created, checked and identified.

A missing stream is created, unless that is the operator's to do; an existing one is checked. What
we rely on must match; how long and how much is kept, and on how many servers, is the operator's
choice.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServerError, ServiceUnavailableError
from nats.js.errors import Error as JetStreamError

from percolator.errors import (
    NatsUnfitError,
    NatsUnreachableError,
    StreamConflictError,
    StreamMissingError,
)
from percolator.jetstream import failures
from percolator.jetstream.client import NatsClient
from percolator.jetstream.connect import server_address
from percolator.jetstream.refusals import RefusedError
from percolator.jetstream.removal import Removal, expiry, removal
from percolator.jetstream.subjects import Growth, growth, taken
from percolator.model.channel import SUBJECTS
from percolator.model.events import MAX_EVENT_BYTES

DAY_SECONDS = 86_400
MIN_SERVER = (2, 11)
"""The first nats-server that returns the last message of each subject up to a seq."""

NOT_ENABLED = (10039, 10076)
"""JetStream is off: for the account, or altogether. Any other error may pass in a moment."""
STREAM_NAME_IN_USE = 10058
DUPLICATE_WINDOW = 120
"""Seconds in which JetStream stores an event with the same message id once."""
MAX_MESSAGE_BYTES = MAX_EVENT_BYTES + 1024
"""Largest message of the stream: the longest event, with headers."""
SUBJECTS_OVERLAP = 10065


def definition(name: str) -> StreamConfig:
    """Return the stream as we create it; `nats/stream.json` is the same for other tools."""
    return StreamConfig(
        name=name,
        description="percolator: the events of all markets",
        subjects=list(SUBJECTS.values()),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=7 * DAY_SECONDS,
        max_bytes=1024**3,
        max_msgs_per_subject=1_000_000,
        max_msg_size=MAX_MESSAGE_BYTES,
        duplicate_window=DUPLICATE_WINDOW,
        num_replicas=1,
        allow_direct=True,
        deny_delete=True,
    )


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a stream holds. `epoch` identifies its incarnation: a recreated stream has a new one."""

    epoch: str
    first_seq: int
    last_seq: int
    deleted: int
    """Number of events between the two that are gone."""
    removal: Removal = Removal.OLDEST_FIRST
    max_per_subject: int = 0
    """The number of messages that it holds of one subject at most; 0 if there is no limit."""
    growth: tuple[Growth, ...] = ()
    """What the stream lacks that a newly created one has."""
    created: bool = False
    """True if it was missing, and was created by the call that returned this."""
    config: StreamConfig | None = None
    """Its definition."""

    @property
    def complete(self) -> bool:
        """True if it still holds every event that it ever stored."""
        return self.first_seq <= 1 and not self.deleted


async def ensure(
    client: Client,
    name: str,
    *,
    create: bool = True,
    like: StreamConfig | None = None,
    timeout: float = 5,  # noqa: ASYNC109
) -> StreamState:
    """Check the stream, and return its state; if it is missing, create it unless told not to.

    It is created by our definition, or by another one. Raises NatsUnfitError (no JetStream, or a
    server that is too old), StreamConflictError, StreamMissingError if it is missing and not
    created, and NatsUnreachableError if NATS does not answer in time.
    """
    _check_server(client)
    context = client.jetstream(timeout=timeout)
    try:
        info, created = await _create_or_get(
            context, name, (like or definition(name)) if create else None
        )
    except (ServerError, ServiceUnavailableError) as error:
        if error.err_code is None or error.err_code in NOT_ENABLED:
            raise NatsUnfitError(_without_jetstream(client)) from None
        raise NatsUnreachableError(
            f"JetStream at {server_address(client)} is not available ({error.description}): "
            f"{failures.advice(error, 'check the NATS server')}"
        ) from None
    except APIError as error:
        raise _conflict(name, error) from None
    except RefusedError as error:
        verb = "created" if ".STREAM.CREATE." in str(error) else "looked up"
        raise NatsUnreachableError(f"the stream {name} cannot be {verb}: {error}") from None
    except nats.errors.Error as error:
        raise NatsUnreachableError(
            f"JetStream at {server_address(client)} does not answer ({failures.words(error)}): "
            "check the NATS server"
        ) from None
    differing = differences(info.config, name)
    if differing:
        raise StreamConflictError(
            f"the stream {name} exists with another definition ({'; '.join(differing)}): "
            "fix it, or choose another name with --stream"
        )
    return replace(state_of(info), created=created, growth=lacking(info.config, name))


async def _create_or_get(
    context: JetStreamContext, name: str, create: StreamConfig | None
) -> tuple[StreamInfo, bool]:
    """Return what NATS reports about the stream, and whether it was created now."""
    try:
        return await context.stream_info(name), False
    except NotFoundError:
        if create is None:
            raise StreamMissingError(
                f"the stream {name} does not exist, and create_stream is false: create it "
                f"(nats stream add {name} --config nats/stream.json), or set create_stream to true"
            ) from None
        try:
            info = await context.add_stream(create)
        except APIError as error:
            if error.err_code != STREAM_NAME_IN_USE:
                raise
            return await context.stream_info(name), False  # another gateway was faster
        return info, bool(info.did_create)  # false if another gateway was, with the same definition


def described(config: StreamConfig) -> str:
    """Describe what a stream keeps, and where."""
    limits = {
        "max_age": f"{config.max_age or 0:g} s",
        "max_bytes": config.max_bytes,
        "max_msgs": config.max_msgs,
        "max_msgs_per_subject": config.max_msgs_per_subject,
    }
    kept = [f"{name} {limit}" for name, limit in limits.items() if (getattr(config, name) or 0) > 0]
    return ", ".join(
        [f"storage {_plain(config.storage)}", f"replicas {config.num_replicas}", *kept]
    )


def differences(found: StreamConfig, name: str) -> list[str]:
    """Return how a stream differs from our definition in what we rely on.

    It may take any other subjects besides ours, and lack some of ours (see `growth`).
    """
    ours = definition(name)
    subjects = sorted(found.subjects or ())
    wanted = {
        "subjects": (
            subjects,
            subjects if taken(found.subjects or ()) else sorted(ours.subjects or ()),
        ),
        "retention": (found.retention, ours.retention),
        "discard": (found.discard, ours.discard),
        "allow_direct": (bool(found.allow_direct), True),
        "no_ack": (bool(found.no_ack), False),
        "allow_msg_counter": (bool(found.allow_msg_counter), False),
    }
    return [
        f"{field} is {_plain(has)}, not {_plain(want)}"
        for field, (has, want) in wanted.items()
        if has != want
    ]


def lacking(found: StreamConfig, name: str) -> tuple[Growth, ...]:
    """Return what a stream of an older version lacks, each with the command that adds it."""
    unbounded = Growth(
        "message size",
        f"the stream {name} takes messages of any size, and large ones displace events",
        f"nats stream edit {name} --max-msg-size {MAX_MESSAGE_BYTES}",
    )
    expiring = Growth(
        "single messages",
        f"messages of the stream {name} may expire one by one ({' and '.join(expiry(found))}), so "
        "each missing one becomes a gap on every channel; only a new stream, which is empty and "
        "made while no gateway runs, is without that",
        f"nats stream rm {name} && nats stream add {name} --config nats/stream.json",
    )
    kinds = growth(name, found.subjects or ())
    bounded = (found.max_msg_size or 0) > 0
    return (
        *([kinds] if kinds else ()),
        *(() if bounded else [unbounded]),
        *([expiring] if expiry(found) else ()),
    )


def state_of(info: StreamInfo) -> StreamState:
    """Convert what NATS reports about a stream."""
    return StreamState(
        epoch=_epoch(info.created),
        first_seq=info.state.first_seq,
        last_seq=info.state.last_seq,
        deleted=info.state.num_deleted or 0,
        removal=removal(info.config),
        config=info.config,
        max_per_subject=max(info.config.max_msgs_per_subject or 0, 0),
    )


async def state(client: Client, name: str) -> StreamState:
    """Return the state of a stream that exists. Raises NatsUnreachableError."""
    try:
        return state_of(await client.jetstream().stream_info(name))
    except (nats.errors.Error, JetStreamError) as error:
        raise NatsUnreachableError(
            f"the stream {name} cannot be read: {failures.words(error)}"
        ) from None


def _epoch(created: datetime | None) -> str:
    """Return the epoch of a creation time: microseconds since 1970, in hex."""
    assert created is not None
    since = created.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return f"{(since.days * DAY_SECONDS + since.seconds) * 1_000_000 + since.microseconds:x}"


def _check_server(client: Client) -> None:
    version = client.connected_server_version
    if (version.major, version.minor) < MIN_SERVER:
        raise NatsUnfitError(
            f"the NATS server at {server_address(client)} is version "
            f"{version.major}.{version.minor}.{version.patch}: "
            f"upgrade it to {MIN_SERVER[0]}.{MIN_SERVER[1]} or newer"
        )


def _without_jetstream(client: Client) -> str:
    if isinstance(client, NatsClient) and client.prefix:
        return (
            f"the NATS server at {server_address(client)} gives this user no JetStream as "
            f"{client.prefix}: check nats_prefix, which must be a name from nats-server.conf"
        )
    return (
        f"the NATS server at {server_address(client)} has JetStream disabled for us: "
        "start it with -js, or enable JetStream for the account"
    )


def _conflict(name: str, error: APIError) -> StreamConflictError | NatsUnfitError:
    if error.err_code == SUBJECTS_OVERLAP:
        return StreamConflictError(
            f"another stream already has subjects of {name}: delete that stream, "
            "or use it with --stream"
        )
    return NatsUnfitError(
        f"JetStream refuses the stream {name} ({error.description}): "
        f"{failures.advice(error, 'check the limits and permissions of the account')}"
    )


def _plain(value: object) -> str:
    return str(getattr(value, "value", value))
