"""The relay's reading of MQTT: whole packets out of any chunks, topics and client ids."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingest import packets as ours
from stack.drill import packets
from stack.drill.packets import Splitter

HELLO = ours.connect("printer-01", keepalive_s=30, clean=True, user="u", password="p")
SAYS = ours.publish(b"fm/1/7/t/d/down/ack", b"x" * 300, 9)
STREAM = (HELLO, SAYS, ours.PING, ours.subscribe(1, ["a/#"]), SAYS)


@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=20))
def test_packets_come_out_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream, splitter = b"".join(STREAM), Splitter()
    edges = [0, *sorted(cuts), len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(edges)]

    assert [one for chunk in chunks for one in splitter.feed(chunk)] == list(STREAM)


def test_topics_and_clients_are_read() -> None:
    assert packets.kind_of(SAYS) == packets.Kind.PUBLISH
    assert packets.topic_of(SAYS) == "fm/1/7/t/d/down/ack"
    assert packets.kind_of(HELLO) == packets.Kind.CONNECT
    assert packets.client_of(HELLO) == "printer-01"
