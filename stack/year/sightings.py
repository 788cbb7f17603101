"""What telemetry shows of a fleet's devices as they go along: the signals of a repair's watch.

Only what devices say is looked at; nothing here asks the simulation what is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from field_service.verify import Signals
from foremend.clock import to_datetime, to_ms
from foremend.values import Phase, Severity

if TYPE_CHECKING:
    from field_service.values import Order
    from foremend.clock import Millis
    from models.scoring.entries import Anomaly, Hazard, Outputs
    from simulators.steps import SimEvent, Step

_GRAVE: Final = frozenset({Severity.ERROR, Severity.CRITICAL})
_AT_WORK: Final = (int(Phase.HEATING), int(Phase.RUNNING))


class Sightings:
    """Hours run, errors, anomalies and hazards of n devices."""

    def __init__(self, devices: int) -> None:
        self._ran_h = np.zeros(devices)
        self._ran_at_fit: dict[int, tuple[Millis, float]] = {}
        self._in_error = np.zeros(devices, dtype=np.bool_)
        self._down_since = np.zeros(devices, dtype=np.int64)
        self._errors: dict[tuple[int, str], Millis] = {}
        self._anomalies: dict[int, Anomaly] = {}
        self._hazards: dict[tuple[int, str], Hazard] = {}
        self._thresholds: dict[tuple[int, str], float] = {}

    def frame(self, step: Step, window_h: float) -> None:
        """Take one frame of every device, and its events."""
        self._ran_h[step.phase == Phase.RUNNING] += window_h
        self._in_error = step.phase == Phase.ERROR
        self._down_since[np.isin(step.phase, _AT_WORK)] = 0
        for event in step.events:
            if event.severity in _GRAVE:
                self._erred(event, step)

    def _erred(self, event: SimEvent, step: Step) -> None:
        device = event.device_index
        if event.component is not None:
            self._errors[device, event.component] = event.ts_ms
        if not self._down_since[device] and step.phase[device] not in _AT_WORK:
            self._down_since[device] = event.ts_ms

    def scored(self, out: Outputs) -> None:
        """Take what scoring said."""
        self._anomalies |= {a.device: a for a in out.anomalies if a.kind != "drift"}
        self._hazards |= {(h.device, h.component): h for h in out.hazards}
        for told in out.predictions:
            self._thresholds[told.hazard.device, told.hazard.component] = told.threshold

    def down_since(self, device: int) -> Millis | None:
        """Say when the error came since which a device has not run; None if it has."""
        return int(self._down_since[device]) or None

    def fitted(self, order_id: int, device: int, now_ms: Millis) -> None:
        """Note that an order's part went in now."""
        self._ran_at_fit[order_id] = (now_ms, float(self._ran_h[device]))

    def signals(self, order: Order) -> Signals:
        """Give what was seen since the order's part went in."""
        device, part = order.subject.device_id, order.subject.component
        fitted_ms, ran_before = self._ran_at_fit.get(order.id, (to_ms(order.state_at), 0.0))
        hazard = self._hazards.get((device, part))
        told = hazard is not None and hazard.abstained is None
        error_ms, odd = self._errors.get((device, part), 0), self._anomalies.get(device)
        return Signals(
            running_h=float(self._ran_h[device]) - ran_before,
            in_error=bool(self._in_error[device]),
            hazard=hazard.probability if hazard is not None and told else None,
            hazard_at=to_datetime(hazard.ts_ms) if hazard is not None and told else None,
            threshold=self._thresholds.get((device, part)),
            anomalous=odd is not None and odd.kind == "alarm" and odd.ts_ms > fitted_ms,
            failed_again_at=to_datetime(error_ms) if error_ms > fitted_ms else None,
        )
