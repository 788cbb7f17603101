"""What the fleet scorer costs, as ratios measured in one run."""

from models.bench import figures


def test_a_fleet_costs_a_fraction_of_a_detector_per_channel() -> None:
    measured = figures(devices=500, seconds=0.3)
    assert measured.ratio_river_hst > 10
    assert measured.bytes_per_device < 4096
