"""A target for atheris: bytes from anywhere through everything that ingest does with them.

Run it for as long as you like: `python tests/fuzz/fuzz_ingest.py -max_total_time=600`. Between
inputs it keeps a store in memory, so that one input meets what an earlier one left.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from typing import Final

import atheris

with atheris.instrument_imports(include=["foremend.wire", "ingest"]):
    from foremend import wire
    from ingest import packets
    from ingest.intake import Accepted, Arrival, read
    from ingest.memory import MemoryStore
    from ingest.rows import quarantine_rows

NOW_MS: Final = 1_767_225_600_000
ADDRESS: Final = wire.Address(tenant="demo", device="printer-01")
KINDS: Final = tuple(wire.Up)
AGAIN: Final = 2000
"""Inputs after which the store begins anew: what it stored is not a leak."""
GROWTH: Final = 20 * 1024
"""KiB that the process may grow after its first inputs."""

_state = {"inputs": 0, "start": 0, "store": MemoryStore()}


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def one_input(data: bytes) -> None:
    """Take one input: its first byte chooses the kind, bit 7 a made-up topic, bit 6 a stream."""
    if not data:
        return
    _count()
    if data[0] & 0x40:
        with suppress(packets.BrokenStream):
            packets.split(data[1:])
        return
    topic = ADDRESS.up(KINDS[data[0] % len(KINDS)])
    if data[0] & 0x80:
        topic = data[1:60].decode("utf-8", "replace")
    outcome = read(Arrival(topic=topic, payload=data[1:]))
    store = _state["store"]
    if isinstance(outcome, Accepted):
        store.commit([outcome], (), NOW_MS)
    else:
        quarantine_rows([outcome])
        store.commit((), [outcome], NOW_MS)


def _count() -> None:
    _state["inputs"] += 1
    if _state["inputs"] % AGAIN == 0:
        _state["store"] = MemoryStore()
    if _state["inputs"] == AGAIN:
        _state["start"] = _peak_kib()
    grown = _peak_kib() - _state["start"]
    if _state["inputs"] > AGAIN and grown > GROWTH:
        raise MemoryError(f"grown by {grown} KiB")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
