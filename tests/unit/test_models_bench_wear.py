"""The benches of failures and of speed count what they say they count."""

from pathlib import Path

import numpy as np

from models.bench import service_figures
from models.bench.ai4i import Runs, cross_validated, runs_of
from models.tables.reading import read_table

HEADER = (
    "UDI,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],"
    "Torque [Nm],Tool wear [min],Machine failure,TWF,HDF,PWF,OSF,RNF"
)


def a_table(path: Path, runs: int, *, noise: bool = False) -> Path:
    """Runs that fail of too much power, or of heat that cannot flow off; or by chance alone."""
    rng = np.random.default_rng(3)
    lines = [HEADER]
    for run in range(runs):
        air = rng.normal(300, 1)
        process = air + rng.uniform(7.0, 12.0)
        speed, torque = rng.uniform(1200, 2800), rng.uniform(20, 60)
        power = torque * speed * 2 * np.pi / 60 > 9500
        heat = process - air < 7.6
        if noise:
            power, heat = rng.random() < 0.1, rng.random() < 0.1
        cells = [run, "L", air, process, speed, torque, rng.uniform(0, 200)]
        flags = [power or heat, False, heat, power, False, False]
        lines.append(",".join(str(cell) for cell in [*cells, *(int(flag) for flag in flags)]))
    path.write_text("\n".join(lines))
    return path


def test_failures_with_a_physical_cause_are_found_with_their_mode(tmp_path: Path) -> None:
    runs = runs_of(read_table(a_table(tmp_path / "runs.csv", 600)))
    found = cross_validated(runs, seed=1, folds=2)
    assert found.f1 > 0.85
    assert found.right_mode_percent > 95.0
    assert found.found <= found.failures


def test_failures_without_a_cause_are_not_found(tmp_path: Path) -> None:
    runs = runs_of(read_table(a_table(tmp_path / "runs.csv", 300, noise=True)))
    assert cross_validated(runs, seed=1, folds=2).f1 < 0.5


def test_a_failure_without_a_recorded_mode_is_counted_apart() -> None:
    x = np.repeat([[0.0], [1.0]], 100, axis=0)
    failed = x[:, 0] > 0
    modes = np.zeros((200, 4), np.bool_)
    found = cross_validated(Runs(x=x, failed=failed, modes=modes), seed=1, folds=2)
    assert found.found == found.found_without_recorded_mode == 100
    assert found.f1 == 1.0


def test_the_service_is_measured_in_both_its_parts() -> None:
    found = service_figures(devices=8, channels=3)
    whole = 1 / found.service_channel_values_per_s
    parts = 1 / found.service_decoded_per_s + 1 / found.service_scored_per_s
    assert whole > 0
    assert abs(whole - parts) < 1e-9
