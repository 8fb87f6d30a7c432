"""Addresses with a user and a password in them."""

import re
import urllib.parse

from edgecnn.errors import SourceError

LEFT_OUT = "".join(map(chr, range(0x21)))
"""What urllib passes over at the beginning of an address."""
SECRET = re.compile(
    r"([?&][^=&#]*(?:pass|pwd|token|secret|key|auth|sig)[^=&#]*=)[^&#]*", re.IGNORECASE
)
"""A parameter of a query that is no one's business, by its name."""


def without_password(url: str) -> str:
    """The URL as it may be printed: without user and password, and secrets in its query.

    A password may hold what ends an address elsewhere (`/`, `?`, `#`): where one may stand,
    everything up to the last `@` is left out.
    """
    bare = re.sub("[\t\r\n]", "", url).lstrip(LEFT_OUT)
    if bare.startswith("//"):
        scheme, separator, rest = bare.partition("//")
    else:
        scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    place = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and ("@" in place or ":" in place):
        rest = rest.rpartition("@")[2]
    return SECRET.sub(r"\1***", scheme + separator + rest)


def has_secret(url: str) -> bool:
    """Whether anything in it is not to be printed."""
    return without_password(url) != url


def without_login(url: str) -> str:
    """The URL as it is asked for: without user and password, which HTTP gives apart."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def user_and_password(url: str) -> tuple[str, str] | None:
    """What stands before the `@` of a URL, decoded; None if nothing does.

    Raises `SourceError` for a password that ends the address too early.
    """
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc and has_secret(url) and "@" in url:
        raise SourceError(
            f"{without_password(url)}: in the password before it, write / as %2F, ? as %3F, # as "
            "%23 and @ as %40."
        )
    if parts.username is None:
        return None
    return urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
