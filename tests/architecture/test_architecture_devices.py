"""A page about devices shows its mapping as the agent ships it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_agent.config import read_config
from edge_agent.live.mapping import Mapped, Mapping, load, shipped
from edge_agent.live.table import MARKED, renewed, table
from simulators import specs

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "devices").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_and_its_mapping_say_the_same(page: Path) -> None:
    written = page.read_text("utf-8")
    assert renewed(written) == written, f"run python -m edge_agent.live.table {page}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_marker_is_closed(page: Path) -> None:
    written = page.read_text("utf-8")
    assert written.count("<!-- mapping:") == len(MARKED.findall(written))


def test_every_shipped_mapping_stands_on_a_page() -> None:
    shown = {found["name"] for page in PAGES for found in MARKED.finditer(page.read_text("utf-8"))}
    assert set(shipped()) <= shown


@pytest.mark.parametrize("name", shipped())
def test_a_channel_speaks_of_the_part_that_simulations_and_kits_call_so(name: str) -> None:
    mapping = load(name)
    simulated = {spec.family: spec for spec in map(specs.load, ("printer", "machine", "excavator"))}
    spec = simulated.get(mapping.family)
    known = {} if spec is None else {channel.name: channel.component for channel in spec.channels}

    strayed = {
        channel.name: (channel.component, known[channel.name])
        for channel in mapping.channels
        if known.get(channel.name) not in {None, channel.component}
    }

    assert strayed == {}


def test_a_table_tells_all_that_is_made_of_a_word() -> None:
    temp = Mapped(
        name="temp", path="a|b", unit="Cel", scale=0.1, offset=-40, low=-40, words={"cold": 0}
    )
    (row,) = [
        line
        for line in table(Mapping(family="f", model="m", source="s", channels=(temp,))).split("\n")
        if "temp" in line
    ]
    assert row == "| `temp` | Cel | `a\\|b` | x 0.1 -40; cold = 0 | -40 to |  |"


def examples(page: str) -> list[str]:
    return re.findall(
        r"```toml\n(.*?)```", (ROOT / "docs" / "devices" / page).read_text(), re.DOTALL
    )


def test_the_whole_configuration_and_the_mapping_on_the_first_page_are_taken(
    tmp_path: Path,
) -> None:
    whole, _, mapping = examples("README.md")
    (tmp_path / "agent.toml").write_text(whole)
    (tmp_path / "press.toml").write_text(mapping)

    assert read_config(tmp_path / "agent.toml").agent.device == "voron"
    assert load(str(tmp_path / "press.toml")).model == "Press 7"
