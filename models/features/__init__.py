"""Features of the failure model: one causal, online state for a cohort, the same code offline.

A **cohort** is one device family with one list of channel names. A `FeatureState` holds one small
record per device (a NumPy structured array, under 4 KiB at 10 channels) and is fed with what was
logged about its devices, in each device's own order::

    spec = FeatureSpec(family="fdm_printer", channels=("hotend_temp", ...),
                       components=("hotend_fan", ...), codes=("E31", ...))
    state = FeatureState(spec, devices=300)
    rows = state.observe_frames(device, ts_ms, phase, values)     # [n], [n], [n], [n, c]
    rows = state.observe_frames(..., score)                       # [n], from the fleet scorer
    rows = state.observe_events(device, ts_ms, code)              # indices into spec.codes
    rows = state.observe_replacements(device, ts_ms, component)   # indices into spec.components
    state.observe_installs(device, component, installed_ms)       # from a birth; emits nothing
    rows = state.advance(device, now_ms)                          # "all up to now has been logged"

Each `observe_*` and `advance` returns the `Rows` that became due: `Rows(device[m], ts_ms[m],
values[m, f])`, one per device and evaluation boundary (a multiple of `spec.step_ms`), holding only
what was known at or before that boundary. The row of boundary B is due once an input of that device
lies strictly after B, because until then more may come that is dated B. `spec.columns` names the
values; a missing value is NaN. `state.grow(devices)` makes room for new devices, whose index is the
caller's business; `state.snapshot(i) -> bytes` and `state.restore(i, bytes)` move one record.

The record of a device depends on that device's inputs and their order, never on how they were
batched or on its neighbours. Nothing here is trained: deviations against the device's own baseline,
blended with what a cohort taught, are taken by the model (`models.deviations`), so that a row means
the same to every model version. No hour of day, by choice.

The model's side::

    model = FailureModel.load(payload)            # payload verified by models.registry first
    forecast = model.predict(rows.values)         # Forecast: cumulative[m, k, h], abstained[m, k]
    band = time_to_failure(forecast.cumulative, model.horizons_h)        # hours p10, p50, p90
    due = model.alarms(forecast)                  # bool[m, k]: probability over its threshold
    why = diagnosis.reasons(model, rows.values[i], component=k)          # ranked Reason values
"""

from models.features.spec import FeatureSpec, Phase, Rows, no_rows
from models.features.state import FeatureState

__all__ = ["FeatureSpec", "FeatureState", "Phase", "Rows", "no_rows"]
