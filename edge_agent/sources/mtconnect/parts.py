"""Cuts a long answer into its documents, in whatever pieces it comes; pure.

Source: RFC 2046, section 5.1 (parts and what stands between them); ANSI/MTC1.4 Part 1 (an answer to
`interval` has a part for each document, which tells its `Content-length`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from foremend.errors import MalformedMessage

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_HEAD: Final = 8192
"""Bytes of a part's headers, or of one line between two parts."""
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*(?:\"([^\"]+)\"|([^\s;\"]+))", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"content-length\s*:\s*(\d{1,18})", re.IGNORECASE)
_FIRST_TAG: Final = re.compile(rb"<(?:[^\s<>:/!?]+:)?MTConnect(?:Streams|Error)[\s>]")
_LAST_TAG: Final = re.compile(rb"</(?:[^\s<>:/]+:)?MTConnect(?:Streams|Error)\s*>")
_LONGEST_TAG: Final = 128
_AROUND: Final = b" \t\r\n\xef\xbb\xbf"
"""May stand around a document; some agents put a mark of the byte order before each part."""
_Place = Literal["before", "between", "head", "body", "over"]
"""Where in the answer: before the first part, between two, in one, behind the last."""


def boundary(content_type: str) -> bytes | None:
    """Give what stands between the documents of an answer; None where it says none.

    >>> boundary("multipart/x-mixed-replace;boundary=cut")
    b'cut'
    """
    is_cut = content_type.strip().lower().startswith("multipart/")
    found = _BOUNDARY.search(content_type) if is_cut else None
    return (found[1] or found[2]).encode("latin-1", "replace") if found else None


class Parts:
    r"""Gives each document once it is whole.

    A part that tells no length ends with its document's last tag, else where the next one begins.
    So does one that is longer than it tells, as some agents count characters and not bytes. None is
    left out: one that the next cuts short is given as it came, for its reader to refuse, since what
    it would have told must not be missed unnoticed.

    >>> list(Parts(b"cut", most=100).take(b"--cut\r\nContent-length: 4\r\n\r\n<a/>"))
    [b'<a/>']
    """

    def __init__(self, boundary: bytes, *, most: int) -> None:
        self._mark = b"--" + boundary
        self._most = most
        """Bytes of a document."""
        self._kept = bytearray()
        self._place: _Place = "before"
        self._head = 0
        """Bytes of this part's headers so far."""
        self._length: int | None = None
        """Of this part's document, as it says itself."""
        self._seen = 0
        """Up to where this part's document was searched for its end."""

    @property
    def kept(self) -> int:
        """Bytes that wait for more."""
        return len(self._kept)

    def take(self, piece: bytes) -> Iterator[bytes]:
        """Take what has come, and give the documents that it makes whole.

        Raises:
            MalformedMessage: a part or its headers are too large, or lie where none can.
        """
        self._kept += piece
        while True:
            if self._place == "body":
                document = self._body()
                if document is None:
                    return
                if document:
                    yield document
            elif not (self._header() if self._place == "head" else self._begin()):
                return

    def _begin(self) -> bool:
        """Find the line that begins a part; say whether it was there."""
        at = self._kept.find(self._mark) if self._place != "over" else -1
        skipped = self._kept[: at if at >= 0 else max(0, len(self._kept) - len(self._mark) + 1)]
        if self._place == "between" and (b"<" in skipped or b">" in skipped):
            raise MalformedMessage("astray", "the agent tells something between two documents")
        del self._kept[: len(skipped)]
        line = self._line() if at >= 0 else None
        if line is None:
            return False
        is_last = line[len(self._mark) :].startswith(b"--")
        self._place, self._head, self._length = "over" if is_last else "head", 0, None
        return True

    def _header(self) -> bool:
        """Take a header; say whether a whole one was there. An empty one ends them."""
        line = self._line()
        if line is None:
            return False
        self._head += len(line)
        if self._head > MOST_HEAD:
            raise MalformedMessage("long_head", "the headers of a part are too long")
        if not line.strip():
            self._place, self._seen = "body", 0
        elif told := _LENGTH.match(line):
            self._length = int(told[1])
        return True

    def _line(self) -> bytes | None:
        at = self._kept.find(b"\n")
        if at < 0:
            if len(self._kept) > MOST_HEAD:
                raise MalformedMessage("long_head", "the headers of a part are too long")
            return None
        line = bytes(self._kept[: at + 1])
        del self._kept[: at + 1]
        return line

    def _body(self) -> bytes | None:
        end = self._end()
        size = len(self._kept) if end is None else end
        if max(size, self._length or 0) > self._most:
            raise MalformedMessage("long_document", f"a document exceeds {self._most} bytes")
        if end is None:
            return None
        document = bytes(self._kept[:end])
        del self._kept[:end]
        self._place = "between"
        return document.strip(_AROUND)

    def _end(self) -> int | None:
        """Find where the document ends, without looking twice at the same bytes."""
        after, self._seen = max(0, self._seen - len(self._mark)), len(self._kept)
        if self._length is not None and self._is_open(self._length):
            self._length = None
        within = None if self._length is None else self._length + len(self._mark) - 1
        next_at = self._kept.find(self._mark, after, within)
        if next_at >= 0:
            return next_at
        if self._length is not None:
            return self._length if len(self._kept) >= self._length else None
        last = _LAST_TAG.search(self._kept, max(0, after - _LONGEST_TAG))
        return last.end() if last else None

    def _is_open(self, length: int) -> bool:
        """Whether so much of it begins a document, and does not end it."""
        if len(self._kept) < length or not _FIRST_TAG.search(self._kept, 0, length):
            return False
        return not _LAST_TAG.search(self._kept, max(0, length - MOST_HEAD), length)
