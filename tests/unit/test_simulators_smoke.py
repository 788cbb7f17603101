from simulators.fleets import PrinterFleet


def test_a_fleet_steps() -> None:
    fleet = PrinterFleet(names=["printer-01", "printer-02"], seed=7)

    step = fleet.step()

    assert step.values.shape == (2, len(fleet.channels))
