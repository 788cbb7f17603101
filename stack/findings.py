"""Findings of work orders as training reads them: when lives of parts ended, and how."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from foremend.clock import HOUR_MS, to_ms
from models.history import Findings, Found, Marks
from models.stored import marks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from field_service.labels import Label
    from foremend.clock import Millis

SAME_VISIT_MS: Final = 48 * HOUR_MS
"""A replacement so near to a finding is the same visit: reports are written afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of parts: findings, every replacement, and what was counted."""

    findings: Findings
    replacements: Marks
    counts: Mapping[str, int]
    """Labels by what they say: failed, degraded, censored, looked_at, unplaced."""
    failure_modes: tuple[tuple[str, str], ...]
    """What each component's failure is called, the commonest name where there are several."""

    @property
    def failures(self) -> int:
        """Lives that ended with a failure."""
        return len(self.findings.ts_ms)


def known(
    labels: Sequence[Label],
    replaced: Marks,
    *,
    devices: Sequence[int],
    components: Sequence[str],
    since_ms: Millis,
) -> Known:
    """Join findings with what devices said of replacements.

    A part found failed or degraded counts alike as a failure: the order that took it out was right,
    and thresholds must not be taught that it was false. It ended at the replacement that the device
    told of, if there was one on that visit, for what ran afterwards was the new part. A repair that
    no device told of ends a life all the same.
    """
    places = {number: i for i, number in enumerate(devices)}
    parts = {name: i for i, name in enumerate(components)}
    swaps = _by_part(replaced)
    failed: list[tuple[int, int, int, int]] = []
    mended: list[tuple[int, int, int]] = []
    for label in _placed(labels, places, parts, since_ms):
        device, part = places[label.device_id], parts[label.component]
        found_ms = to_ms(label.occurred_at)
        visit = [ts for ts in swaps[device, part] if abs(ts - found_ms) <= SAME_VISIT_MS]
        ended_ms = max((ts for ts in visit if ts <= found_ms), default=found_ms)
        if label.failed:
            failed.append((device, ended_ms, part, max(to_ms(label.known_at), ended_ms)))
        if not visit and (label.failed or label.replaced):
            mended.append((device, ended_ms, part))
    return Known(
        findings=_findings(failed),
        replacements=_joined(replaced, marks(mended)),
        counts=_counts(labels, places, parts, since_ms),
        failure_modes=_modes(labels),
    )


def _placed(
    labels: Sequence[Label], places: Mapping[int, int], parts: Mapping[str, int], since_ms: Millis
) -> list[Label]:
    return [
        one
        for one in labels
        if one.device_id in places and one.component in parts and to_ms(one.occurred_at) > since_ms
    ]


def _by_part(replaced: Marks) -> defaultdict[tuple[int, int], list[int]]:
    found: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for device, ts_ms, part in zip(replaced.device, replaced.ts_ms, replaced.what, strict=True):
        found[int(device), int(part)].append(int(ts_ms))
    return found


def _findings(failed: Sequence[tuple[int, int, int, int]]) -> Findings:
    told = np.array(sorted(set(failed), key=lambda f: (f[1], f)), dtype=np.int64).reshape(-1, 4)
    return Findings(
        device=told[:, 0],
        ts_ms=told[:, 1],
        what=told[:, 2],
        condition=np.full(len(told), int(Found.FAILED), dtype=np.int64),
        known_ms=told[:, 3],
    )


def _joined(one: Marks, other: Marks) -> Marks:
    return Marks.of(*(np.r_[getattr(one, n), getattr(other, n)] for n in Marks.__slots__))


def _counts(
    labels: Sequence[Label], places: Mapping[int, int], parts: Mapping[str, int], since_ms: Millis
) -> dict[str, int]:
    placed = _placed(labels, places, parts, since_ms)
    counted = Counter(
        label.as_found.value if label.failed else "censored" if label.censored else "looked_at"
        for label in placed
    )
    return dict(sorted(counted.items())) | {"unplaced": len(labels) - len(placed)}


def _modes(labels: Sequence[Label]) -> tuple[tuple[str, str], ...]:
    by_part: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        if label.failed:
            by_part[label.component][label.failure_mode] += 1
    return tuple(
        (part, min(names, key=lambda name: (-names[name], name)))
        for part, names in sorted(by_part.items())
    )
