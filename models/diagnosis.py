"""Why a component is expected to fail: ranked reasons as codes with parameters, never prose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from models import deviations, evidence
from models.features.spec import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.failure import FailureModel

    Floats = NDArray[np.float64]

CODE_UNIT = 5.0
"""Log-likelihood ratio of an error code that counts like telemetry fully in line with failures."""
AGE_UNIT = 0.2
"""Weight of an age beyond every known failure's."""
SLIGHT = 0.05
"""Reasons below this are left out."""


class ReasonKind(Enum):
    """What a reason speaks of."""

    CHANNEL = "channel_deviates"
    FEATURE = "feature_deviates"
    CODE = "error_code"
    AGE = "component_age"
    HAND_OVER = "hand_over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason. `subject` is a channel, a feature, an error code or a component; `weight` ranks.

    Parameters of CHANNEL: level, now, usual (the channel's unit), sigmas, change_percent; of
    FEATURE likewise, with channel (the one to look at) and unit; of CODE: count_day, hours_ago; of
    AGE: age_h, percentile (share of known failures at a lower age, in %); of HAND_OVER (a signature
    library and a learnt model spoke together): labels, share (of the learnt model), signature,
    learnt (each one's probability) and library. Reasons of a library also tell their source.
    A parameter that is not known is left out.
    """

    kind: ReasonKind
    subject: str
    weight: float
    parameters: dict[str, float | str]

    def short(self) -> str:
        """Return a compact form for a cell of a file, such as `channel_deviates:volt:+12%`."""
        keys = {"channel_deviates": "change_percent", "error_code": "hours_ago"}
        value = self.parameters.get(keys.get(self.kind.value, "age_h"))
        if not isinstance(value, float):
            return f"{self.kind.value}:{self.subject}"
        unit = "%" if self.kind is ReasonKind.CHANNEL else "h"
        shown = f"{value:+.0f}" if self.kind is ReasonKind.CHANNEL else f"{value:.0f}"
        return f"{self.kind.value}:{self.subject}:{shown}{unit}"


def reasons(
    model: FailureModel, values: NDArray[np.float32], *, component: int, top: int = 5
) -> tuple[Reason, ...]:
    """Return the reasons for one feature row [f] and one component, the strongest first."""
    row = values[None, :]
    compared = deviations.compare(model.spec, model.prior, row)
    seen = evidence.sight(model.spec, compared, row)
    found = [
        *_channels(model, compared, seen, component),
        *_codes(model, seen, row, component),
        *_age(model, seen, component),
    ]
    ranked = sorted(found, key=lambda r: (-r.weight, r.kind.value, r.subject))
    return tuple(r for r in ranked[:top] if r.weight >= SLIGHT)


def _channels(
    model: FailureModel, compared: deviations.Compared, seen: evidence.Sighted, k: int
) -> list[Reason]:
    share = evidence.matches(model.signatures, seen, k)[0]
    share = share.reshape(evidence.VIEWS, len(LEVELS), -1).sum(axis=0)
    if not model.signatures.weight[k].any():
        share = np.abs(np.nan_to_num(compared.z[0])) / (2 * deviations.LIMIT)
    return [
        Reason(
            kind=ReasonKind.CHANNEL,
            subject=name,
            weight=float(share[:, j].sum()),
            parameters=_channel_parameters(compared, int(np.argmax(share[:, j])), j),
        )
        for j, name in enumerate(model.spec.channels)
    ]


def _channel_parameters(
    compared: deviations.Compared, level: int, j: int
) -> dict[str, float | str]:
    now, usual = float(compared.now[0, level, j]), float(compared.usual[0, level, j])
    told: dict[str, float | str] = {
        "level": LEVELS[level],
        "now": now,
        "usual": usual,
        "sigmas": float(compared.z[0, level, j]),
    }
    if abs(usual) > 1e-9:  # noqa: PLR2004 - no share of nothing
        told["change_percent"] = 100.0 * (now - usual) / abs(usual)
    return {name: v for name, v in told.items() if isinstance(v, str) or np.isfinite(v)}


def _codes(
    model: FailureModel, seen: evidence.Sighted, row: NDArray[np.float32], k: int
) -> list[Reason]:
    ratio = evidence.code_ratios(model.signatures, seen, k)[0]
    counts = row[0, model.spec.parts["count_day"]]
    names = (*model.spec.codes, "*")
    return [
        Reason(
            kind=ReasonKind.CODE,
            subject=names[q],
            weight=float(ratio[q]) / CODE_UNIT,
            parameters={
                "count_day": float(counts[q]),
                "hours_ago": float(seen.hours_since[0, q]),
            },
        )
        for q in np.flatnonzero(seen.heard[0])
    ]


def _age(model: FailureModel, seen: evidence.Sighted, k: int) -> list[Reason]:
    age, known = float(seen.age_h[0, k]), model.signatures.ages_h[k]
    if not np.isfinite(age) or len(known) == 0:
        return []
    percentile = 100.0 * float(np.searchsorted(known, age, side="right")) / len(known)
    return [
        Reason(
            kind=ReasonKind.AGE,
            subject=model.spec.components[k],
            weight=AGE_UNIT * percentile / 100.0,
            parameters={"age_h": age, "percentile": percentile},
        )
    ]
