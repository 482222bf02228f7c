from __future__ import annotations

import socket
from http import HTTPStatus

import pytest

from softcam.delivery.viewer.access import Access
from softcam.errors import ConfigError

TOKEN = "0123456789abcdef"
LOCAL = Access.at("127.0.0.1", None)
REMOTE = Access.at("0.0.0.0", TOKEN)


def status(access: Access, protected: bool = True, **headers: str) -> HTTPStatus | None:
    refusal = access.refuse({name.replace("_", "-"): value for name, value in headers.items()}, protected=protected)
    return None if refusal is None else refusal[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_at_a_loopback_address_no_token_is_needed(host: str) -> None:
    access = Access.at(host, None)
    assert access.token is None
    name = f"[{host}]" if ":" in host else host
    assert status(access, host=f"{name}:8000") is None


def test_elsewhere_a_token_is_made_that_nobody_guesses() -> None:
    first, second = (Access.at("0.0.0.0", None).token for _ in range(2))
    assert first is not None
    assert second is not None
    assert first != second
    assert len(first) >= 32


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "a token with ümlaut", "line\nbreak-in-the-token"])
def test_tokens_that_can_be_guessed_or_not_be_sent_are_refused(token: str) -> None:
    with pytest.raises(ConfigError, match="needs at least 16 printable ASCII characters"):
        Access.at("127.0.0.1", token)


def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^--host is no\.such\.host\.invalid, which is no address"):
        Access.at("no.such.host.invalid", None)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
def test_names_that_were_led_here_from_elsewhere_are_not_known(host: str) -> None:
    assert status(LOCAL, host=host) == HTTPStatus.MISDIRECTED_REQUEST
    assert status(LOCAL, host=host, protected=False) == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize("host", ["10.0.0.1:80", "[fe80::1]:80", socket.gethostname(), "localhost"])
def test_a_viewer_for_the_network_is_known_by_addresses_and_its_own_names(host: str) -> None:
    assert status(REMOTE, host=host, authorization=f"Bearer {TOKEN}") is None
    assert status(REMOTE, host="evil.example", authorization=f"Bearer {TOKEN}") == HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.parametrize(
    "authorization", ["", TOKEN, "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"bearer {TOKEN}", "Bearer \xe4\xff"]
)
def test_only_the_very_token_lets_in(authorization: str) -> None:
    assert status(REMOTE, host="10.0.0.1", authorization=authorization) == HTTPStatus.UNAUTHORIZED
    assert status(REMOTE, host="10.0.0.1", authorization=authorization, protected=False) is None


def test_the_token_is_not_in_what_a_log_might_show() -> None:
    assert TOKEN not in repr(REMOTE)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"origin": "http://localhost:8000"}, True),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://localhost:9999"}, False),
        ({"sec_fetch_site": "same-origin", "origin": "https://viewer.example"}, True),  # behind a proxy
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "same-site", "origin": "http://localhost:8000"}, False),
    ],
)
def test_other_pages_may_not_ask(headers: dict[str, str], allowed: bool) -> None:
    assert status(LOCAL, host="localhost:8000", **headers) == (None if allowed else HTTPStatus.FORBIDDEN)
