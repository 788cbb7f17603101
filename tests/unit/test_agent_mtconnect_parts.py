"""The laws of cutting a long answer: the same documents, in whatever pieces it comes."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.sources.mtconnect.lateness import Lateness
from edge_agent.sources.mtconnect.parts import MOST_HEAD, Parts, boundary
from foremend.errors import MalformedMessage

MARK = b"--=_cut"
MOST = 400
TEXTS = st.text("-=_cu\n é", max_size=30)
"""Almost what stands between two parts, but never quite."""
DOCUMENTS = TEXTS.map(lambda text: f"<MTConnectStreams>{text}</MTConnectStreams>".encode())
LINES = st.sampled_from([b"\n", b"\r\n"])
HEADS = st.sampled_from([b"Content-type: text/xml", b"X-Other: Content-length: 3", b""])


@st.composite
def parts(draw: st.DrawFn, *, with_end: bool = True) -> tuple[bytes, bytes]:
    """Give a document, and the part that carries it, told as one agent or another tells it.

    Some put a mark of the byte order before each part, some count characters and not bytes, some
    count what ends the part too.
    """
    document, line = draw(DOCUMENTS), draw(LINES)
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r\n\r\n", b"\n\r\n"]))
    counted = [None, len(document), len(document.decode())]
    length = draw(st.sampled_from([*counted, len(document) + len(end)] if with_end else counted))
    heads = [draw(HEADS)] + ([] if length is None else [b"content-Length:%d" % length])
    mark = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + b"--" + MARK
    return document, line.join([mark, *filter(None, heads), b"", document]) + end


@st.composite
def in_pieces(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    ends = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    return [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]


def cut(*pieces: bytes) -> list[bytes]:
    answer = Parts(MARK, most=MOST)
    return [document for piece in pieces for document in answer.take(piece)]


@given(st.data(), st.lists(parts(), max_size=5), st.sampled_from([b"", b"\r\n", b"hello\n"]))
def test_documents_are_the_same_in_whatever_pieces_they_come(data, told, before) -> None:
    whole = before + b"".join(part for _, part in told)
    assert cut(*data.draw(in_pieces(whole))) == [document for document, _ in told]


@given(st.data(), st.lists(parts(with_end=False), min_size=1, max_size=3))
def test_a_document_is_given_as_soon_as_it_is_whole(data, told) -> None:
    whole = b"".join(part for _, part in told)
    end = whole.rindex(b"</MTConnectStreams>") + len(b"</MTConnectStreams>")
    assert len(cut(*data.draw(in_pieces(whole[:end])))) == len(told)
    assert len(cut(*data.draw(in_pieces(whole[: end - 1])))) == len(told) - 1


@given(st.lists(st.one_of(st.binary(max_size=200), parts().map(lambda told: told[1]))))
def test_whatever_comes_little_is_kept_and_nothing_but_a_refusal_is_raised(pieces) -> None:
    answer = Parts(MARK, most=MOST)
    for piece in pieces:
        before = answer.kept
        try:
            documents = list(answer.take(piece))
        except MalformedMessage:
            return
        assert answer.kept <= max(MOST, MOST_HEAD) + len(MARK) + 2
        assert sum(map(len, documents)) <= before + len(piece)


@st.composite
def cut_short(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """Give a document's beginning, the part that carries only that, and its headers."""
    document, part = draw(parts())
    begins_at = part.rindex(document)
    ends_at = begins_at + draw(st.integers(1, len(document) - 1))
    return part[begins_at:ends_at].strip(), part[:ends_at] + b"\r\n", part[:begins_at]


@given(st.data(), cut_short(), parts())
def test_a_document_that_the_next_one_cuts_short_is_given_as_it_came(data, short, whole) -> None:
    beginning, part, head = short
    answer = part + whole[1]
    pieces = [answer] if b"content-Length" in head else data.draw(in_pieces(answer))
    assert cut(*pieces) == [beginning, whole[0]]


@given(st.data(), cut_short(), parts())
def test_a_document_cut_short_is_never_left_out_unnoticed(data, short, whole) -> None:
    beginning, part, _ = short
    answer, told = Parts(MARK, most=MOST), []
    with suppress(MalformedMessage):
        for piece in data.draw(in_pieces(part + whole[1])):
            told.extend(answer.take(piece))
    assert told[0].startswith(beginning)
    assert not told[0].endswith(b"</MTConnectStreams>")


def test_what_stands_behind_the_last_part_is_none() -> None:
    part = b"--" + MARK + b"\nContent-length: 4\n\n<a/>\n"
    assert cut(part + b"--" + MARK + b"--\n" + part) == [b"<a/>"]


def test_a_part_that_tells_too_great_a_length_ends_where_the_next_begins() -> None:
    part = b"--" + MARK + b"\nContent-length: 7\n\n<a/>\n"
    assert cut(part + part) == [b"<a/>"]
    assert cut(part + part + b"--" + MARK) == [b"<a/>", b"<a/>"]


def test_an_empty_part_is_no_document() -> None:
    empty, part = b"--" + MARK + b"\n\n", b"--" + MARK + b"\nContent-length: 4\n\n<a/>\n"
    assert cut(empty + empty + part) == [b"<a/>"]


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        (b"--" + MARK + b"\nContent-length: 401\n\n", "long_document"),
        (b"--" + MARK + b"\n\n" + b"x" * 401, "long_document"),
        (b"--" + MARK + b"\n" + b"X: y\n" * MOST_HEAD, "long_head"),
        (b"--" + MARK + b"\n" + b"x" * (MOST_HEAD + 1), "long_head"),
        (b"--" + MARK + b"\nContent-length: 4\n\n<a/><b/>\n--" + MARK + b"\n", "astray"),
    ],
)
def test_what_is_too_large_or_lies_where_nothing_can_is_refused(whole: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage) as refusal:
        cut(whole)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("multipart/x-mixed-replace;boundary=a1b2", b"a1b2"),
        ('Multipart/Mixed; charset=utf-8; Boundary="a 1"', b"a 1"),
        ("multipart/x-mixed-replace:boundary=a1b2", b"a1b2"),
        ("multipart/mixed", None),
        ("text/xml;charset=UTF-8", None),
        ("", None),
    ],
)
def test_the_boundary_is_told_by_the_content_type(kind: str, mark: bytes | None) -> None:
    assert boundary(kind) == mark


@given(
    st.integers(-(2**40), 2**40),
    st.lists(st.tuples(st.integers(1, 5_000), st.integers(0, 900)), min_size=1),
)
def test_a_clock_that_is_wrong_makes_nothing_late_and_waiting_does(ahead_ms, steps) -> None:
    lateness, made_ms = Lateness(), 0
    lateness.of(ahead_ms, 0)
    for step_ms, on_its_way_ms in steps:
        made_ms += step_ms
        assert lateness.of(made_ms + ahead_ms, made_ms + on_its_way_ms) == on_its_way_ms
