"""Libraries in words: the table of the documentation, and calibrations as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.signatures.reading import DIRECTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from models.signatures.library import Calibration, Code, Evidence, Library, Mode

_WAYS: Final = {sign: word for word, sign in DIRECTIONS.items()}
_LEVELS: Final = {
    "last": "last working hour",
    "short": "at work",
    "long": "at work, over a day",
    "spread": "spread at work",
    "peak": "peak at work",
    "heating": "while heating",
    "rest": "at rest",
}


def document(libraries: Mapping[str, Library]) -> str:
    """Give the generated part of docs/signatures.md."""
    parts = [part for _, one in sorted(libraries.items()) for part in _family(one)]
    return "\n".join(parts).rstrip() + "\n"


def _family(library: Library) -> Iterable[str]:
    yield f"### {library.family}, version {library.version}"
    yield ""
    yield "| component | failure mode | shows in | codes | mean time between | source |"
    yield "|---|---|---|---|---|---|"
    for mode in library.modes:
        yield _row(mode)
    yield ""
    if library.features:
        yield "| feature | formula | looked at | source |"
        yield "|---|---|---|---|"
        for feature in library.features:
            yield (
                f"| `{feature.name}` | {feature.formula} of {_inputs(feature.inputs)} "
                f"| `{feature.channel}` | {feature.source} |"
            )
        yield ""


def _row(mode: Mode) -> str:
    shows = "<br>".join(told_evidence(e) for e in mode.evidence)
    codes = "<br>".join(told_code(c) for c in mode.codes) or "-"
    return (
        f"| {mode.component} | {mode.failure_mode} | {shows} | {codes} "
        f"| {mode.life_h:,.0f} h | {mode.source} |"
    )


def told_evidence(item: Evidence) -> str:
    """Give a piece of evidence in a few words.

    >>> from models.signatures.reading import shipped
    >>> told_evidence(shipped()["fdm_printer"].modes[0].evidence[0])
    '`hold_power` up, at work (9)'
    """
    limit = f" from {item.begins:g}" if item.absolute else ""
    way = _WAYS[item.direction]
    return f"`{item.subject}` {way}{limit}, {_LEVELS[item.level]} ({item.weight:g})"


def told_code(code: Code) -> str:
    """Give a code and its weight."""
    return f"`{code.code}` ({code.weight:g})"


def _inputs(inputs: Mapping[str, tuple[str, ...]]) -> str:
    return ", ".join(f"`{' or '.join(names)}`" for names in inputs.values())


def calibration_text(calibrations: Mapping[str, Calibration]) -> str:
    """Give calibrations as their file holds them."""
    head = (
        "# Fitted by `foremend signatures calibrate` to simulated fleets; not written by hand.\n"
        "# Rows of `hazards` belong to `knots`, columns to the horizons of 6, 12, 24 and 48 h.\n"
    )
    return head + "".join(
        f"\n[{family}]\n{_calibration(one)}" for family, one in sorted(calibrations.items())
    )


def _calibration(one: Calibration) -> str:
    rows = "".join(f"  {list(row)},\n" for row in one.hazards)
    return (
        f'source = "{one.source}"\n'
        f'evidence = "{one.evidence}"\n'
        f"threshold = {one.threshold}\n"
        f"knots = {list(one.knots)}\n"
        f"hazards = [\n{rows}]\n"
        f"shifts = {list(one.shifts)}\n"
    )
