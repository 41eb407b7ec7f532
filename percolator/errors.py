"""Every exception that percolator raises on purpose.

    PercolatorError
    ├── SettingsError              an invalid or unknown setting
    ├── EventError                 an invalid event on NATS
    ├── RequestError               a client's request that cannot be fulfilled
    ├── NatsError                  NATS cannot be used
    │   ├── NatsUnreachableError   it does not answer, or refuses the connection
    │   │   └── NatsRefusedError   it answers, and refuses the connection
    │   │       └── NatsLoginError   it requires a login, and none is set
    │   ├── NatsUnfitError         it lacks what is needed (JetStream, a recent version)
    │   ├── StreamConflictError    the stream exists with another definition
    │   ├── StreamMissingError     the stream does not exist, and is not ours to create
    │   └── EmbeddedNatsError      the embedded server cannot be started
    └── GatewayError               a gateway cannot be used
        ├── GatewayUnreachableError  no gateway answers a client
        │   └── UpgradeRefusedError  an HTTP error is the answer
        ├── MessageError             a message of it is not valid
        └── PortInUseError           the gateway cannot listen on its address

The text of each is one sentence: what is wrong, and what to do. It contains no secret, so that it
can be printed unchanged.
"""


class PercolatorError(Exception):
    """The root: a command prints it as one sentence and exits with 1."""


class SettingsError(PercolatorError):
    """A setting does not parse, is out of range or is unknown; a command exits with 2."""


class EventError(PercolatorError):
    """An event is invalid.

    `reason` is a short code from `events.REASONS`, for counting; the text is for people.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class RequestError(PercolatorError):
    """A client's request, or one channel of it, cannot be fulfilled.

    `code` is an error code of the protocol; `channel` is the channel at fault, if there is one.
    """

    def __init__(self, code: str, text: str, channel: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.channel = channel


class NatsError(PercolatorError):
    """NATS cannot be used."""


class NatsUnreachableError(NatsError):
    """NATS does not answer at the address, or refuses the connection."""


class NatsRefusedError(NatsUnreachableError):
    """A server answers, and refuses the connection, or we refuse it."""


class NatsLoginError(NatsRefusedError):
    """NATS requires a login, and none is set."""


class NatsUnfitError(NatsError):
    """NATS answers, but JetStream is disabled or the version is too old."""


class StreamConflictError(NatsError):
    """The stream exists with a definition that conflicts with ours."""


class StreamMissingError(NatsError):
    """The stream does not exist, and the settings say that an operator creates it."""


class EmbeddedNatsError(NatsError):
    """The embedded server cannot be started: its binary, port or data folder is unusable."""


class GatewayError(PercolatorError):
    """A gateway cannot be used."""


class GatewayUnreachableError(GatewayError):
    """No gateway answers at the address given to a client or a command."""


class UpgradeRefusedError(GatewayUnreachableError):
    """The answer to an upgrade is an HTTP error.

    `is_final` is true if another attempt would get it again.
    """

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


class MessageError(GatewayError):
    """A gateway has sent a message that is not valid; the text names the field."""


class PortInUseError(GatewayError):
    """The gateway cannot listen on its address."""
