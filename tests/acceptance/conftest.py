"""Starts the soak as soon as the tests are known, and puts its own test last to read the report."""

from __future__ import annotations

import pytest

from tests import soak_beside

SOAK = "test_acceptance_soak.py"


# Last, so that what was deselected by name does not begin.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    soaks = [item for item in items if item.path.name == SOAK]
    if not soaks:
        return
    items[:] = [item for item in items if item not in soaks] + soaks
    # Of several processes that run tests, one starts it for all.
    worker = getattr(config, "workerinput", {}).get("workerid", "gw0")
    if worker == "gw0" and not config.option.collectonly:
        soak_beside.begin()
