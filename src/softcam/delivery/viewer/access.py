"""Who may ask the viewer: from which address, by which name, with which token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from softcam.errors import ConfigError

SHORTEST_TOKEN = 16
"""Characters: shorter tokens can be guessed."""

Refusal = tuple[HTTPStatus, str]


@dataclass(frozen=True)
class Access:
    """The rules by which requests are let in.

    Attributes:
        token: Asked of every request for data; None where only this machine can reach the viewer.
        names: Names by which browsers may call this machine. Any other would let a page from elsewhere speak to the
            viewer by having its own name lead here (DNS rebinding).
        addresses: Whether they may also call it by any address: an address cannot be made to lead elsewhere.
    """

    token: str | None = field(default=None, repr=False)
    names: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    addresses: bool = False

    @classmethod
    def at(cls, host: str, token: str | None) -> Access:
        """Return the rules for a viewer that listens at ``host``.

        Args:
            host: Name or address.
            token: The token to ask for. Without one, a viewer that other machines can reach makes its own.

        Raises:
            ConfigError: The token is short or cannot be sent, or there is no such host.
        """
        if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable()):
            raise ConfigError(f"the token needs at least {SHORTEST_TOKEN} printable ASCII characters; choose another")
        if _is_loopback(host):
            return cls(token, cls.names | {host.lower()})
        own = {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(token or secrets.token_urlsafe(24), cls.names | own, addresses=True)

    def refuse(self, headers: Mapping[str, str], *, protected: bool) -> Refusal | None:
        """Say why a request is not let in, or None where it is.

        Args:
            headers: Of the request, by lower-case name.
            protected: Whether it asks for data, and so needs the token.
        """
        if not self._knows(headers.get("host", "")):
            return HTTPStatus.MISDIRECTED_REQUEST, "this viewer is not known by that name; open it by its address"
        if not _same_origin(headers):
            return HTTPStatus.FORBIDDEN, "another web page asks; open the viewer in a tab of its own"
        if protected and not self._has_token(headers.get("authorization", "")):
            return HTTPStatus.UNAUTHORIZED, "the token is missing or wrong; it is printed where the viewer was started"
        return None

    def _knows(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or (self.addresses and _is_address(name))

    def _has_token(self, authorization: str) -> bool:
        expected = f"Bearer {self.token}".encode()
        return self.token is None or hmac.compare_digest(authorization.encode("latin-1", "replace"), expected)


def _same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the viewer's own page asks, or no page at all."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        raise ConfigError(f"--host is {host}, which is no address of this machine; use 127.0.0.1") from None
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)
