"""Where a value stands in a register map, what requests fetch it, and what it is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.modbus.words import MOST, blocks, point
from foremend.errors import ConfigurationError

FORMS = {"float32": "f", "int32": "i", "uint32": "I", "float64": "d", "int64": "q", "int16": "h"}
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.mark.parametrize(
    ("path", "table", "address"),
    [
        ("holding:40001", "holding", 0),
        ("holding:400001:int16", "holding", 0),
        ("holding:@40001", "holding", 40001),
        ("holding:17", "holding", 17),
        ("input:30101:float32", "input", 100),
        ("input:40101", "input", 40101),
        ("coil:00003", "coil", 2),
        ("discrete:10003:bool", "discrete", 2),
    ],
)
def test_a_number_is_a_reference_only_where_it_looks_like_one(path, table, address) -> None:
    read = point(path)
    assert (read.table, read.address) == (table, address)


@pytest.mark.parametrize(
    "path",
    ["holding", "register:5", "holding:65535:float32", "coil:1:float32", "holding:1:bool",
     "holding:1:bit16", "holding:1:float32:ACBD", "holding:40000", "holding:1:text8"],
)  # fmt: skip
def test_what_is_no_path_is_refused_with_its_text(path: str) -> None:
    with pytest.raises(ConfigurationError, match=path):
        point(path)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("ABCD", [0x1234, 0x5678]),
        ("CDAB", [0x5678, 0x1234]),
        ("BADC", [0x3412, 0x7856]),
        ("DCBA", [0x7856, 0x3412]),
        ("big", [0x1234, 0x5678]),
        ("little", [0x7856, 0x3412]),
    ],
)
def test_words_and_bytes_come_in_the_order_that_is_told(order, words) -> None:
    assert point(f"holding:0:uint32:{order}").read(words) == 0x12345678


@given(st.sampled_from(sorted(FORMS)), FLOATS)
def test_every_form_reads_what_its_bytes_say(form: str, told: float) -> None:
    number = told if form.startswith("float") else int(max(min(told, 30_000), -30_000))
    number = abs(number) if form.startswith("uint") else number
    raw = struct.pack(f">{FORMS[form]}", number)
    words = struct.unpack(f">{len(raw) // 2}H", raw)
    read = point(f"input:0:{form}")
    assert read.width == len(words)
    assert read.read(words) == number


def test_a_bit_of_a_register_counts_from_the_least() -> None:
    assert [point(f"holding:0:bit{n}").read([0b1000_0001]) for n in (0, 1, 7, 15)] == [1, 0, 1, 0]


def test_neighbours_share_a_request_and_strangers_do_not() -> None:
    paths = ["holding:4", "holding:0:float32", "holding:2:float32", "input:2", "holding:9"]
    asked = [(b.table, b.address, b.count) for b in blocks(map(point, paths))]
    assert asked == [("holding", 0, 5), ("holding", 9, 1), ("input", 2, 1)]
    bridged = blocks(map(point, paths), gap=4)
    assert [(b.table, b.count) for b in bridged] == [("holding", 10), ("input", 1)]


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["uint16", "float32", "float64"])),
             min_size=1, max_size=60),
    st.integers(0, 20),
)  # fmt: skip
def test_every_point_is_fetched_once_whole_and_no_request_is_too_long(told, gap: int) -> None:
    paths = {f"holding:{address}:{form}" for address, form in told}
    asked = blocks(map(point, paths), gap=gap)
    assert sorted(p.path for block in asked for p in block.points) == sorted(paths)
    for block in asked:
        assert block.count <= MOST[False]
        words = range(block.address, block.address + block.count)
        for each in block.points:
            fetched = words[each.address - block.address :][: each.width]
            assert list(fetched) == list(range(each.address, each.address + each.width))
        assert set(block.read([0] * block.count)) == set(block.nothing())
