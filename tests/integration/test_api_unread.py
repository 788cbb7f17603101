"""A device that is unplugged, or tells of an error, is never shown as well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from foremend.values import Phase, Quality
from tests.api_fleet import seed
from tests.api_server import Person, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

ANOTHER_FRAME = """
WITH d AS (UPDATE device SET last_frame_at = last_frame_at + interval '1 second'
           WHERE name = %s RETURNING id, last_frame_at)
INSERT INTO frame (device_id, ts, boot_id, seq, schema_id, phase, quality, batch_id, vals)
SELECT f.device_id, d.last_frame_at, f.boot_id, f.seq, f.schema_id, %s, %s, f.batch_id, f.vals
FROM d JOIN frame f ON f.device_id = d.id
ORDER BY f.ts DESC LIMIT 1
"""
SOURCE_LOST = """
INSERT INTO event (device_id, boot_id, seq, ts, code, severity, details, batch_id)
SELECT d.id, e.boot_id, 99999, d.last_frame_at - interval '1 second', 'source_lost', 'warning',
       '{"reason": "the connection ended"}', e.batch_id
FROM device d, event e WHERE d.name = %s LIMIT 1
"""
CALM = "printer-05"
"""A device of the seeded fleet of which no alert fires."""


@pytest.fixture
def site(new_migrated: Any) -> Iterator[Site]:
    url = new_migrated().app
    seed(url, step_s=3600).connection.close()
    with running(url) as console:
        yield console


@pytest.fixture
def admin(site: Site) -> Person:
    person = site.browser()
    assert person.sign_in("admin", site.password).status_code == 303
    return person


def condition(html: str) -> str:
    found = re.search(r'id="identity" data-condition="(\w+)"', html)
    assert found is not None
    return found[1]


def test_a_device_that_its_agent_cannot_read_says_so_and_why(site: Site, admin: Person) -> None:
    assert condition(admin.get(f"/devices/{CALM}").text) == "well"
    site.execute(SOURCE_LOST, CALM)
    site.execute(ANOTHER_FRAME, CALM, int(Phase.UNKNOWN), int(Quality.STALE))

    page = admin.get(f"/devices/{CALM}").text

    assert condition(page) == "unread"
    assert "the connection ended" in page
    assert "cannot be read" in admin.get("/devices").text


def test_a_device_that_tells_of_an_error_is_not_well(site: Site, admin: Person) -> None:
    site.execute(ANOTHER_FRAME, CALM, int(Phase.ERROR), int(Quality.GOOD))

    assert condition(admin.get(f"/devices/{CALM}").text) == "error"
