"""Which addresses users may have us fetch from."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.lib.address_guard import Forbidden, Guard

GUARD = Guard.of((80, 443), ())


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1.2.3/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://172.16.5.4/",
        "http://192.168.1.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::1]/",
        "http://[::]/",
        "http://[fe80::1]/",
        "http://[fe80::1%25eth0]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[ff02::1]/",
        "http://8.8.8.8:22/",
        "http://example.org:8080/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org/",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http:///nothing",
        "http://exa mple.org/",
        "http://example.org/\r\nHost: inside",
        "http://example.org:99999/",
        "http://[::1",
        "nothing",
        "",
    ],
)
def test_refused_at_sight(url: str) -> None:
    with pytest.raises(Forbidden):
        GUARD.require_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/image",
        "https://example.org/image?x=1",
        "https://example.org:443/",
        "http://8.8.8.8/",
        "http://[2001:4860:4860::8888]/",
    ],
)
def test_let_through(url: str) -> None:
    GUARD.require_url(url)


def test_what_the_operator_allows() -> None:
    guard = Guard.of((80,), ("10.9.0.0/24", "fd00::/64", "127.0.0.0/8", "::1/128"))
    for url in ("http://10.9.0.7:8080/", "http://[fd00::7]/", "http://[::1]:1/", "http://localhost:1234/"):
        guard.require_url(url)
    with pytest.raises(Forbidden):
        guard.require_url("http://10.9.1.7/")


@given(st.ip_addresses())
def test_only_public_addresses_pass(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    try:
        GUARD.require_address(address, 80)
    except Forbidden:
        return
    # Pythons differ on whether the mapped form is global itself.
    meant = getattr(address, "ipv4_mapped", None) or address
    assert meant.is_global
    assert not meant.is_multicast
