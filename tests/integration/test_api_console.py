"""The REST API and the pages, over HTTP on a real database."""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from psycopg.rows import dict_row

from api import audit
from api.admin import ensure_admin, ensure_token
from api.app import bound
from foremend.db import connect, transaction
from foremend.errors import ConfigurationError, Conflict
from foremend.settings import Settings
from tests.api_fleet import seed, write_truth
from tests.api_server import CHEAP, Person, Site, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = (
    "/",
    "/devices",
    "/devices/printer-07",
    "/devices/machine-03",
    "/alerts",
    "/alerts/4",
    "/work-orders",
    "/work-orders/4",
    "/truth",
    "/models",
)


@pytest.fixture(scope="module")
def site(new_migrated: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One console for the module, on a seeded fleet; tests that move things use other orders."""
    url = new_migrated().app
    truth = tmp_path_factory.mktemp("truth") / "truth.jsonl"
    seeder = seed(url, step_s=3600)
    seeder.connection.close()
    write_truth(truth)
    with running(url, truth) as console:
        yield console


@pytest.fixture
def admin(site: Site) -> Person:
    person = site.browser()
    assert person.sign_in("admin", site.password).status_code == 303
    return person


@pytest.fixture
def dispatcher(site: Site) -> Iterator[httpx.Client]:
    with site.program("dispatcher") as client:
        yield client


def problem(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return str(body["type"]).removeprefix("urn:foremend:problem:")


def order_of(client: httpx.Client, device: str) -> dict[str, Any]:
    found = client.get("/work-orders", params={"device": device}).json()["items"]
    return dict(client.get(f"/work-orders/{found[0]['number']}").json())


def move(
    client: httpx.Client, order: dict[str, Any], action: str, key: str | None = None, **ask: Any
) -> httpx.Response:
    headers = {"If-Match": f'"{order["version"]}"'} | ({"Idempotency-Key": key} if key else {})
    return client.post(
        f"/work-orders/{order['number']}/moves", json={"action": action, **ask}, headers=headers
    )


class TestSignIn:
    def test_a_wrong_password_is_refused_without_saying_which_half_was_wrong(
        self, site: Site
    ) -> None:
        person = site.browser()
        wrong_password = person.sign_in("admin", "no")
        unknown_login = person.sign_in("nobody", "no")
        assert wrong_password.status_code == unknown_login.status_code == 401
        assert wrong_password.text.replace('"admin"', '"nobody"') == unknown_login.text

    def test_the_cookie_is_kept_from_scripts_and_other_sites(self, site: Site) -> None:
        response = site.browser().sign_in("admin", site.password)
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        token = re.match(r"foremend_session=([^;]+)", cookie)
        assert token is not None
        assert site.execute("SELECT 1 FROM session WHERE token_hash = %s", token[1]) == []

    def test_away_from_this_machine_the_cookie_travels_encrypted_only(self, site: Site) -> None:
        response = httpx.post(
            f"{site.url}/sign-in",
            data={"login": "admin", "password": site.password},
            headers={"Host": "console.example"},
        )
        assert "secure" in response.headers["set-cookie"].lower()

    def test_a_page_asks_to_sign_in_and_leads_back(self, site: Site) -> None:
        person = site.browser()
        asked = person.get("/alerts?show=all")
        assert asked.headers["location"] == "/sign-in?after=%2Falerts%3Fshow%3Dall"
        assert (
            person.sign_in("admin", site.password, "/alerts?show=all").headers["location"]
            == "/alerts?show=all"
        )

    def test_nobody_is_led_elsewhere_after_signing_in(self, site: Site) -> None:
        answer = site.browser().sign_in("admin", site.password, "//elsewhere.example/")
        assert answer.headers["location"] == "/"

    def test_signing_out_ends_the_session(self, site: Site) -> None:
        person = site.browser()
        person.sign_in("admin", site.password)
        kept = dict(person.client.cookies)
        assert person.submit("/", "/sign-out").status_code == 303
        again = httpx.get(f"{site.url}/api/v1/me", cookies=kept)
        assert problem(again) == "sign_in_required"

    def test_failures_in_a_row_are_slowed_down_even_with_the_right_password(
        self, site: Site
    ) -> None:
        site.execute("DELETE FROM sign_in_failure")
        person = site.browser()
        with connect(site.database_url, name="test") as connection:
            password = ensure_admin(connection, "slow", passwords=CHEAP)
        assert password is not None
        for _ in range(5):
            assert person.sign_in("admin-slow", "guess").status_code == 401
        assert person.sign_in("admin-slow", password).status_code == 429
        assert site.browser().sign_in("admin", site.password).status_code == 303
        site.execute("DELETE FROM sign_in_failure")

    def test_an_administrator_is_made_once_a_tenant(self, site: Site) -> None:
        with connect(site.database_url, name="test") as connection:
            assert ensure_admin(connection, "demo", passwords=CHEAP) is None
            assert ensure_admin(connection, "once", passwords=CHEAP) is not None
            assert ensure_admin(connection, "once", passwords=CHEAP) is None

    def test_a_program_cannot_take_over_a_persons_login(self, site: Site) -> None:
        with (
            connect(site.database_url, name="test") as connection,
            pytest.raises(Conflict),
        ):
            ensure_token(connection, "demo", "admin", "admin")


class TestProtection:
    def test_the_api_tells_strangers_nothing(self, site: Site) -> None:
        for path in ("/devices", "/work-orders/1", "/stream", "/models"):
            response = httpx.get(f"{site.url}/api/v1{path}")
            assert problem(response) == "sign_in_required"
            assert response.headers["www-authenticate"] == "Bearer"

    def test_a_cookie_alone_changes_nothing(self, site: Site, admin: Person) -> None:
        response = admin.client.post("/api/v1/alerts/1/acknowledge")
        assert problem(response) == "foreign_form"

    def test_another_sites_form_changes_nothing(self, site: Site, admin: Person) -> None:
        token = re.search(r'name="form_token" value="([^"]+)"', admin.get("/").text)
        assert token is not None
        refused = admin.client.post(
            "/sign-out",
            data={"form_token": token[1]},
            headers={"Origin": "https://elsewhere.example"},
        )
        assert refused.status_code == 403
        assert admin.get("/").status_code == 200

    def test_roles_bound_what_a_program_may_do(self, site: Site) -> None:
        with site.program("auditor") as auditor:
            order = order_of(auditor, "printer-07")
            assert order["actions"] == []
            assert problem(move(auditor, order, "accept")) == "forbidden"
        with site.program("technician") as technician:
            assert "accept" in order_of(technician, "printer-07")["actions"]
            assert problem(move(technician, order, "cancel", reason="x")) == "forbidden"
        with site.program("owner") as owner:
            assert problem(owner.get("/devices")) == "forbidden"

    def test_one_tenant_never_sees_anothers_rows(
        self, site: Site, dispatcher: httpx.Client
    ) -> None:
        order = order_of(dispatcher, "printer-07")
        with site.program("admin", "other") as stranger:
            timeline = {"timeline": "sim:demo"}
            assert stranger.get("/devices").json()["items"] == []
            assert stranger.get("/alerts").json()["items"] == []
            assert stranger.get("/work-orders").json()["items"] == []
            for path in ("/devices/printer-07", "/devices/printer-07/frames"):
                assert problem(stranger.get(path)) == "not_found"
                assert problem(stranger.get(path, params=timeline)) == "not_found"
            assert problem(stranger.get(f"/work-orders/{order['number']}")) == "not_found"
            assert problem(stranger.get("/alerts/1")) == "not_found"
            assert problem(move(stranger, order, "accept")) == "not_found"
            assert problem(stranger.post("/alerts/1/acknowledge")) == "not_found"

    def test_an_account_of_one_region_sees_no_other(self, site: Site) -> None:
        with site.program("partner") as partner:
            site.execute("UPDATE user_account SET region = 'europe' WHERE login = %s",
                         "partner-of-demo")  # fmt: skip
            orders = partner.get("/work-orders").json()["items"]
            assert {o["region"] for o in orders} == {"europe"}
            assert problem(partner.get("/work-orders/4")) == "not_found"
            site.execute("UPDATE user_account SET region = NULL WHERE login = 'partner-of-demo'")
            assert partner.get("/work-orders/4").status_code == 200

    def test_every_page_keeps_to_the_content_policy(self, site: Site, admin: Person) -> None:
        for path in PAGES:
            page = admin.get(path)
            assert page.status_code == 200, path
            policy = page.headers["content-security-policy"]
            assert "script-src 'self';" in policy
            assert "unsafe" not in policy
            assert not re.search(r"<[^>]+\s(style|on\w+)=", page.text), path
            assert not re.search(r"<script(?![^>]*\ssrc=)", page.text), path
            assert page.headers["cache-control"] == "no-store"

    def test_what_does_not_exist_is_a_page_for_people_and_a_problem_for_programs(
        self, site: Site, admin: Person, dispatcher: httpx.Client
    ) -> None:
        missing = admin.get("/devices/printer-99")
        assert missing.status_code == 404
        assert "text/html" in missing.headers["content-type"]
        assert "printer-99" in missing.text
        assert problem(dispatcher.get("/devices/printer-99")) == "not_found"
        assert problem(dispatcher.get("/nothing")) == "not_found"
        assert problem(dispatcher.get("/devices?limit=0")) == "invalid"


class TestReading:
    def test_the_newest_simulation_is_shown_by_default(self, dispatcher: httpx.Client) -> None:
        summary = dispatcher.get("/summary").json()
        assert summary["timeline"] == "sim:demo"
        assert (summary["devices"], summary["online"], summary["offline"]) == (16, 15, 1)
        assert dispatcher.get("/summary", params={"timeline": "live"}).json()["devices"] == 0
        assert problem(dispatcher.get("/summary", params={"timeline": "sim:no"})) == "not_found"

    def test_pages_of_devices_follow_one_another_without_a_gap(
        self, dispatcher: httpx.Client
    ) -> None:
        names: list[str] = []
        cursor: str | None = None
        while True:
            query = {"limit": 5} | ({"cursor": cursor} if cursor else {})
            page = dispatcher.get("/devices", params=query).json()
            names += [device["name"] for device in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert len(names) == 16
        assert names == sorted(set(names))

    def test_a_made_up_cursor_is_refused(self, dispatcher: httpx.Client) -> None:
        assert problem(dispatcher.get("/devices", params={"cursor": "x"})) == "bad_cursor"
        alerts = dispatcher.get("/alerts", params={"limit": 1}).json()["next"]
        assert problem(dispatcher.get("/devices", params={"cursor": alerts})) == "bad_cursor"

    def test_a_device_whose_readings_nobody_acknowledges_says_so(
        self, site: Site, admin: Person, dispatcher: httpx.Client
    ) -> None:
        path, told = "/devices/printer-12", "readings are not acknowledged"
        assert dispatcher.get(path).json()["acknowledged"]
        assert told not in admin.get(path).text
        site.execute(
            "UPDATE boot SET agent = 'sparkplug-b' WHERE device_id ="
            " (SELECT id FROM device WHERE name = 'printer-12' AND timeline = 'sim:demo')"
        )
        assert not dispatcher.get(path).json()["acknowledged"]
        assert told in admin.get(path).text

    def test_a_device_tells_its_parts_and_its_likeliest_failure(
        self, dispatcher: httpx.Client
    ) -> None:
        device = dispatcher.get("/devices/printer-07").json()
        assert device["risk"]["component"] == "hotend_fan"
        assert device["hazards"][0]["p10_h"] < device["hazards"][0]["p90_h"]
        assert len(device["components"]) == 7
        assert all(part["age_h"] > 0 for part in device["components"])
        assert device["order"]["state"] == "offered"

    def test_where_the_model_abstains_there_is_a_reason_and_no_figure(
        self, dispatcher: httpx.Client
    ) -> None:
        hazards = dispatcher.get("/devices/machine-03").json()["hazards"]
        assert hazards[-1]["component"] == "seal"
        assert hazards[-1]["probability"] is None
        assert hazards[-1]["abstained"] == "too_little_history"

    def test_frames_are_thinned_to_least_mean_and_greatest(self, dispatcher: httpx.Client) -> None:
        query = {"from": "2026-01-05T00:00:00Z", "to": "2026-01-09T00:00:00Z"}
        whole = dispatcher.get("/devices/printer-07/frames", params=query).json()
        thin = dispatcher.get("/devices/printer-07/frames", params={**query, "points": 12}).json()
        assert len(whole["t_ms"]) == 96
        assert len(thin["t_ms"]) == 12
        assert sum(thin["frames"]) == 96
        for fine, coarse in zip(whole["channels"], thin["channels"], strict=True):
            assert min(coarse["lo"]) == pytest.approx(min(fine["lo"]), rel=1e-5)
            assert max(coarse["hi"]) == pytest.approx(max(fine["hi"]), rel=1e-5)
            mean = sum(fine["mid"]) / 96
            assert sum(coarse["mid"]) / 12 == pytest.approx(mean, rel=1e-4)

    def test_a_window_the_wrong_way_round_is_refused(self, dispatcher: httpx.Client) -> None:
        query = {"from": "2026-01-06T00:00:00Z", "to": "2026-01-05T00:00:00Z"}
        assert problem(dispatcher.get("/devices/printer-07/frames", params=query)) == "bad_request"

    def test_marks_stand_beside_the_readings(self, dispatcher: httpx.Client) -> None:
        marks = dispatcher.get("/devices/machine-02/marks", params={
            "from": "2026-01-05T00:00:00Z", "to": "2026-01-09T00:00:00Z"}).json()  # fmt: skip
        assert {event["code"] for event in marks["events"]} == {"bearing_warm", "part_replaced"}
        assert [mark["kind"] for mark in marks["anomalies"]][:2] == ["alarm", "cleared"]
        assert len(marks["orders"]) == 1
        assert len(marks["health"]["t_ms"]) == 95

    def test_models_tell_their_metrics_and_not_their_bytes(self, site: Site) -> None:
        with site.program("engineer") as engineer:
            models = engineer.get("/models").json()
        assert {m["cohort"] for m in models} == {"fdm_printer", "rotating_machine"}
        assert models[0]["meta"]["metrics"]["later_slices"]["median_lead_h"] == 13.8
        assert "artefact" not in models[0]

    def test_truth_is_held_against_the_orders(self, site: Site, dispatcher: httpx.Client) -> None:
        with site.program("engineer") as engineer:
            report = engineer.get("/truth").json()
        assert (report["foreseen"], report["missed"], report["false_orders"]) == (4, 1, 0)
        assert report["median_lead_h"] == pytest.approx(17, abs=1)
        assert problem(dispatcher.get("/truth")) == "forbidden"

    def test_the_contract_is_published(self, site: Site) -> None:
        contract = httpx.get(f"{site.url}/api/v1/openapi.json").json()
        assert "/api/v1/work-orders/{number}/moves" in contract["paths"]
        assert "/" not in contract["paths"]


class TestMoves:
    def test_an_order_is_moved_and_its_ledger_says_by_whom(self, dispatcher: httpx.Client) -> None:
        order = order_of(dispatcher, "printer-03")
        response = move(dispatcher, order, "hold", reason="waiting for a spare")
        after = response.json()
        assert response.status_code == 200
        assert after["state"] == "on_hold"
        assert response.headers["etag"] == f'"{order["version"] + 1}"'
        assert after["ledger"][-1]["actor"] == "dispatcher-of-demo"
        assert "resume" in after["actions"]
        assert move(dispatcher, after, "resume").json()["state"] == "in_progress"

    def test_a_move_says_which_version_it_is_decided_on(self, dispatcher: httpx.Client) -> None:
        order = order_of(dispatcher, "printer-11")
        path = f"/work-orders/{order['number']}/moves"
        assert problem(dispatcher.post(path, json={"action": "start"})) == "version_required"
        stale = order | {"version": order["version"] - 1}
        assert problem(move(dispatcher, stale, "start")) == "version_passed"
        assert order_of(dispatcher, "printer-11")["version"] == order["version"]

    def test_of_two_moves_on_one_version_one_wins(self, site: Site) -> None:
        with site.program("dispatcher") as client:
            order = order_of(client, "printer-11")
            with ThreadPoolExecutor(4) as pool:
                answers = list(
                    pool.map(
                        lambda n: move(client, order, "hold", reason=f"hand {n}").status_code,
                        range(4),
                    )
                )
            assert sorted(answers) == [200, 412, 412, 412]
            held = order_of(client, "printer-11")
            assert held["version"] == order["version"] + 1
            move(client, held, "resume")

    def test_what_the_state_does_not_allow_is_refused_with_its_reason(
        self, dispatcher: httpx.Client
    ) -> None:
        order = order_of(dispatcher, "printer-07")
        refused = move(dispatcher, order, "ship")
        assert problem(refused) == "move_refused"
        assert "not_from_this_state" in refused.json()["detail"]
        assert problem(move(dispatcher, order, "explode")) == "invalid"

    def test_a_request_sent_twice_under_one_key_is_done_once(
        self, dispatcher: httpx.Client
    ) -> None:
        order = order_of(dispatcher, "printer-11")
        first = move(dispatcher, order, "hold", key="k-1", reason="spare")
        second = move(dispatcher, order, "hold", key="k-1", reason="spare")
        assert first.status_code == second.status_code == 200
        assert first.json() == second.json()
        assert first.headers["etag"] == second.headers["etag"]
        other = move(dispatcher, order, "hold", key="k-1", reason="another")
        assert problem(other) == "key_reused"
        after = order_of(dispatcher, "printer-11")
        assert after["version"] == order["version"] + 1
        move(dispatcher, after, "resume")

    def test_a_refused_request_leaves_its_key_free(self, dispatcher: httpx.Client) -> None:
        order = order_of(dispatcher, "printer-11")
        refused = move(dispatcher, order, "resume", key="k-2")
        assert problem(refused) == "move_refused"
        after = move(dispatcher, order, "hold", key="k-2", reason="spare")
        assert after.status_code == 200
        move(dispatcher, after.json(), "resume")

    def test_an_order_is_opened_by_hand_once(self, dispatcher: httpx.Client) -> None:
        body = {"device": "printer-01", "component": "nozzle", "failure_mode": "nozzle_clog",
                "note": "under-extrusion"}  # fmt: skip
        opened = dispatcher.post("/work-orders", json=body)
        assert opened.status_code == 201
        assert opened.json()["kind"] == "reactive"
        assert opened.json()["kit"] == "NOZ-1"
        again = dispatcher.post("/work-orders", json=body)
        assert again.json()["number"] == opened.json()["number"]
        unknown = dispatcher.post("/work-orders", json=body | {"component": "flux_capacitor"})
        assert problem(unknown) == "not_found"

    def test_a_persons_form_moves_the_order_and_a_stale_one_does_not(
        self, site: Site, admin: Person, dispatcher: httpx.Client
    ) -> None:
        number = order_of(dispatcher, "machine-02")["number"]
        assert order_of(dispatcher, "machine-02")["state"] == "verifying"
        order = order_of(dispatcher, "printer-03")
        path = f"/work-orders/{order['number']}"
        moved = admin.submit(path, f"{path}/moves", action="fit", as_found="degraded")
        assert moved.headers["location"] == f"{path}?done=fit"
        page = admin.get(f"{path}?done=fit").text
        assert "Part fitted; telemetry is now watched." in page
        assert number != order["number"]
        token = re.search(r'name="form_token" value="([^"]+)"', page)
        assert token is not None
        stale = admin.client.post(
            f"{path}/moves",
            data={"form_token": token[1], "action": "hold", "reason": "x",
                  "version": str(order["version"])},
        )  # fmt: skip
        assert stale.status_code == 412
        assert "Changed meanwhile" in stale.text

    def test_deeds_stand_in_an_unbroken_chain(self, site: Site, dispatcher: httpx.Client) -> None:
        order = order_of(dispatcher, "printer-11")
        move(dispatcher, move(dispatcher, order, "hold", reason="x").json(), "resume")
        with (
            connect(site.database_url, name="test") as connection,
            transaction(connection, tenant="demo"),
        ):
            connection.row_factory = dict_row  # type: ignore[assignment]
            assert audit.holds(connection, tenant="demo")  # type: ignore[arg-type]
            deeds = connection.execute("SELECT action FROM audit_log ORDER BY id DESC LIMIT 2")
            assert [row["action"] for row in deeds] == ["work_order.resume", "work_order.hold"]  # type: ignore[call-overload]


class TestAlerts:
    def test_a_firing_alert_is_acknowledged_once(self, dispatcher: httpx.Client) -> None:
        alert = dispatcher.get("/alerts", params={"state": "firing"}).json()["items"][-1]
        done = dispatcher.post(f"/alerts/{alert['id']}/acknowledge").json()
        assert done["state"] == "acknowledged"
        assert done["events"][-1]["actor"] == "dispatcher-of-demo"
        again = dispatcher.post(f"/alerts/{alert['id']}/acknowledge")
        assert problem(again) == "conflict"

    def test_a_silence_has_an_author_and_an_end(self, site: Site, dispatcher: httpx.Client) -> None:
        body = {"matcher": {"device": "printer-12"}, "reason": "rebuild", "hours": 6}
        added = dispatcher.post("/silences", json=body).json()
        assert added["author"] == "dispatcher-of-demo"
        assert added["ends_at"] == "2026-01-09T06:00:00Z"
        assert [s["id"] for s in dispatcher.get("/silences").json()] == [added["id"]]
        assert dispatcher.post(f"/silences/{added['id']}/end").status_code == 204
        site.execute("UPDATE timeline SET now_at = now_at + interval '1 minute'")
        assert dispatcher.get("/silences").json() == []

    def test_a_silence_that_matches_everything_is_refused(self, dispatcher: httpx.Client) -> None:
        body = {"matcher": {}, "reason": "quiet", "hours": 6}
        assert dispatcher.post("/silences", json=body).status_code == 422

    def test_people_acknowledge_and_silence_by_forms(self, site: Site, admin: Person) -> None:
        added = admin.submit("/alerts", "/silences", device="printer-10", hours="2", reason="test")
        assert added.headers["location"] == "/alerts?done=silenced"
        assert "printer-10" in admin.get("/alerts").text
        wrong = admin.submit("/alerts", "/silences", device="", hours="2", reason="test")
        assert wrong.status_code == 422


class Listener:
    """Reads one event stream in a thread of its own."""

    def __init__(self, client: httpx.Client) -> None:
        self.events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.thread = threading.Thread(target=self._read, args=(client,), daemon=True)
        self.thread.start()

    def _read(self, client: httpx.Client) -> None:
        with (
            # The test ends by closing the client under the stream.
            contextlib.suppress(httpx.HTTPError, httpx.StreamError, OSError),
            client.stream("GET", "/stream", timeout=30) as response,
        ):
            kind = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    self.events.put((kind, json.loads(line[6:])))

    def next(self, kind: str, seconds: float = 10.0) -> dict[str, Any]:
        while True:
            found, data = self.events.get(timeout=seconds)
            if found == kind:
                return data


class TestStream:
    def test_a_move_is_heard_by_the_tenant_and_by_no_other(
        self, site: Site, dispatcher: httpx.Client
    ) -> None:
        with site.program("auditor") as inside, site.program("admin", "other") as outside:
            hears, deaf = Listener(inside), Listener(outside)
            assert hears.next("hello")["login"] == "auditor-of-demo"
            deaf.next("hello")
            order = order_of(dispatcher, "printer-11")
            held = move(dispatcher, order, "hold", reason="listen").json()
            news = hears.next("work_order")
            assert (news["number"], news["state"]) == (order["number"], "on_hold")
            assert "tenant" not in news
            move(dispatcher, held, "resume")
            assert hears.next("work_order")["action"] == "resume"
            assert deaf.events.empty()


class TestProcess:
    def test_it_says_that_it_lives_is_ready_and_how_it_fares(self, site: Site) -> None:
        assert httpx.get(f"{site.url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{site.url}/readyz").json()["status"] == "ready"
        httpx.get(f"{site.url}/api/v1/devices/printer-07")
        text = httpx.get(f"{site.url}/metrics").text
        assert 'route="/api/v1/devices/{name}"' in text
        assert "printer-07" not in text

    def test_answers_are_not_held_back_by_nagles_delay(self) -> None:
        with (
            bound(Settings(api_port=0)) as listening,
            socket.create_connection(listening.getsockname()),
        ):
            accepted, _ = listening.accept()
            # asyncio sets TCP_NODELAY on those alone that name their protocol.
            assert accepted.proto == socket.IPPROTO_TCP
            accepted.close()

    def test_a_taken_port_is_one_clear_sentence(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            settings = Settings(api_port=taken.getsockname()[1])
            with pytest.raises(ConfigurationError, match="FOREMEND_API_PORT"), bound(settings):
                pass
