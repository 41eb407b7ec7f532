"""Redaction: what must never be shown, taken out of text. Logins in addresses, and tokens."""

import re

LOGIN = re.compile(r"(?<![^,\s])(?!\s)([A-Za-z]+://)?(?:(?!,\s*[A-Za-z]+://).)*@", re.DOTALL)
"""What stands before the host of an address: user and password, or a token. It may hold commas."""
TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]*\.[\w-]*|(?<=[?&]token=)[^&\s\"']+|(?i:(?<=bearer )\S+)")
"""A JWT, a `?token=` in a URL, or what follows `Bearer`."""


def redact_logins(addresses: str, mark: str = "") -> str:
    """Return comma-separated addresses with `mark` in place of each login.

    When an invalid address leaves open where its login ends, too much is removed, never too little.
    """
    return LOGIN.sub(rf"\1{mark}", addresses)


def redact_tokens(text: str) -> str:
    """Return a text with `(token)` in place of everything that looks like a token."""
    return TOKEN.sub("(token)", text)
