"""Reads signature libraries and says what is wrong with one: file, line, field."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from foremend.errors import InputError
from models.features.spec import LEVELS
from models.signatures.fields import Table
from models.signatures.library import (
    HORIZONS_H,
    Calibration,
    Code,
    Evidence,
    Feature,
    Library,
    Machine,
    Mode,
)
from models.signatures.locating import Lines
from models.signatures.physics import FORMULAS
from models.signatures.zones import SUPPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


DIRECTIONS: Final = {"up": 1, "down": -1, "either": 0}
PHASES: Final = {"work": "short", "heating": "heating", "rest": "rest"}
"""What a phase's evidence is compared by, unless a level is named."""
CALIBRATION: Final = "calibration.toml"
NOT_LIBRARIES: Final = frozenset({"zones.toml", CALIBRATION})


def read_library(path: Path) -> Library:
    """Read one family's library, with the calibration beside it or the one that ships, if any.

    Raises:
        InputError: the file cannot be read, or says something that means nothing.
    """
    library = _library(_opened(path))
    beside = path.with_name(CALIBRATION)
    own = _calibrations(beside) if beside.exists() else {}
    found = own.get(library.family) or _shipped_calibrations().get(library.family)
    fits = found is not None and found.evidence == library.fingerprint
    return replace(library, calibration=found if fits else None)


def _opened(path: Path) -> Table:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, None, None, f"cannot be read: {error}") from error
    try:
        rows = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(path, _line_of(error), None, str(error)) from error
    return Table(str(path), Lines(text.splitlines()), (), rows)


def _line_of(error: tomllib.TOMLDecodeError) -> int | None:
    """Read the line out of the message `... (at line 3, column 7)`."""
    _, found, rest = str(error).partition("(at line ")
    digits = rest.partition(",")[0]
    return int(digits) if found and digits.isdigit() else None


def libraries_in(folder: Path) -> dict[str, Library]:
    """Read every library of a folder, by family; a folder that is not there holds none.

    Raises:
        InputError: one of its files is no library.
    """
    found: dict[str, Library] = {}
    for path in sorted(folder.glob("*.toml")):
        if path.name not in NOT_LIBRARIES:
            library = read_library(path)
            found[library.family] = library
    return found


@cache
def shipped() -> Mapping[str, Library]:
    """Read the libraries that ship, by family."""
    with as_file(files("models.signatures") / "data") as folder:
        return libraries_in(folder)


def _library(table: Table) -> Library:
    table.known("family", "version", "features", "modes", "machines")
    features = tuple(_feature(one) for one in table.tables("features"))
    modes = tuple(_mode(one) for one in table.tables("modes"))
    if not modes:
        raise table.wrong("modes", "at least one [[modes]] is needed")
    _refuse_twice(table, "features", [f.name for f in features])
    _refuse_twice(table, "modes", [f"{m.component}/{m.failure_mode}" for m in modes])
    return Library(
        family=table.text("family"),
        version=int(table.number("version", least=1)),
        features=features,
        modes=modes,
        machines=tuple(_machine(one) for one in table.tables("machines")),
    )


