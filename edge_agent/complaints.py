"""What msgspec finds wrong with a configuration, said as its author would want to hear it; pure.

Every sentence begins with the setting, written as in the file: `source.url: is missing; add it`.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from foremend.values import ID_PATTERN

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS: Final = r"\Ahttps?://[^/]+"
"""The pattern of a server's address."""
_PLACED: Final = re.compile(r"(?P<what>.*?)(?: - at `(?:key in )?\$(?P<where>[^`]*)`)?", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.+)`")
_NOT_ONE_OF: Final = re.compile(r"Invalid enum value (.+)")
_TYPE: Final = re.compile(r"Expected `(\w+)(?: \| null)?`, got `(\w+)`")
_BOUND: Final = re.compile(r"Expected `\w+` (>=|<=|>|<) (.+)")
_PATTERN: Final = re.compile(r"Expected `str` matching regex '(.*)'", re.DOTALL)
_STEP: Final = re.compile(r"[^.\[\]]+|\[[^\]]*\]")
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
}
_BOUNDS: Final = {">=": "at least", "<=": "at most", ">": "above", "<": "below"}
_FORMS: Final = {
    rf"\A{ID_PATTERN.pattern}": "letters, digits, - and _ alone, at most 64, not - or _ first",
    ADDRESS: "an address that begins with http:// or https://",
}


def complaint(error: msgspec.DecodeError, form: type, under: str = "") -> str:
    """Say what is wrong with a configuration of this form, which stands in the table `under`.

    >>> class Door(msgspec.Struct):
    ...     width: int
    >>> try:
    ...     msgspec.convert({"width": "wide"}, Door)
    ... except msgspec.ValidationError as error:
    ...     complaint(error, Door, "house.door")
    'house.door.width: is to be a whole number, not text'
    """
    placed = _PLACED.fullmatch(str(error))
    assert placed is not None  # noqa: S101 - it takes any text
    where = placed["where"] or ""
    known = _standing_at(inspect.type_info(form), where)
    name, sentence = _said(placed["what"], known)
    place = f"{under}{where}{name}".lstrip(".")
    return f"{place}: {sentence}" if place else sentence


def _said(what: str, known: Any) -> tuple[str, str]:  # noqa: ANN401 - one of many type nodes
    """Give what is to be added to the place, and the sentence."""
    if found := _MISSING.fullmatch(what):
        return f".{found[1]}", "is missing; add it"
    if found := _UNKNOWN.fullmatch(what):
        return f".{found[1]}", f"there is no such setting; {_instead(found[1], known)}"
    return "", _wrong(what, known)


def _wrong(what: str, known: Any) -> str:  # noqa: ANN401 - likewise
    """Say what a value is to be; msgspec's own words where they are none of those we know."""
    if found := _NOT_ONE_OF.fullmatch(what):
        return f"is to be {_listed(known.values)}, not {found[1].strip(chr(39))}"
    if found := _TYPE.fullmatch(what):
        wanted, got = (_WORDS.get(word, word) for word in found.groups())
        return f"is to be {wanted}, not {got}"
    if found := _BOUND.fullmatch(what):
        return f"is to be {_BOUNDS[found[1]]} {found[2]}"
    if found := _PATTERN.fullmatch(what):
        pattern = found[1].replace("\\\\", "\\")
        return f"is to be {_FORMS.get(pattern, f'text that matches {pattern}')}"
    return what


def _instead(name: str, known: Any) -> str:  # noqa: ANN401 - likewise
    names = [field.encode_name for field in getattr(known, "fields", ())]
    close = get_close_matches(name, names, n=1)
    return f"is it {close[0]}?" if close else f"there are {', '.join(names)}"


def _listed(values: tuple[object, ...]) -> str:
    *before, last = map(str, values)
    return f"{', '.join(before)} or {last}" if before else last


def _standing_at(known: Any, where: str) -> Any:  # noqa: ANN401 - likewise
    """Follow a place through the types; what cannot be followed ends at nothing known."""
    for step in _STEP.findall(where):
        known = next(_steps(known, step), None)
    return next(_choices(known), known)


def _steps(known: Any, step: str) -> Iterator[Any]:  # noqa: ANN401 - likewise
    for one in _choices(known):
        if step.startswith("["):
            yield getattr(one, "item_type", None) or getattr(one, "value_type", None)
        for field in getattr(one, "fields", ()):
            if field.encode_name == step:
                yield field.type


def _choices(known: Any) -> Iterator[Any]:  # noqa: ANN401 - likewise
    """Give what a value may be, but for none at all."""
    for one in getattr(known, "types", (known,)):
        if not isinstance(one, inspect.NoneType):
            yield getattr(one, "type", one)
