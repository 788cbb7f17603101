"""What pages say: words, units, evidence, the story, the board; and the chain behind them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import api.assets.install as assets
from api import audit, evidence, facts, story, views, wording
from api.accounts import User
from api.console import ago, lags
from api.desk import Move, allowed
from api.judgement import Fault, Order, compare
from api.news import BACK, RESYNC, Mark, News
from api.roles import Role
from api.summary import StoryEvent
from field_service.orders import FOR_PEOPLE
from models.features.spec import LEVELS
from models.signatures import SignatureModel, shipped

NOW = datetime(2026, 1, 9, tzinfo=UTC)
HOUR_MS = 3_600_000


def plain(text):
    return text.replace("\N{NARROW NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("hours", "said"),
    [(None, "–"), (float("nan"), "–"), (0.25, "15 min"), (9.44, "9.4 h"), (71, "71 h"),
     (100, "4.2 d"), (2870, "120 d"), (26_298, "3 y")],
)  # fmt: skip
def test_hours_are_told_in_the_unit_a_person_would_choose(hours, said):
    assert plain(wording.hours(hours)) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.000123456, "0.000123"), (214.56, "215"), (4890, "4 890"), (-31.04, "−31"),
     (1_234_567, "1 234 567"), (None, "–")],
)  # fmt: skip
def test_numbers_have_three_digits_that_count_and_no_trailing_noise(value, said):
    assert plain(wording.number(value)) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.0, "0%"), (0.004, "<1%"), (0.93, "93%"), (0.996, ">99%"), (1.0, "100%"), (None, "–")],
)
def test_a_probability_is_never_rounded_to_a_certainty(share, said):
    assert wording.percent(share) == said


def test_an_interval_names_its_unit_once_where_it_is_one():
    assert plain(wording.span(5.2, 8.9)) == "5.2–8.9 h"
    assert plain(wording.span(0.5, 8.9)) == "30 min–8.9 h"
    assert plain(wording.span(40, None)) == "over 40 h"


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_no_number_breaks_a_page(value):
    for tell in (wording.number, wording.percent, wording.hours, wording.change):
        assert tell(value)


def test_a_channel_is_told_against_its_own_usual_value():
    reasons = [
        {"kind": "channel_deviates", "subject": "hotend_fan_rpm", "weight": 0.8,
         "parameters": {"level": "short", "now": 3311.0, "usual": 4890.0, "sigmas": -9.3,
                        "change_percent": -32.3}},
        {"kind": "error_code", "subject": "hotend_fan_slow", "weight": 0.4,
         "parameters": {"count_day": 3.0, "hours_ago": 1.6}},
        {"kind": "component_age", "subject": "hotend_fan", "weight": 0.2,
         "parameters": {"age_h": 2870.0, "percentile": 71.0}},
    ]  # fmt: skip
    channel, code, age = evidence.rows(reasons, {"hotend_fan_rpm": "/min"})
    assert (plain(channel.now), plain(channel.usual)) == ("3 311 rpm", "4 890 rpm")
    assert plain(channel.detail) == "−32% · −9.3 σ · 6-hour mean"
    assert (channel.weight, code.weight) == (1.0, 0.5)
    assert plain(code.detail) == "last 1.6 h before"
    assert age.detail == "older than 71% of known failures"
    assert evidence.headline(reasons) == "hot-end fan speed −32%"


def signature_reasons():
    model = SignatureModel(library=shipped()["fdm_printer"])
    mode = model.modes.index(("hotend_heater", "heater_degradation"))
    row = np.full(model.spec.width, np.nan, np.float32)
    at = model.spec.channels.index("hold_power")
    for part, value in (("level", 1.31), ("centre", 1.02), ("scale", 0.03), ("count", 80.0)):
        row[model.spec.parts[part].start + at] = value
    short = model.spec.parts["level"].start + LEVELS.index("short") * len(model.spec.channels) + at
    row[short] = 1.31
    code = model.spec.codes.index("heating_slow")
    row[model.spec.parts["count_day"].start + code] = 2.0
    row[model.spec.parts["hours_since"].start + code] = 3.5
    return [msgspec.to_builtins(r) for r in model.reasons(row, mode=mode)]


def test_what_a_signature_says_is_shown_with_its_channel_and_its_source():
    first, code = evidence.rows(signature_reasons(), {"hotend_power": "1"})
    assert first.kind == "channel"
    assert first.subject == "hot-end hold power"
    assert first.channel == "hotend_power"
    assert (plain(first.now), plain(first.usual)) == ("1.31", "1.02")
    assert first.source == "field notes: rising hold power"
    assert (code.subject, plain(code.now)) == ("heating_slow", "2× in 24 h")
    assert "Klipper" in code.source


def test_who_spoke_with_what_weight_is_shown():
    told = {"labels": 5.0, "share": 0.49, "signature": 0.81, "learnt": 0.34, "library": "x"}
    (row,) = evidence.rows([{"kind": "hand_over", "subject": "x", "parameters": told}], {})
    assert (row.kind, row.now) == ("library", "81%")
    assert row.detail == "after 5 labelled failures the model, which says 34%, weighs 49%"
    alone = {k: v for k, v in told.items() if k != "learnt"} | {"labels": 1.0}
    (row,) = evidence.rows([{"kind": "hand_over", "subject": "x", "parameters": alone}], {})
    assert row.detail == "the model abstains after 1 labelled failure"


def test_a_reason_of_an_unknown_kind_is_shown_and_not_left_out():
    (row,) = evidence.rows([{"code": "moon_phase", "quarter": 3}], {})
    assert (row.subject, row.detail) == ("moon phase", "quarter 3")


def event(**changes):
    told = {
        "wall_at": NOW, "at": NOW, "source": "alert", "actor": "alerting", "action": "fire",
        "reason": "confirmed", "device": "printer-07", "component": "hotend_fan",
        "failure_mode": "fan_wear", "kind": "failure", "number": 4, "state": "firing",
        "probability": 0.93, "horizon_h": 24.0, "p10_h": 5.0, "p50_h": 7.0, "p90_h": 9.0,
        "evidence": [], "strategy": None, "kit": None, "cost": None, "currency": None,
        "region": None, "params": {},
    }  # fmt: skip
    return StoryEvent.model_validate(told | changes)


def test_the_story_tells_what_is_foreseen_and_what_is_sent():
    opened = event(
        source="work_order",
        action="open",
        actor="policy",
        number=1,
        kit="FAN-2",
        strategy="self_repair",
        cost=16.78,
        currency="USD",
        state="proposed",
    )
    first, second = story.lines([event(), opened])
    assert plain(first.text) == "failure foreseen in 5–9 h, p 93%"
    assert (first.tone, first.href) == ("alarm", "/alerts/4")
    assert second.text == "WO-1 opened"
    assert plain(second.detail) == "kit FAN-2 · self-repair kit · 16.78 USD"


def test_the_story_leaves_out_steps_that_change_nothing_for_a_reader():
    inner = [event(action="keep"), event(source="work_order", action="qualify", state="qualified")]
    assert story.lines(inner) == []


def test_without_quantiles_the_horizon_is_told():
    (line,) = story.lines([event(p10_h=None, p50_h=None, p90_h=None)])
    assert plain(line.text) == "failure foreseen within 24 h, p 93%"


def test_a_persons_move_names_the_person_and_policys_does_not():
    by_person = event(source="work_order", action="accept", actor="r.okafor", state="accepted")
    by_policy = event(source="work_order", action="close", actor="policy", state="closed")
    said = [line.text for line in story.lines([by_person, by_policy])]
    assert said == ["WO-4 accepted by r.okafor", "WO-4 closed: telemetry agrees"]


def test_a_models_figures_are_found_wherever_they_stand():
    share = {"value": 0.68, "low": 0.5, "high": 0.81, "hits": 21, "total": 31}
    meta = {"metrics": {"later": {"precision": share, "median_lead_h": 8.4}}, "precision": 1.0}
    precision, lead = facts.headline(meta)
    assert (precision.value, precision.note) == ("68%", "21 of 31, 95% interval 50%–81%")
    assert (lead.label, lead.value) == ("Median lead", "8.4 h")


def test_a_models_facts_are_shown_whatever_they_are():
    listed = facts.facts({"deep": {"a": 1}, "until_ms": 0, "ok": True, "none": None, "h": [1, "x"]})
    assert [f.name for f in listed] == ["until", "ok", "none", "h", "deep"]
    assert listed[0].moment == datetime(1970, 1, 1, tzinfo=UTC)
    assert [f.value for f in listed[1:4]] == ["yes", "–", "1, x"]
    assert listed[-1].below[0].value == "1"


def test_every_state_has_one_column_of_the_board():
    states = [state for _, column in views.COLUMNS for state in column]
    assert sorted(states) == sorted(set(states))
    assert len(states) == 13


def test_every_move_that_people_may_ask_for_is_offered():
    assert {move.value for move in Move} == {action.value for action in FOR_PEOPLE}


def test_a_finding_can_be_told_later_but_not_twice():
    assert Move.FIT in allowed("verifying", None)
    assert Move.FIT not in allowed("verifying", "degraded")
    assert allowed("closed", "degraded") == ()


def test_a_sparkline_stays_in_its_box_and_shades_alarms():
    points = [(1, 0.5, False), (2, 40.0, True), (48, 2.0, False)]
    drawn = views.spark(points, 48)
    places = [tuple(map(float, p.split())) for p in drawn.line[1:].split("L")]
    assert all(0 <= x <= 100 and 0 <= y <= 24 for x, y in places)
    assert len(drawn.alarms) == 1
    assert views.spark(points[:1], 48) is None


@given(st.integers(0, 2**41), st.integers(0, 500 * 24 * HOUR_MS))
def test_an_axis_has_few_round_marks_inside_itself(begin, length):
    axis = views.axis(begin, begin + length)
    assert len(axis.ticks) <= 8
    assert all(0 <= place <= 100 and ms % HOUR_MS == 0 for place, ms in axis.ticks)
    assert axis.place(begin) == 0


def test_faults_are_laid_from_onset_to_failure():
    start = round(NOW.timestamp() * 1000) - 100 * HOUR_MS
    part = {"device": "p", "component": "c", "failure_mode": "m"}
    failed = start + 50 * HOUR_MS
    fault = Fault(**part, onset_ms=start, failed_ms=failed, due_ms=failed, repaired_ms=None)
    opened = start + 25 * HOUR_MS
    order = Order(**part, number=1, opened_ms=opened, probability=0.9, state="offered")
    found = compare([fault], [order])
    axis = views.fault_axis(found, NOW)
    (bar,) = views.fault_bars(found, axis, NOW)
    assert (bar.begin, bar.width, bar.opened, bar.failed) == (0, 50, 25, 50)
    assert bar.due is None


def entry(n):
    return audit.Entry(tenant="demo", actor="a", action="x", subject=str(n), at=NOW)


def chain(entries):
    rows, last = [], audit.GENESIS
    for one in entries:
        own = audit.chained(last, one)
        rows.append((one, last, own))
        last = own
    return rows


def test_a_deed_that_is_changed_taken_out_or_moved_breaks_the_chain():
    rows = chain([entry(n) for n in range(4)])
    assert audit.unbroken(rows)
    changed = list(rows)
    changed[1] = (replace(rows[1][0], subject="other"), *rows[1][1:])
    assert not audit.unbroken(changed)
    assert not audit.unbroken(rows[1:])
    assert not audit.unbroken([rows[0], *rows[2:]])
    assert not audit.unbroken([rows[1], rows[0], *rows[2:]])


def test_the_chain_reads_an_instant_alike_in_every_zone():
    elsewhere = replace(entry(1), at=NOW.astimezone(tz=None))
    assert audit.chained(audit.GENESIS, entry(1)) == audit.chained(audit.GENESIS, elsewhere)


def test_what_is_committed_late_is_told_once():
    mark = Mark(newest=1000)
    mark.pass_([1001, 1003])
    assert mark.floor == 1003 - BACK
    assert 1002 not in mark.told
    mark.pass_([1002])
    assert {1001, 1002, 1003} <= mark.told


@given(st.lists(st.lists(st.integers(1, 3000), max_size=5), max_size=30))
def test_memory_of_what_was_told_stays_bounded(batches):
    mark = Mark(newest=0)
    for batch in batches:
        mark.pass_(batch)
        assert all(i > mark.floor for i in mark.told)
        assert len(mark.told) <= BACK


def test_news_reaches_its_tenant_and_region_and_resync_everybody():
    user = User(id=1, login="a", tenant="demo", role=Role.PARTNER, region="europe")
    here = News(kind="alert", id="1", tenant="demo", region="europe")
    assert here.concerns(user)
    assert not replace(here, tenant="other").concerns(user)
    assert not replace(here, region="china").concerns(user)
    assert replace(here, region="china").concerns(replace(user, region=None))
    assert News(kind=RESYNC, id="", tenant="", region="").concerns(user)


def test_the_browser_libraries_are_locked_by_hash_and_name_no_host():
    lock = json.loads((Path(assets.HERE) / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages.keys() == {"node_modules/htmx.org", "node_modules/uplot"}
    for entry_ in packages.values():
        assert entry_["integrity"].startswith("sha512-")
        assert "resolved" not in entry_


def test_assets_of_another_lock_file_are_not_current(tmp_path):
    assert not assets.is_current(tmp_path)
    for name in assets.FILES:
        (tmp_path / name).write_text("")
    (tmp_path / assets.STAMP).write_text("other")
    assert not assets.is_current(tmp_path)
    (tmp_path / assets.STAMP).write_text(assets.lock_digest())
    assert assets.is_current(tmp_path)


def test_a_score_of_long_ago_is_not_told_as_news():
    assert not lags(NOW - timedelta(hours=2), NOW)
    assert lags(NOW - timedelta(hours=7), NOW)
    assert not lags(None, NOW)


def test_ages_are_told_on_the_timelines_own_clock():
    assert plain(ago(NOW - timedelta(hours=3), NOW)) == "3 h ago"
    assert ago(NOW, NOW) == "now"
    assert ago(None, NOW) == "never"
