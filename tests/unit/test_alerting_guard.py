from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.guard import DestinationRefused, allowed, public

REFUSED = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "192.0.0.8",
    "192.88.99.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fe80::1",
    "fec0::1",
    "fd00::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", REFUSED)
def test_an_address_inside_or_beside_the_internet_is_refused(text: str) -> None:
    assert not public(ip_address(text))
    with pytest.raises(DestinationRefused, match="not public"):
        allowed([ip_address(text)], host="hook.example", allow_private=False)


@pytest.mark.parametrize(
    "text", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"]
)
def test_a_public_address_is_allowed(text: str) -> None:
    address = ip_address(text)
    assert allowed([address], host="hook.example", allow_private=False) == address


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    both = [ip_address("1.1.1.1"), ip_address("127.0.0.1")]
    with pytest.raises(DestinationRefused):
        allowed(both, host="rebinding.example", allow_private=False)


def test_private_addresses_are_allowed_where_the_settings_say_so() -> None:
    loopback = ip_address("127.0.0.1")
    assert allowed([loopback], host="localhost", allow_private=True) == loopback


def test_a_name_without_addresses_is_refused_even_then() -> None:
    with pytest.raises(DestinationRefused, match="no address"):
        allowed([], host="nowhere.example", allow_private=True)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv4_address_does_not_become_public_by_travelling_inside_ipv6(
    address: IPv4Address,
) -> None:
    number = int(address)
    carriers = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    ]
    assert {public(carrier) for carrier in carriers} == {public(address)}
