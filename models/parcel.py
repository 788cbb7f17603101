"""One model version as one file, to carry it between installations; nothing in it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from foremend.errors import ForemendError, Remedy
from models.registry import Record, opened

if TYPE_CHECKING:
    from models.signing import Trusted

FORM: Final = "foremend-model/1"


class NoParcel(ForemendError):
    """This file holds no model: make one with `foremend models export`."""

    remedy = Remedy.REJECT


class Parcel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file holds, as MessagePack: a record without its stage, which is each registry's."""

    form: str
    version: str
    kind: str
    cohort: str
    sha256: str
    kid: str
    signature: bytes
    meta: dict[str, Any]
    artefact: bytes


def packed(record: Record) -> bytes:
    """Give the file of one version."""
    told = {name: getattr(record, name) for name in Parcel.__struct_fields__ if name != "form"}
    return msgspec.msgpack.encode(Parcel(form=FORM, **told))


def unpacked(content: bytes, trusted: Trusted) -> Record:
    """Read a file, and believe it only where its signature fits; nothing of it is unpickled.

    Raises:
        NoParcel: this is no such file.
        SignatureRefused: nobody who is trusted here signed it as it is.
        LibraryMismatch: it was made with other library versions than these.
    """
    try:
        parcel = msgspec.msgpack.decode(content, type=Parcel)
    except (ValueError, RecursionError) as error:
        raise NoParcel from error
    if parcel.form != FORM:
        raise NoParcel(f"this file is of form {parcel.form!r}, and {FORM!r} is understood")
    told = {name: getattr(parcel, name) for name in Parcel.__struct_fields__ if name != "form"}
    record = Record(stage="shadow", **told)
    opened(record, trusted)
    return record
