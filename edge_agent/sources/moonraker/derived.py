"""What takes several of Klipper's words to tell; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_agent.sources.moonraker.status import Status

READY: Final = "ready"
STATE: Final = "printer.state"
_OVER_TEMPERATURE: Final = ("ot", "otpw")
"""Bits of a Trinamic driver's DRV_STATUS: switched off, or about to be, for heat."""


def derive(status: Status) -> dict[str, object]:
    """Give the derived paths.

    `printer.state`: Klipper's own state while it is not ready, else that of the print.
    `bed_mesh.range`: highest less lowest point, mm. `bed_mesh.tilt`: slope of the plane that fits
    best, mm/m. `tmc.over_temperature`: whether any driver that is enabled warns of its heat.
    """
    mesh = status.objects.get("bed_mesh", {})
    points = grid(mesh.get("probed_matrix"), mesh.get("mesh_min"), mesh.get("mesh_max"))
    heights = [z for _, _, z in points]
    return {
        STATE: state_of(status),
        "bed_mesh.range": max(heights) - min(heights) if heights else None,
        "bed_mesh.tilt": tilt_mm_m(points),
        "tmc.over_temperature": _over_temperature(
            fields.get("drv_status") for fields in status.of("tmc")
        ),
    }


def state_of(status: Status) -> str | None:
    """Give Klipper's own state while it is not ready, else that of the print."""
    own = status.field("webhooks", "state")
    told = status.field("print_stats", "state") if own in (READY, None) else own
    return None if told is None else str(told)


def grid(matrix: object, low: object, high: object) -> list[tuple[float, float, float]]:
    """Give a probed mesh as points (x, y, z) in mm; none where it is no mesh of numbers.

    Rows go along x, the first at the least y (docs/Bed_Mesh.md of Klipper).
    """
    try:
        rows = [[float(z) for z in row] for row in matrix]  # type: ignore[attr-defined]
        (x0, y0), (x1, y1) = _corner(low), _corner(high)
    except (TypeError, ValueError):
        return []
    if len({len(row) for row in rows}) != 1:
        return []
    points = [
        (_along(x0, x1, i, len(row)), _along(y0, y1, j, len(rows)), z)
        for j, row in enumerate(rows)
        for i, z in enumerate(row)
    ]
    return points if all(math.isfinite(v) for point in points for v in point) else []


def _corner(told: Any) -> tuple[float, float]:  # noqa: ANN401 - whatever the printer says
    x, y = told
    return float(x), float(y)


def _along(start: float, end: float, place: int, count: int) -> float:
    return start if count == 1 else start + (end - start) * place / (count - 1)


def tilt_mm_m(points: Sequence[tuple[float, float, float]]) -> float | None:
    """Give the slope of the plane through the points, least squares, in mm/m.

    On a full grid x and y do not depend on one another, so each slope stands alone.

    >>> tilt_mm_m([(0, 0, 0.0), (100, 0, 0.3), (0, 100, 0.4), (100, 100, 0.7)])
    5.0
    """
    slopes = [_slope([p[axis] for p in points], [p[2] for p in points]) for axis in (0, 1)]
    known = [slope for slope in slopes if slope is not None]
    return round(1000 * math.hypot(*known), 6) if known else None


def _slope(along: list[float], z: list[float]) -> float | None:
    middle = math.fsum(along) / len(along) if along else 0.0
    spread = math.fsum((a - middle) ** 2 for a in along)
    if spread <= 0:
        return None
    return math.fsum((a - middle) * b for a, b in zip(along, z, strict=True)) / spread


def _over_temperature(drivers: Iterable[object]) -> bool | None:
    """Only bits that are set are told; None while no driver is enabled."""
    told = [status for status in drivers if isinstance(status, dict)]
    if not told:
        return None
    return any(status.get(bit) for status in told for bit in _OVER_TEMPERATURE)
