"""Every exception that percolator raises on purpose.

    PercolatorError
    ├── SettingsError              a setting that cannot be used
    ├── EventError                 an event on NATS that does not validate
    ├── RequestError               a client's message that cannot be carried out
    ├── NatsError                  what NATS does not give us
    │   ├── NatsUnreachableError   nobody answers, or it refuses us
    │   ├── NatsUnfitError         it answers, but lacks what we need (JetStream, a recent version)
    │   ├── StreamConflictError    the stream exists with another definition
    │   └── EmbeddedNatsError      our own nats-server cannot be started
    └── GatewayError               the gateway's side
        ├── GatewayUnreachableError  a command finds no gateway there
        └── PortInUseError           the gateway's own address is taken

The text of each is one sentence for a person: what is wrong and what to do. Nothing in it
is secret, so that it may be printed as it stands.
"""


class PercolatorError(Exception):
    """The root: everything that a command prints as one sentence, with exit code 1."""


class SettingsError(PercolatorError):
    """A setting that does not parse, is out of range or is unknown; a command exits with 2."""


class EventError(PercolatorError):
    """An event that does not validate.

    `reason` is a short code out of `events.REASONS`, for counting; the text is for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class RequestError(PercolatorError):
    """A client's message, or one channel of it, that cannot be carried out.

    `code` is an error code of the protocol; `channel` names the one at fault, where one is.
    """

    def __init__(self, code: str, text: str, channel: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.channel = channel


class NatsError(PercolatorError):
    """NATS does not give us what we need."""


class NatsUnreachableError(NatsError):
    """Nobody answers at the address, or it refuses the connection."""


class NatsUnfitError(NatsError):
    """NATS answers, but JetStream is off, or its version is too old."""


class StreamConflictError(NatsError):
    """The stream is there with a definition that ours does not agree with."""


class EmbeddedNatsError(NatsError):
    """Our own nats-server cannot be started: binary, port or data folder."""


class GatewayError(PercolatorError):
    """The gateway's side of things."""


class GatewayUnreachableError(GatewayError):
    """No gateway answers at the address that a command was given."""


class PortInUseError(GatewayError):
    """The gateway's own address cannot be bound."""
