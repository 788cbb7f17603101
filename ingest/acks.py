"""What devices are told after a commit; pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from foremend import wire
from ingest import seqset

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ingest.intake import Refused
    from ingest.plan import Plan

MAX_RANGES: Final = 64
"""Ranges past the cumulative number in one acknowledgement; the rest are told next time."""


class Told(Struct, frozen=True, kw_only=True, gc=False):
    """One acknowledgement and whom it is for."""

    address: wire.Address
    ack: wire.Ack


def after_commit(plan: Plan, refused: Iterable[Refused]) -> list[Told]:
    """Give every acknowledgement that follows from a committed plan."""
    return [*_settled(plan), *_introductions_wanted(plan), *_refusals(refused)]


def _settled(plan: Plan) -> Iterable[Told]:
    for (_, _, name), (address, boot) in plan.touched.items():
        got = plan.got.get((boot.device_id, boot.boot_id), seqset.EMPTY)
        ranges = seqset.beyond(got)[:MAX_RANGES]
        ack = wire.Ack(boot=name, upto=seqset.upto(got), ranges=ranges)
        yield Told(address=address, ack=ack)


def _introductions_wanted(plan: Plan) -> Iterable[Told]:
    wanted = {(s.address, s.message.boot) for s in plan.strangers}
    for address, boot in wanted:
        yield Told(address=address, ack=wire.Ack(boot=boot, birth_wanted=True))


def _refusals(refused: Iterable[Refused]) -> Iterable[Told]:
    by_device: dict[wire.Address, list[wire.Refusal]] = defaultdict(list)
    for one in refused:
        if one.address is not None:
            name = wire.digest(one.arrival.payload)
            by_device[one.address].append(wire.Refusal(hash=name, reason=one.reason))
    for address, refusals in by_device.items():
        yield Told(address=address, ack=wire.Ack(refused=tuple(refusals)))
