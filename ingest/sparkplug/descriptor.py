"""The form of a Sparkplug B payload, given to the protobuf runtime as a table of field numbers.

Names, numbers and types are those of the specification (Eclipse Sparkplug 3.0.0, section 6).
What is left out here, such as data sets and templates, passes by as unknown fields, unread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message

_Row = tuple[int, str, str]
"""Number, name, and type; `[X]` repeats it, `|x` makes it a choice of the field `value`."""

_CHOICES: Final[tuple[_Row, ...]] = (
    (0, "int_value", "|uint32"),
    (1, "long_value", "|uint64"),
    (2, "float_value", "|float"),
    (3, "double_value", "|double"),
    (4, "boolean_value", "|bool"),
    (5, "string_value", "|string"),
)
_PACKAGE: Final = "foremend.sparkplug"
_MESSAGES: Final[dict[str, tuple[_Row, ...]]] = {
    "PropertyValue": (
        (1, "type", "uint32"),
        (2, "is_null", "bool"),
        *((3 + n, name, kind) for n, name, kind in _CHOICES),
    ),
    "PropertySet": ((1, "keys", "[string]"), (2, "values", "[PropertyValue]")),
    "Metric": (
        (1, "name", "string"),
        (2, "alias", "uint64"),
        (3, "timestamp", "uint64"),
        (4, "datatype", "uint32"),
        (5, "is_historical", "bool"),
        (6, "is_transient", "bool"),
        (7, "is_null", "bool"),
        (9, "properties", "PropertySet"),
        *((10 + n, name, kind) for n, name, kind in _CHOICES),
    ),
    "Payload": (
        (1, "timestamp", "uint64"),
        (2, "metrics", "[Metric]"),
        (3, "seq", "uint64"),
    ),
}


def _field(row: _Row) -> FieldDescriptorProto:
    number, name, kind = row
    plain = kind.strip("[]|")
    field = FieldDescriptorProto(number=number, name=name)
    many = kind.startswith("[")
    field.label = (
        FieldDescriptorProto.LABEL_REPEATED if many else FieldDescriptorProto.LABEL_OPTIONAL
    )
    if plain in _MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{plain}"
    else:
        field.type = FieldDescriptorProto.Type.Value(f"TYPE_{plain.upper()}")
    if kind.startswith("|"):
        field.oneof_index = 0
    return field


def _message(name: str, rows: Iterable[_Row]) -> DescriptorProto:
    message = DescriptorProto(name=name, field=[_field(row) for row in rows])
    if any(field.HasField("oneof_index") for field in message.field):
        message.oneof_decl.add(name="value")
    return message


def _payload_class() -> type[Message]:
    file = FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    file.message_type.extend(_message(name, rows) for name, rows in _MESSAGES.items())
    # A pool of our own: another library in the process may bring the same messages.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    form = pool.FindMessageTypeByName(f"{_PACKAGE}.Payload")
    payload: type[Message] = message_factory.GetMessageClass(form)
    return payload


PayloadMessage: Final = _payload_class()
"""The runtime's class for one payload; `payload.decode` reads it into values of ours."""
