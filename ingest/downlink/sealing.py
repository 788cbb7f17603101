"""Commands and configurations made final: encoded and signed, byte for byte what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from foremend import wire
from foremend.clock import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from foremend.keys import SigningKey

FIRST_AGAIN_S = 1.0
LONGEST_AGAIN_S = 30.0


def command(row: Mapping[str, Any], key: SigningKey) -> bytes:
    """Give the signed bytes of a command."""
    body = wire.Command(
        id=row["id"],
        tenant=row["tenant"],
        device=row["device"],
        counter=row["counter"],
        kind=row["kind"],
        args=row["args"],
        interlock=tuple(row["interlock"]),
        issued_ms=to_ms(row["issued_at"]),
        expires_ms=to_ms(row["expires_at"]),
    )
    return signed(wire.encode(body), key)


def configuration(row: Mapping[str, Any], key: SigningKey) -> bytes:
    """Give the signed bytes of a desired configuration."""
    body = wire.Config(
        tenant=row["tenant"],
        device=row["device"],
        version=row["version"],
        issued_ms=to_ms(row["desired_at"]),
        desired=row["desired"],
    )
    return signed(wire.encode(body), key)


def signed(body: bytes, key: SigningKey) -> bytes:
    """Put a body into its envelope."""
    return wire.encode(wire.Signed(kid=key.kid, sig=key.sign(body), body=body))


def again_after_s(sends: int) -> float:
    """Give how long to wait for an answer to the nth sending before it is repeated.

    >>> [again_after_s(n) for n in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 30.0]
    """
    return float(min(LONGEST_AGAIN_S, FIRST_AGAIN_S * 2 ** min(sends - 1, 16)))
