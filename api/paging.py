"""Pages by cursor: a cursor is opaque, names its list, and says after which key to go on."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from foremend.errors import ForemendError, Remedy

LIMIT: Final = 50
MOST: Final = 200

Limit = Annotated[int, Query(ge=1, le=MOST, description="how many items a page holds")]
CursorText = Annotated[
    str | None, Query(max_length=512, description="`next` of the page before; nothing to begin")
]

Item = TypeVar("Item")
Key = str | int


class BadCursor(ForemendError):
    """The cursor is not one that this list gave out: begin again without it."""

    remedy = Remedy.REJECT


class Page(BaseModel, Generic[Item]):
    """Some items of a list, and where to go on."""

    items: list[Item]
    next: str | None = None
    """The cursor of the following page; null on the last."""


def encode(listing: str, key: Key) -> str:
    """Give the cursor that goes on after `key`.

    >>> decode("devices", encode("devices", "printer-07"), str)
    'printer-07'
    """
    text = json.dumps([listing, key], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def decode(listing: str, cursor: str | None, kind: type[Item]) -> Item | None:
    """Give the key to go on after, or None at the beginning.

    Raises:
        BadCursor: made up, cut short, or of another list.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        parsed = json.loads(base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, ValueError, RecursionError) as error:
        raise BadCursor from error
    match parsed:
        case [str(name), key] if name == listing and type(key) is kind:
            return key
    raise BadCursor


def page(listing: str, rows: Sequence[Item], keys: Sequence[Key], limit: int) -> Page[Item]:
    """Cut `rows`, of which `limit` + 1 were asked for, to one page.

    The one row too many is how a following page is known without counting.
    """
    more = len(rows) > limit
    return Page(items=list(rows[:limit]), next=encode(listing, keys[limit - 1]) if more else None)
