from __future__ import annotations

import shutil
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from field_service.catalogue import Safety, load
from field_service.strategy import NEVER_BY_OWNERS
from foremend.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

VOCABULARY = {
    ("fdm_printer", "hotend_heater", "heater_degradation"): "HEAT-1",
    ("fdm_printer", "hotend_thermistor", "thermistor_drift"): "THERM-1",
    ("fdm_printer", "nozzle", "nozzle_clog"): "NOZ-1",
    ("fdm_printer", "part_fan", "fan_wear"): "FAN-1",
    ("fdm_printer", "hotend_fan", "fan_wear"): "FAN-2",
    ("fdm_printer", "belt_x", "belt_wear"): "BELT-1",
    ("fdm_printer", "psu", "supply_sag"): "PSU-1",
    ("fdm_printer", "hotend_thermistor", "thermistor_open"): "THERM-1",
    ("fdm_printer", "hotend_thermistor", "thermistor_short"): "THERM-1",
    ("fdm_printer", "mainboard", "thermal_runaway"): "BOARD-1",
    ("fdm_printer", "extruder_gear", "extruder_gear_wear"): "GEAR-1",
    ("fdm_printer", "bearing_x", "linear_bearing_wear"): "LBR-1",
    ("fdm_printer", "bed_mount", "bed_level_drift"): "BEDM-1",
    ("fdm_printer", "sd_card", "sd_read_errors"): "SDC-1",
    ("fdm_printer", "spool", "filament_runout"): "SPOOL-1",
    ("fdm_printer", "spool", "filament_tangle"): "SPOOL-1",
    ("rotating_machine", "bearing_de", "bearing_wear"): "BRG-1",
    ("rotating_machine", "coupling", "misalignment"): "CPL-1",
    ("rotating_machine", "impeller", "imbalance"): "IMP-1",
    ("rotating_machine", "seal", "seal_leak"): "SEAL-1",
    ("rotating_machine", "filter", "clogged_filter"): "FILT-1",
    ("rotating_machine", "foundation", "looseness"): "FND-1",
    ("rotating_machine", "gearbox", "gear_wear"): "GBX-1",
    ("rotating_machine", "motor", "overheating"): "MOT-1",
    ("hydraulic_excavator", "hydraulic_pump", "hydraulic_pump_wear"): "HPMP-1",
    ("hydraulic_excavator", "hydraulic_filter", "clogged_filter"): "HFLT-1",
    ("hydraulic_excavator", "radiator", "overheating"): "RADC-1",
    ("hydraulic_excavator", "oil_pump", "low_oil_pressure"): "OILP-1",
    ("hydraulic_excavator", "alternator", "supply_fault"): "ALT-1",
    ("hydraulic_excavator", "can_harness", "can_fault"): "CANH-1",
}


@pytest.mark.parametrize(("what", "kit"), VOCABULARY.items())
def test_every_failure_mode_of_the_vocabulary_has_its_kit(
    what: tuple[str, str, str], kit: str
) -> None:
    resolution = load().resolution(*what)
    assert resolution is not None
    assert resolution.kit.code == kit
    assert what[1] in resolution.kit.replaces
    assert resolution.kit.price_usd > 0
    assert resolution.kit.steps["en"]


def test_nothing_else_stands_in_the_catalogue() -> None:
    assert {r.kit.code for r in load().resolutions()} == set(VOCABULARY.values())


@pytest.mark.parametrize(
    ("kit", "safety"),
    [
        ("PSU-1", Safety.MAINS),
        ("MOT-1", Safety.MAINS),
        ("BOARD-1", Safety.THERMAL_RUNAWAY),
    ],
)
def test_mains_and_runaway_are_marked_so_that_no_owner_repairs_them(
    kit: str, safety: Safety
) -> None:
    known = load().by_kit(kit)
    assert known is not None
    assert known.kit.safety is safety
    assert safety in NEVER_BY_OWNERS


def test_one_kit_may_cure_several_failure_modes_and_is_stocked_once() -> None:
    codes = [kit.code for kit in load().kits()]
    assert len(codes) == len(set(codes)) < len(VOCABULARY)


def test_steps_are_as_many_in_each_language() -> None:
    for resolution in load().resolutions():
        assert len({len(lines) for lines in resolution.kit.steps.values()}) == 1
    fan = load().by_kit("FAN-2")
    assert fan is not None
    assert set(fan.kit.steps) == {"en", "de", "zh"}


def test_an_unknown_family_is_fixed_in_place_and_unknown_regions_are_the_default() -> None:
    family = load().family("azure")
    assert (family.family, family.portable, family.value_usd) == ("azure", False, 0)
    assert load().region("atlantis").name == "North America"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file in files("field_service.catalogue").iterdir():
        if file.name.endswith(".toml"):
            shutil.copy(str(file), tmp_path / file.name)
    return tmp_path


def test_a_folder_of_the_same_files_reads_the_same(folder: Path) -> None:
    assert load(folder) == load()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("fdm_printer.toml", 'code = "FAN-2"', 'code = "fan two"', r"resolution\[4\]\.kit\.code"),
        ("fdm_printer.toml", 'code = "FAN-2"', 'code = "FAN-1"', "FAN-1 names two kits"),
        (
            "fdm_printer.toml",
            'kit = "THERM-1"',
            'kit = "THERM-9"',
            "no kit of this file is THERM-9",
        ),
        ("fdm_printer.toml", "minutes = 20", "minutes = 0", r"kit\.minutes"),
        ("fdm_printer.toml", 'price_usd = "6.90"', 'price_usd = "-1"', "not below 0"),
        ("fdm_printer.toml", 'price_usd = "6.90"', 'price_usd = "NaN"', "not below 0"),
        ("fdm_printer.toml", 'safety = "mains"', 'safety = "fine"', r"kit\.safety"),
        ("fdm_printer.toml", "difficulty = 1", "dificulty = 1", "dificulty"),
        ("fdm_printer.toml", 'replaces = ["nozzle"]', 'replaces = ["x"]', "does not replace"),
        ("fdm_printer.toml", 'family = "fdm_printer"', "family = ", "not TOML"),
        ("regions.toml", 'currency = "USD"', 'currency = "dollars"', r"north_america\.currency"),
        ("regions.toml", "self_repair = 0.95", "self_repair = 0.5", r"north_america\.preference"),
        ("regions.toml", 'per_usd = "0.90"', 'per_usd = "0"', "per_usd must not be 0"),
        ("regions.toml", "[north_america]", "[south_america]", "default region"),
        ("strategies.toml", "[swap]", "[swop]", "swop"),
        ("strategies.toml", "worth = 12", "worth = 0", "worth"),
    ],
)
def test_an_error_names_its_file_and_field(
    folder: Path, file: str, old: str, new: str, says: str
) -> None:
    path = folder / file
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(InputError, match=says) as error:
        load(folder)
    assert error.value.file == file


def test_a_failure_mode_that_stands_twice_is_named(folder: Path) -> None:
    path = folder / "fdm_printer.toml"
    text = path.read_text("utf-8")
    for name in ("component = ", "replaces = ["):
        text = text.replace(f'{name}"part_fan"', f'{name}"hotend_fan"')
    path.write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"resolution\[4\]: hotend_fan/fan_wear stands here twice"):
        load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "regions.toml").unlink()
    with pytest.raises(InputError, match=r"regions\.toml: the file is missing"):
        load(folder)