def _refuse_twice(table: Table, key: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            place = (*table.at, key, i)
            raise InputError(table.file, table.lines.of(place), key, f"{name} stands here twice")


def _feature(table: Table) -> Feature:
    table.known("name", "formula", "channel", "inputs", "constants", "unit", "source")
    formula = table.one_of("formula", FORMULAS)
    form = FORMULAS[formula]
    inputs = _inputs(table, form.words, form.optional)
    constants = table.rows.get("constants", {})
    if not isinstance(constants, dict) or set(constants) != set(form.constants):
        wanted = ", ".join(form.constants) or "none"
        raise table.wrong("constants", f"{formula} needs {wanted}")
    for name, value in constants.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise table.wrong("constants", f"{name} = {value!r} is not a number")
    return Feature(
        name=table.text("name"),
        formula=formula,
        channel=table.text("channel"),
        inputs=inputs,
        constants={name: float(value) for name, value in constants.items()},
        unit=table.text("unit"),
        source=table.text("source"),
    )


def _inputs(
    table: Table, words: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, tuple[str, ...]]:
    given = table.rows.get("inputs", {})
    if not isinstance(given, dict) or not set(words) <= set(given) <= {*words, *optional}:
        extra = f", and may have {', '.join(optional)}" if optional else ""
        raise table.wrong("inputs", f"needs {', '.join(words)}{extra}")
    told: dict[str, tuple[str, ...]] = {}
    for word, value in given.items():
        channels = [value] if isinstance(value, str) else value
        if (
            not isinstance(channels, list)
            or not channels
            or not all(isinstance(c, str) and c for c in channels)
        ):
            raise table.wrong("inputs", f"{word}: a channel, or a list of channels, is needed")
        told[word] = tuple(channels)
    return told


def _mode(table: Table) -> Mode:
    table.known("component", "failure_mode", "life_h", "evidence", "codes", "source")
    evidence = tuple(_evidence(one) for one in table.tables("evidence"))
    codes = tuple(_code(one) for one in table.tables("codes"))
    if not evidence and not codes:
        raise table.wrong("evidence", "a mode needs evidence or codes")
    return Mode(
        component=table.text("component"),
        failure_mode=table.text("failure_mode"),
        life_h=table.number("life_h", least=1.0),
        evidence=evidence,
        codes=codes,
        source=table.text("source"),
    )


def _evidence(table: Table) -> Evidence:
    table.known(
        "subject", "phase", "level", "direction", "weight", "begins", "full", "against",
        "absolute", "spread", "spread_share", "source",
    )  # fmt: skip
    phase = table.one_of("phase", PHASES, "work")
    level = table.one_of("level", dict.fromkeys(LEVELS), PHASES[phase])
    absolute = table.rows.get("absolute", False)
    if not isinstance(absolute, bool):
        raise table.wrong("absolute", "true or false is needed")
    begins = table.number("begins", 2.0, least=-1e9)
    full = table.number("full", 8.0, least=-1e9)
    if full <= begins:
        raise table.wrong("full", f"{full:g} is not above begins = {begins:g}")
    spread, share = table.number("spread", 0.0), table.number("spread_share", 0.0)
    if not absolute and spread + share <= 0.0:
        raise table.wrong("spread", "spread or spread_share must say what is usual")
    return Evidence(
        subject=table.text("subject"),
        level=level,
        direction=DIRECTIONS[table.one_of("direction", DIRECTIONS)],
        weight=_weight(table),
        begins=begins,
        full=full,
        against=table.number("against", 0.25),
        absolute=absolute,
        spread=spread,
        spread_share=share,
        source=table.text("source"),
    )


def _weight(table: Table) -> float:
    """Give a log-likelihood ratio; below 0 where what is seen speaks against the mode."""
    weight = table.number("weight", least=-99.0)
    if weight == 0.0:
        raise table.wrong("weight", "0 says nothing")
    return weight


def _code(table: Table) -> Code:
    table.known("code", "weight", "source")
    return Code(
        code=table.text("code"),
        weight=table.number("weight", least=0.1),
        source=table.text("source"),
    )


def _machine(table: Table) -> Machine:
    table.known("model", "rated_kw", "support", "source")
    return Machine(
        model=table.text("model"),
        rated_kw=table.number("rated_kw"),
        support=table.one_of("support", dict.fromkeys(SUPPORTS)),
        source=table.text("source"),
    )


@cache
def _shipped_calibrations() -> Mapping[str, Calibration]:
    """Read what was fitted to simulated fleets, by family."""
    with as_file(files("models.signatures") / "data" / CALIBRATION) as path:
        return _calibrations(path)


def _calibrations(path: Path) -> dict[str, Calibration]:
    top = _opened(path)
    return {family: _calibration(top, family) for family in top.rows}


def _calibration(top: Table, family: str) -> Calibration:
    table = Table(top.file, top.lines, (family,), top.rows[family])
    table.known("knots", "hazards", "shifts", "threshold", "evidence", "source")
    knots = _numbers(table, "knots", table.rows.get("knots"))
    hazards = table.rows.get("hazards")
    if not isinstance(hazards, list) or len(hazards) != len(knots):
        raise table.wrong("hazards", f"{len(knots)} rows are needed, one a knot")
    return Calibration(
        knots=knots,
        hazards=tuple(_numbers(table, "hazards", row, len(HORIZONS_H)) for row in hazards),
        shifts=_numbers(table, "shifts", table.rows.get("shifts")),
        threshold=table.number("threshold"),
        evidence=table.text("evidence"),
        source=table.text("source"),
    )


def _numbers(table: Table, key: str, value: object, count: int | None = None) -> tuple[float, ...]:
    if not isinstance(value, list) or not all(isinstance(v, int | float) for v in value):
        raise table.wrong(key, "a list of numbers is needed")
    if count is not None and len(value) != count:
        raise table.wrong(key, f"{count} numbers are needed, one a horizon")
    return tuple(float(v) for v in value)
