"""A person drags over a chart and sees that stretch of time read again, then goes back."""

from __future__ import annotations

import os
import shutil
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Request, sync_playwright

from api.console import vendored
from tests.api_fleet import seed
from tests.api_server import Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = ["--headless", "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH: apt-get install chromium"),
    pytest.mark.skipif(not vendored(), reason="no console assets: python -m api.assets.install"),
]


@pytest.fixture(scope="module")
def site(new_migrated: Any) -> Iterator[Site]:
    url = new_migrated().app
    seed(url, step_s=3600).connection.close()
    with running(url) as console:
        yield console


@pytest.fixture
def page(site: Site) -> Iterator[Page]:
    """A signed-in page; whatever it complains of fails the test."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_page(timezone_id="America/Chicago", locale="en-GB")
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(f"{site.url}/sign-in")
        opened.fill("input[name=login]", "admin")
        opened.fill("input[name=password]", site.password)
        opened.click("button.primary")
        opened.wait_for_url(f"{site.url}/")
        yield opened
        browser.close()
    assert complaints == []


def span_of(request: Request) -> tuple[datetime, timedelta]:
    query = parse_qs(urlsplit(request.url).query)
    start, end = (datetime.fromisoformat(query[name][0]) for name in ("from", "to"))
    return start, end - start


def asks_for_a_window(request: Request) -> bool:
    return "/frames?" in request.url and "&to=" in request.url


def test_dragging_reads_that_stretch_finer_and_a_double_click_goes_back(
    page: Page, site: Site
) -> None:
    page.goto(f"{site.url}/devices/printer-07")
    over = page.locator(".chart .u-over").nth(1)
    over.scroll_into_view_if_needed()
    box = over.bounding_box()
    assert box is not None
    left, width, middle = box["x"], box["width"], box["y"] + box["height"] / 2
    with page.expect_request(asks_for_a_window) as asked:
        page.mouse.move(left + 0.25 * width, middle)
        page.mouse.down()
        page.mouse.move(left + 0.5 * width, middle, steps=5)
        page.mouse.up()
    _, span = span_of(asked.value)
    answer = asked.value.response()
    assert answer is not None

    assert timedelta(hours=11) < span < timedelta(hours=13)  # a quarter of two days
    assert answer.json()["slot_ms"] < 48 * 3_600_000 / 400
    with page.expect_request(lambda r: "/frames?" in r.url and "&to=" not in r.url):
        over.dblclick()
