"""Addresses with a user and a password in them."""

import urllib.parse


def without_password(url: str) -> str:
    """The URL as it may be printed: without user and password."""
    parts = urllib.parse.urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def user_and_password(url: str) -> tuple[str, str] | None:
    """What stands before the `@` of a URL, decoded; None if nothing does."""
    parts = urllib.parse.urlsplit(url)
    if parts.username is None:
        return None
    return urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
