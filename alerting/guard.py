"""Where a webhook may not go: into the house's own network (server-side request forgery)."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from foremend.errors import ForemendError, Remedy, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address

# `is_global` alone lets these pass in Python 3.11 (see the tests).
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(text) for text in ("0.0.0.0/8", "192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/3")
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20")
)
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
_NAT64: Final = IPv6Network("64:ff9b::/96")


class DestinationRefused(ForemendError):
    """The address is not one that webhooks may go to."""

    remedy = Remedy.REJECT


def public(address: Address) -> bool:
    """Tell whether an address belongs to the public internet.

    An IPv4 address inside an IPv6 one (mapped, NAT64, 6to4) counts as what it carries.
    """
    if isinstance(address, IPv4Address):
        return address.is_global and not any(address in net for net in _NOT_PUBLIC_4)
    carried = _carried(address)
    if carried is not None:
        return public(carried)
    return (
        address in _PUBLIC_6
        and address.is_global
        and not any(address in net for net in _NOT_PUBLIC_6)
    )


def allowed(addresses: Sequence[Address], *, host: str, allow_private: bool) -> Address:
    """Give the address to connect to.

    One private address among public ones refuses them all: the name is not to be trusted.

    Raises:
        DestinationRefused: an address is not public, or there is none.
    """
    if not addresses:
        raise DestinationRefused(f"{host} has no address")
    hidden = [a for a in addresses if not public(a)]
    if hidden and not allow_private:
        raise DestinationRefused(
            f"{host} is at {hidden[0]}, which is not public;"
            " FOREMEND_ALLOW_PRIVATE_DESTINATIONS=true allows it"
        )
    return addresses[0]


def resolve(host: str, port: int) -> list[Address]:
    """Give the addresses of a name, in the system's order of preference.

    Raises:
        Unavailable: the name cannot be resolved.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{host} cannot be resolved: {error}") from error
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
