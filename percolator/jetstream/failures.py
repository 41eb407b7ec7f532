"""Why NATS cannot be reached, or does not do what it was asked, and what to do about it."""

import os
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors
from nats.js.errors import APIError
from nats.js.errors import Error as JetStreamError

from percolator import openssl
from percolator.errors import NatsLoginError, NatsRefusedError, NatsUnreachableError
from percolator.jetstream.address import NatsAddress

UNAUTHORIZED = "authorization violation"
NOTHING = "nothing answers there"
NO_LOGIN = (
    "set nats_user and nats_password, nats_token or nats_creds or, if a gateway on this machine "
    "has started it, data_dir to the data folder of that gateway"
)
WANTS_CERTIFICATE = "the server asks for a certificate"
NO_CERTIFICATE = "set nats_tls_cert and nats_tls_key"
WRONG_LOGIN = "check nats_user and nats_password, nats_creds, nats_token or the login in nats_url"
MISMATCHES = (62, 64)
"""OpenSSL's codes for a certificate that is valid, but of another name or IP address."""
UNTRUSTED = (18, 19, 20, 21)
"""OpenSSL's codes for a certificate that no trusted authority has signed."""
ADVICE = {
    **dict.fromkeys(MISMATCHES, "use a name in nats_url that the server's certificate has"),
    **dict.fromkeys(UNTRUSTED, "set nats_tls_ca to the authority that signed its certificate"),
}


_STORAGE = (
    "raise the storage of the account or of the server (max_file), or lower max_bytes of the stream"
)
LOST = (
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.StaleConnectionError,
)
API_ADVICE = {
    10002: _STORAGE,
    10023: "check the memory, the storage and the servers of JetStream",
    10026: "remove consumers that nothing reads (nats consumer rm), or raise max_consumers",
    10028: "raise the memory of the account or of the server (max_mem)",
    10047: _STORAGE,
    10054: "make it smaller, or raise max_msg_size of the stream",
}
"""What to do about an error of JetStream, by its code."""


class Failure(NamedTuple):
    """Why one server cannot be used, and what to do, if the server has answered."""

    reason: str
    advice: str = ""
    is_answer: bool = False


def of(error: BaseException, address: NatsAddress) -> Failure | None:
    """Return why a connection failed; None if the error is of another kind."""
    match error:
        case nats.errors.NoServersError() | ConnectionRefusedError():
            reason = NOTHING
        case nats.errors.TimeoutError() | TimeoutError():
            reason = f"no answer in time{_hint(address)}"
        case nats.errors.Error():
            return _said(str(error).removeprefix("nats: ").strip("'\" \t"), address)
        case ssl.SSLError():
            return _handshake(error, address)
        case socket.gaierror():
            reason = f"its name is unknown ({error.strerror})"
        case OSError(errno=int(number)):  # asyncio replaces the text
            reason = os.strerror(number)
        case ConnectionError():
            reason = f"it has closed the connection{_hint(address)}"
        case OSError():  # of several addresses of one name
            reason = NOTHING
        case ValueError():
            reason = str(error)
        case _:
            return None
    return Failure(reason)


def words(error: BaseException) -> str:
    """Return why a request failed, in the words of NATS if it has said any."""
    match error:
        case JetStreamError(description=str(said)):
            return said
        case JetStreamError() | nats.errors.NoRespondersError():
            return "JetStream does not respond"
        case nats.errors.TimeoutError():
            return "no answer in time"
        case _ if isinstance(error, LOST):
            return "connection lost"
        case _:
            return str(error).removeprefix("nats: ") or type(error).__name__


def advice(error: APIError, otherwise: str) -> str:
    """Return what to do about an error that JetStream answered with."""
    return API_ADVICE.get(error.err_code or 0, otherwise)


def is_other_name(error: BaseException) -> bool:
    """Return whether a certificate is valid, but not for the name that was asked for."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in MISMATCHES


def combined(failures: Sequence[tuple[str, Failure]]) -> NatsUnreachableError:
    """Return the error for all servers, each with its own reason."""
    reasons = dict.fromkeys(failure.reason for _, failure in failures)
    if len(reasons) == 1:
        places = ", ".join(place for place, _ in failures)
        text = f"NATS at {places} cannot be reached: {next(iter(reasons))}"
    else:
        each = ", ".join(f"{place} ({failure.reason})" for place, failure in failures)
        text = f"NATS cannot be reached at any of its servers: {each}"
    answers = [failure for _, failure in failures if failure.is_answer]
    if not answers:
        return NatsUnreachableError(text)
    advice = "; ".join(dict.fromkeys(failure.advice for failure in answers if failure.advice))
    text = f"{text}; {advice}" if advice else text
    without_login = any(failure.advice == NO_LOGIN for failure in answers)
    return NatsLoginError(text) if without_login else NatsRefusedError(text)


def _hint(address: NatsAddress) -> str:
    """Return what to do if server and client wait for each other to begin."""
    if address.tls_first:
        return " (unset nats_tls_first, unless it has handshake_first)"
    return " (set nats_tls_first, if it has handshake_first)" if address.requires_tls else ""


def _said(said: str, address: NatsAddress) -> Failure:
    if said.lower() == UNAUTHORIZED:
        return Failure(said, WRONG_LOGIN if address.has_login else NO_LOGIN, is_answer=True)
    return Failure(said, NO_CERTIFICATE if said == WANTS_CERTIFICATE else "", is_answer=True)


def _handshake(error: ssl.SSLError, address: NatsAddress) -> Failure:
    why = openssl.reason(error)
    advice = ADVICE.get(getattr(error, "verify_code", 0), "")
    if "CERTIFICATE_REQUIRED" in (error.reason or ""):
        advice = NO_CERTIFICATE
    hint = _hint(address) if error.reason == "WRONG_VERSION_NUMBER" else ""
    return Failure(f"the TLS handshake failed: {why}{hint}", advice, is_answer=True)
