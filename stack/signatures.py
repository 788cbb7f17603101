"""Signature libraries as a command: which there are, what they say, and fitting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from foremend.errors import NotFound
from models.signatures import SignatureModel, calibrating, shipped
from models.signatures.reading import libraries_in
from models.signatures.writing import told_code, told_evidence
from simulators.histories import histories
from stack.fleet.world import STEP_S
from stack.histories import as_history, found_modes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from models.signatures.calibrating import Judged
    from models.signatures.library import Library, Mode

FIT_SEEDS: Final = (9001, 9002)
HELD_SEEDS: Final = (9003, 9004)
"""Units whose orders set the threshold; no odds were fitted to them."""
DAYS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """How many simulated devices of each family stand for a seed."""

    printers: int = 200
    machines: int = 100
    excavators: int = 100


def known(data_dir: Path) -> dict[str, Library]:
    """Give every library in force: those that ship, and over them those of the data folder."""
    return {**shipped(), **libraries_in(data_dir / "signatures")}


def find(data_dir: Path, family: str) -> Library:
    """Give one family's library.

    Raises:
        NotFound: there is none.
    """
    libraries = known(data_dir)
    if family not in libraries:
        raise NotFound(f"no signature library of {family}: there are {', '.join(libraries)}")
    return libraries[family]


def summary(library: Library) -> dict[str, Any]:
    """Give a library in one line's worth."""
    return {
        "family": library.family,
        "name": library.name,
        "modes": len(library.modes),
        "features": len(library.features),
        "calibrated": library.calibrated,
        "order_threshold": SignatureModel(library=library).threshold,
    }


def shown(library: Library, component: str | None) -> list[str]:
    """Give what a library says, mode by mode, as a person would read it.

    Raises:
        NotFound: it knows no such component.
    """
    modes = [m for m in library.modes if component in {None, m.component}]
    if not modes:
        names = ", ".join(library.components)
        raise NotFound(f"{library.family} knows no {component}: it knows {names}")
    return [line for mode in modes for line in _mode_lines(mode)]


def _mode_lines(mode: Mode) -> Iterable[str]:
    yield f"{mode.component}: {mode.failure_mode}, every {mode.life_h:,.0f} h of operation"
    yield f"  {mode.source}"
    for item in mode.evidence:
        yield f"  {told_evidence(item)}: {item.source}"
    for code in mode.codes:
        yield f"  code {told_code(code)}: {code.source}"


def calibrated(
    libraries: Sequence[Library],
    units: Units,
    tell: Callable[[str], None],
    *,
    fit: Sequence[int] = FIT_SEEDS,
    held: Sequence[int] = HELD_SEEDS,
) -> list[Library]:
    """Fit libraries to simulated fleets of these seeds; those of no simulated family stay out."""
    weighed = {seed: _weighed(libraries, seed, units, tell) for seed in (*fit, *held)}
    source = (
        f"simulated fleets, {DAYS:g} days each, of seeds {_listed(fit)} for the odds "
        f"and {_listed(held)} for the threshold"
    )
    done = []
    for library in libraries:
        if library.family not in weighed[fit[0]]:
            tell(f"{library.family}: no simulator, left as it is")
            continue
        mine = {seed: by_family[library.family] for seed, by_family in weighed.items()}
        told = calibrating.fitted(library, [mine[s] for s in fit], [mine[s] for s in held], source)
        tell(f"{library.family}: orders open from {SignatureModel(library=told).threshold:.2f} on")
        done.append(told)
    return done


def figures(
    libraries: Sequence[Library], seed: int, units: Units, tell: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Judge libraries on simulated fleets of a seed that nothing was fitted to, by family.

    Precision and recall of orders (right within `calibrating.RIGHT_WITHIN_H`), hours of lead, and
    the Brier score of probabilities at the order horizon beside that of knowing the rate alone.
    """
    by_family = {library.family: SignatureModel(library=library) for library in libraries}
    return {
        family: _figures(by_family[family], one)
        for family, one in _weighed(libraries, seed, units, tell).items()
    }


def _figures(model: SignatureModel, one: Judged) -> dict[str, Any]:
    told = calibrating.orders_judged(model, one, model.threshold)
    brier, rate = calibrating.brier(model, one)
    return {
        "orders": told.orders,
        "true_orders": told.true_orders,
        "precision": round(told.precision.value, 3),
        "precision_interval": [round(told.precision.low, 3), round(told.precision.high, 3)],
        "failures": told.failures,
        "foreseen": told.foreseen,
        "recall": round(told.event_recall.value, 3),
        "median_lead_h": round(told.median_lead_h, 1),
        "wrong_components": told.wrong_components,
        "brier": round(brier, 5),
        "brier_of_rate": round(rate * (1.0 - rate), 5),
    }


def _listed(seeds: Sequence[int]) -> str:
    return " and ".join(str(seed) for seed in seeds)


def _weighed(
    libraries: Sequence[Library], seed: int, units: Units, tell: Callable[[str], None]
) -> Mapping[str, Judged]:
    by_family = {library.family: library for library in libraries}
    found: dict[str, Judged] = {}
    for simulated in histories(
        seed,
        printers=units.printers,
        machines=units.machines,
        excavators=units.excavators,
        days=DAYS,
        step_s=STEP_S,
    ):
        tell(f"seed {seed}: {len(simulated.names)} of {simulated.family}")
        library = by_family.get(simulated.family)
        if library is not None:
            found[simulated.family] = calibrating.judged(
                library, as_history(simulated), found_modes(simulated), simulated.model
            )
    return found
