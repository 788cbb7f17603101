"""Signature libraries are data: what ships is whole, and a wrong file is told where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from foremend.errors import InputError
from models.features.spec import LEVELS
from models.signatures import SignatureModel, read_library, shipped
from models.signatures.physics import FORMULAS
from models.signatures.writing import document
from simulators import specs
from stack.cli import app

ROOT = Path(__file__).parents[2]
FAMILIES = {
    "fdm_printer": "printer",
    "rotating_machine": "machine",
    "hydraulic_excavator": "excavator",
}
GOOD = """\
family = "kettle"
version = 3

[[features]]
name = "rise"
formula = "difference"
channel = "heat"
inputs = { value = "heat", base = ["room", "yard"] }
constants = {}
unit = "K"
source = "a thermometer"

[[modes]]
component = "coil"
failure_mode = "burnt_out"
life_h = 900
source = "a bench"
evidence = [
  { subject = "rise", direction = "down", weight = 4, spread = 1.0, source = "a bench" },
  { subject = "hum", phase = "rest", direction = "up", weight = 2, spread = 1, source = "an ear" },
]
codes = [
  { code = "E7", weight = 3, source = "the manual" },
]
"""


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        path = tmp_path / "kettle.toml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.mark.parametrize("family", FAMILIES)
def test_a_library_knows_every_failure_mode_of_its_simulator(family: str) -> None:
    known = {(m.component, m.failure_mode) for m in shipped()[family].modes}
    parts = specs.load(FAMILIES[family]).parts
    assert known == {(m.component, m.failure_mode) for part in parts for m in part.modes}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_library_knows_the_codes_that_its_simulator_says_before_and_at_a_failure(
    family: str,
) -> None:
    codes = {(m.component, m.failure_mode): m.codes for m in shipped()[family].modes}
    for part in specs.load(FAMILIES[family]).parts:
        for mode in part.modes:
            told = {c.code for c in codes[mode.component, mode.failure_mode]}
            assert mode.failure_code in told


@pytest.mark.parametrize("family", FAMILIES)
def test_a_library_looks_at_channels_that_its_simulator_has(family: str) -> None:
    model = SignatureModel(library=shipped()[family])
    assert set(model.channels) <= {c.name for c in specs.load(FAMILIES[family]).channels}


@pytest.mark.parametrize("library", shipped().values(), ids=lambda one: one.family)
def test_what_ships_is_calibrated_for_the_evidence_that_it_holds(library: Any) -> None:
    assert library.calibrated
    assert 0.3 <= SignatureModel(library=library).threshold < 1.0
    assert len(library.calibration.shifts) == len(library.modes)


@pytest.mark.parametrize("library", shipped().values(), ids=lambda one: one.family)
def test_every_figure_names_its_source(library: Any) -> None:
    told = [*library.features, *library.modes]
    told += [one for m in library.modes for one in (*m.evidence, *m.codes)]
    assert all(len(one.source) > 10 for one in told)


def test_the_page_shows_what_the_data_say() -> None:
    page = (ROOT / "docs" / "signatures.md").read_text("utf-8")
    _, _, rest = page.partition("<!-- generated: foremend signatures table -->\n")
    generated, _, _ = rest.partition("<!-- end -->")
    assert generated.strip() == document(shipped()).strip()


def test_a_good_file_is_read(written: Any) -> None:
    library = read_library(written(GOOD))
    assert (library.family, library.version, library.components) == ("kettle", 3, ("coil",))
    assert library.subjects == ("rise", "hum")
    assert library.channel_of("rise") == "heat"
    assert library.features[0].inputs["base"] == ("room", "yard")
    assert library.modes[0].evidence[1].level == "rest"
    assert not library.calibrated


def test_a_library_without_a_calibration_opens_no_order(written: Any) -> None:
    assert SignatureModel(library=read_library(written(GOOD))).threshold == 1.0


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "says"),
    [
        ('family = "kettle"', "", None, "family", "is missing"),
        ("version = 3", 'version = "three"', 2, "version", "not a number"),
        ('"difference"', '"diference"', 6, "features.formula", "none of ratio"),
        ("{ value =", "{ valeu =", 8, "features.inputs", "needs value, base"),
        ("constants = {}", "constants = { a = 1 }", 9, "features.constants", "needs none"),
        ("life_h = 900", "life_h = -1", 16, "modes.life_h", "not at least 1"),
        ('"down", weight', '"downward", weight', 19, "modes.evidence.direction", "none of up"),
        ("weight = 4", "weight = true", 19, "modes.evidence.weight", "not a number"),
        ('phase = "rest"', 'phase = "nap"', 20, "modes.evidence.phase", "none of work"),
        ("weight = 2, spread = 1,", "weight = 2,", 20, "modes.evidence.spread", "what is usual"),
        ("spread = 1.0", "spred = 1.0", 19, "modes.evidence.spred", "is not known here"),
        ('{ code = "E7", weight = 3', '{ code = "E7"', 23, "modes.codes.weight", "is missing"),
        ("codes = [", "kodes = [", 22, "modes.kodes", "is not known here"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_field(
    written: Any, old: str, new: str, line: int | None, field: str, says: str
) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(InputError, match=says) as refused:
        read_library(written(GOOD.replace(old, new)))
    assert (refused.value.line, refused.value.field) == (line, field)


def test_bad_toml_is_told_by_line(written: Any) -> None:
    with pytest.raises(InputError) as refused:
        read_library(written(GOOD.replace("version = 3", "version = = 3")))
    assert refused.value.line == 2


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_library(tmp_path / "none.toml")


def test_one_mode_may_not_stand_twice(written: Any) -> None:
    _, mark, mode = GOOD.partition("[[modes]]")
    with pytest.raises(InputError, match="coil/burnt_out stands here twice") as refused:
        read_library(written(GOOD + mark + mode))
    assert refused.value.line == 25


@given(st.sampled_from(GOOD.splitlines()), st.text(max_size=12))
def test_no_line_makes_the_reader_break(line: str, text: str) -> None:
    broken = GOOD.replace(line, text, 1)
    from models.signatures import reading  # noqa: PLC0415 - its inner function alone is asked
    from models.signatures.fields import Table  # noqa: PLC0415
    from models.signatures.locating import Lines  # noqa: PLC0415

    try:
        rows = reading.tomllib.loads(broken)
    except reading.tomllib.TOMLDecodeError:
        return
    refusals: list[InputError] = []
    try:
        reading._library(Table("kettle.toml", Lines(broken.splitlines()), (), rows))
    except InputError as error:
        refusals.append(error)
    assert all(error.field for error in refusals)


def test_the_fingerprint_changes_with_the_evidence_and_not_with_the_comments(
    written: Any,
) -> None:
    one = read_library(written(GOOD)).fingerprint
    same = read_library(written("# a remark\n" + GOOD)).fingerprint
    other = read_library(written(GOOD.replace("weight = 4", "weight = 5"))).fingerprint
    assert one == same != other


def test_every_formula_is_used_by_some_library() -> None:
    used = {f.formula for library in shipped().values() for f in library.features}
    assert used == set(FORMULAS)


def test_levels_of_evidence_are_levels_of_features() -> None:
    told = {e.level for one in shipped().values() for m in one.modes for e in m.evidence}
    assert told <= set(LEVELS)


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["signatures", *words])


def test_the_command_lists_what_is_in_force(written: Any) -> None:
    own = written(GOOD)
    (own.parent / "signatures").mkdir()
    own.rename(own.parent / "signatures" / own.name)
    lines = run("list", "--data-dir", str(own.parent)).stdout.splitlines()
    assert len(lines) == 4
    assert any("kettle:3" in line and "opens no order" in line for line in lines)


def test_the_command_shows_a_component_with_its_sources() -> None:
    told = run("show", "fdm_printer", "nozzle").stdout
    assert "nozzle: nozzle_clog" in told
    assert "back pressure" in told
    assert "hotend_fan" not in told


def test_the_command_says_what_it_does_not_know() -> None:
    assert "it knows" in str(run("show", "fdm_printer", "wheel").exception)
    assert "there are" in str(run("show", "submarine").exception)


def test_the_command_validates_a_file(written: Any) -> None:
    told = run("validate", str(written(GOOD)))
    assert "kettle, 1 modes, 1 features, all well" in told.stdout
    assert "foremend signatures calibrate" in told.stdout


def test_the_command_names_what_is_wrong_with_a_file(written: Any) -> None:
    path = written(GOOD.replace("life_h = 900", "life_h = 0"))
    assert str(run("validate", str(path)).exception).startswith(f"{path}:16: modes.life_h:")
