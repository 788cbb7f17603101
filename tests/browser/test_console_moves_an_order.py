"""A person signs in with a real browser, sees the fleet live, and moves a work order."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from api.console import vendored
from tests.api_fleet import seed
from tests.api_server import Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Page]:
    """A signed-in page; whatever it complains of fails the test."""
    context = browser.new_context(timezone_id="America/Chicago", locale="en-GB")
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on(
        "console",
        lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None,
    )
    opened.goto(f"{site.url}/sign-in")
    opened.get_by_label("Login").fill("admin")
    opened.get_by_label("Password").fill(site.password)
    opened.get_by_role("button", name="Sign in").click()
    opened.wait_for_url(f"{site.url}/")
    yield opened
    context.close()
    assert complaints == []


def test_a_person_moves_an_order_and_another_page_shows_it_at_once(page: Page, site: Site) -> None:
    other = page.context.new_page()
    other.goto(f"{site.url}/")
    expect(other.locator(".live")).to_have_attribute("data-state", "on")
    card = other.locator("#orders .card", has_text="printer-07")
    expect(card.locator(".pill")).to_have_text("offered")

    page.locator("#orders .card", has_text="printer-07").click()
    expect(page.locator("#head")).to_contain_text("hot-end fan")
    expect(page.locator(".evidence")).to_contain_text("hot-end fan speed")
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".flash")).to_have_text("Order accepted.")
    expect(page.locator("#ledger li").first).to_contain_text("accept")

    expect(card.locator(".pill")).to_have_text("accepted")


def test_what_a_person_is_filling_in_is_not_replaced_under_their_hands(
    page: Page, site: Site
) -> None:
    page.goto(f"{site.url}/work-orders/2")
    expect(page.locator(".live")).to_have_attribute("data-state", "on")
    page.get_by_label("degraded").check()
    note = page.get_by_label("Note")
    note.fill("half worn")
    with page.expect_response(lambda answer: answer.url.endswith("/work-orders/2")):
        site.execute(
            "INSERT INTO work_order_event (work_order_id, tenant, at, actor, action, to_state,"
            " reason) SELECT id, tenant, now(), 'test', 'note', state, 'none' FROM work_order"
            " WHERE number = 2"
        )
        site.execute("NOTIFY foremend_work_order")
    expect(page.locator("#ledger li").first).to_contain_text("note")
    expect(note).to_have_value("half worn")
    expect(page.get_by_label("degraded")).to_be_checked()


def test_times_are_the_readers_own_and_charts_are_drawn(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/devices/printer-07")
    # The timeline stands at midnight UTC, which is 18:00 the day before in Chicago.
    expect(page.locator("#clock time")).to_contain_text("8 Jan 2026")
    expect(page.locator("#clock time")).to_contain_text("18:00")
    expect(page.locator(".chart canvas")).to_have_count(11)
    page.get_by_role("button", name="24 h").click()
    expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")


def test_a_page_is_no_wider_than_a_phone(page: Page, site: Site) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/", "/devices", "/devices/printer-07", "/alerts", "/work-orders",
                 "/work-orders/1", "/models"):  # fmt: skip
        page.goto(f"{site.url}{path}")
        expect(page.locator("main")).to_be_visible()
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, path


SIGNATURE = [
    {
        "kind": "feature_deviates",
        "subject": "hold_power",
        "weight": 7.9,
        "parameters": {
            "channel": "hotend_power", "unit": "1", "level": "short", "now": 1.31, "usual": 1.02,
            "sigmas": 8.2, "change_percent": 28.4, "source": "field notes: rising hold power",
        },
    },
    {
        "kind": "error_code",
        "subject": "heating_slow",
        "weight": 3.0,
        "parameters": {
            "count_day": 2.0, "hours_ago": 3.5,
            "source": "Klipper verify_heater, Marlin watch period (2 degC in 20 s)",
        },
    },
    {
        "kind": "hand_over",
        "subject": "signatures:fdm_printer:1:0123456789ab",
        "weight": 0.0,
        "parameters": {
            "labels": 5.0, "share": 0.487, "signature": 0.81, "learnt": 0.34,
            "library": "signatures:fdm_printer:1:0123456789ab",
        },
    },
]  # fmt: skip


def test_what_a_signature_says_stands_on_the_orders_page_with_its_sources(
    page: Page, site: Site
) -> None:
    site.execute(
        "UPDATE work_order SET model_version = 'signatures:fdm_printer:1:0123456789ab',"
        f" evidence = '{json.dumps(SIGNATURE)}' WHERE number = 1"
    )
    page.goto(f"{site.url}/work-orders/1")
    table = page.locator(".evidence")
    expect(table).to_contain_text("hot-end hold power")
    expect(table).to_contain_text("field notes: rising hold power")
    expect(table).to_contain_text("after 5 labelled failures the model, which says 34%, weighs 49%")
    expect(page.get_by_text("signature library fdm_printer:1:0123456789ab")).to_be_visible()
    expect(page.locator("[data-charts]")).to_have_attribute("data-channels", "hotend_power")
