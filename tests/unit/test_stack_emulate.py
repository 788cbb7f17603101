"""What `foremend emulate` says to a mistake on its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from foremend.errors import ConfigurationError
from stack.cli import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("printer", ["klippy", "bambu"])
def test_a_part_that_a_printer_has_not_is_answered_by_those_it_has(printer: str) -> None:
    refused = CliRunner().invoke(app, ["emulate", printer, "--fault", "gearbox"]).exception

    assert isinstance(refused, ConfigurationError)
    assert "no gearbox; it has hotend_heater" in str(refused)


def test_a_port_that_cannot_appear_is_told_by_its_option(tmp_path: Path) -> None:
    nowhere = tmp_path / "absent" / "marlin"

    told = CliRunner().invoke(app, ["emulate", "marlin", "--link", str(nowhere)]).exception

    assert isinstance(told, ConfigurationError)
    assert f"--link {nowhere}: No such file or directory" in str(told)
