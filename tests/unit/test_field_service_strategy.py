from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from field_service.bills import Job, Source, bill
from field_service.catalogue import Kit, Safety, load
from field_service.strategy import (
    Case,
    Fallout,
    Option,
    Tally,
    first_time_fix,
    rank,
    standstill_h,
)
from field_service.values import Outlook, Strategy

CATALOGUE = load()
SOON = Outlook(probability=0.93, horizon_h=24, p10_h=5, p50_h=7, p90_h=9)
RESOLUTIONS = list(CATALOGUE.resolutions())


def case(kit: str | None = "FAN-2", region: str = "north_america", **changes: object) -> Case:
    resolution = CATALOGUE.by_kit(kit) if kit else None
    printer = kit is None or any(
        r.kit.code == kit for r in CATALOGUE.families["fdm_printer"].resolution
    )
    job = Job(
        family=CATALOGUE.families["fdm_printer" if printer else "rotating_machine"],
        region_code=region,
        region=CATALOGUE.regions[region],
        kit=resolution.kit if resolution else None,
        source=Source(org_node="near", node_kind="local_node", region=region, available=3),
    )
    return replace(Case(job=job, outlook=SOON, priors=CATALOGUE.priors), **changes)


def by_strategy(options: tuple[Option, ...]) -> dict[Strategy, Option]:
    return {option.strategy: option for option in options}


def test_a_fan_is_sent_to_its_owner_and_a_walk_in_comes_next() -> None:
    first, second, *_ = rank(case())
    assert (first.strategy, second.strategy) == (Strategy.SELF_REPAIR, Strategy.WALK_IN)
    assert first.expected is not None
    assert Decimal(10) < first.expected.amount < Decimal(25)
    assert first.expected.currency == "USD"


@pytest.mark.parametrize("region", CATALOGUE.regions)
def test_mains_voltage_is_never_for_owners(region: str) -> None:
    option = by_strategy(rank(case("PSU-1", region)))[Strategy.SELF_REPAIR]
    assert option.fallout is Fallout.UNSAFE_FOR_OWNERS


@given(
    st.sampled_from(RESOLUTIONS),
    st.sampled_from(sorted(CATALOGUE.regions)),
    st.sampled_from([Safety.MAINS, Safety.THERMAL_RUNAWAY]),
    st.integers(1, 5),
)
def test_no_price_region_or_ease_makes_danger_a_job_for_owners(
    resolution: msgspec.Struct, region: str, safety: Safety, difficulty: int
) -> None:
    kit: Kit = msgspec.structs.replace(resolution.kit, safety=safety, difficulty=difficulty)  # type: ignore[attr-defined]
    plain = case(kit.code, region)
    ranked = rank(replace(plain, job=replace(plain.job, kit=kit)))
    assert by_strategy(ranked)[Strategy.SELF_REPAIR].fallout is Fallout.UNSAFE_FOR_OWNERS


@pytest.mark.parametrize(
    ("kit", "region", "strategy", "why"),
    [
        ("BRG-1", "europe", Strategy.SELF_REPAIR, Fallout.TOO_DIFFICULT_FOR_OWNERS),
        ("BRG-1", "europe", Strategy.MAIL_IN, Fallout.NOT_PORTABLE),
        ("FAN-1", "asia_pacific", Strategy.WALK_IN, Fallout.NOT_OFFERED_HERE),
        ("FAN-1", "europe", Strategy.TRADE_IN, Fallout.NOT_OFFERED_HERE),
        (None, "europe", Strategy.SELF_REPAIR, Fallout.NO_KIT),
    ],
)
def test_what_cannot_be_had_falls_out_with_its_reason(
    kit: str | None, region: str, strategy: Strategy, why: Fallout
) -> None:
    option = by_strategy(rank(case(kit, region)))[strategy]
    assert (option.fallout, option.expected) == (why, None)


def test_something_unknown_still_gets_a_visit() -> None:
    options = rank(case(None))
    assert options[0].fallout is None
    assert by_strategy(options)[Strategy.ON_SITE].fallout is None


outlooks = st.builds(
    lambda p, a, b, c: Outlook(probability=p, horizon_h=24, p10_h=a, p50_h=a + b, p90_h=a + b + c),
    st.floats(0, 1),
    *(st.floats(0, 200) for _ in range(3)),
)
tallies = st.dictionaries(
    st.sampled_from(Strategy), st.builds(Tally, st.integers(0, 50), st.integers(0, 50))
)
cases = st.builds(
    lambda r, region, outlook, tally: case(r.kit.code, region, outlook=outlook, outcomes=tally),
    st.sampled_from(RESOLUTIONS),
    st.sampled_from(sorted(CATALOGUE.regions)),
    outlooks,
    tallies,
)


@given(cases)
def test_every_strategy_stands_once_and_those_to_be_had_stand_first(drawn: Case) -> None:
    options = rank(drawn)
    assert {o.strategy for o in options} == set(Strategy)
    assert len(options) == len(Strategy)
    fallen = [o.fallout is not None for o in options]
    assert fallen == sorted(fallen)
    scores = [o.score for o in options if o.score is not None]
    assert scores == sorted(scores)


@given(cases)
def test_an_expected_cost_holds_the_direct_one_and_what_may_follow(drawn: Case) -> None:
    for option in rank(drawn):
        if option.fallout is None:
            assert option.direct is not None
            assert option.expected is not None
            assert option.expected.amount >= option.direct.amount >= 0
            assert option.expected.currency == drawn.job.region.currency


@given(cases)
def test_the_regions_preference_moves_a_rank_but_no_cost(drawn: Case) -> None:
    neutral = msgspec.structs.replace(drawn.job.region, preference={})
    indifferent = rank(replace(drawn, job=replace(drawn.job, region=neutral)))
    for strategy, option in by_strategy(rank(drawn)).items():
        assert option.expected == by_strategy(indifferent)[strategy].expected


@given(cases, st.decimals("0.01", "500", places=2))
def test_a_dearer_kit_makes_nothing_cheaper(drawn: Case, more: Decimal) -> None:
    kit = drawn.job.kit
    assert kit is not None
    first = msgspec.structs.replace(kit.parts[0], price_usd=kit.parts[0].price_usd + more)
    dearer = msgspec.structs.replace(kit, parts=(first, *kit.parts[1:]))
    after = by_strategy(rank(replace(drawn, job=replace(drawn.job, kit=dearer))))
    for strategy, option in by_strategy(rank(drawn)).items():
        if option.expected is not None:
            now = after[strategy].expected
            assert now is not None
            assert now.amount >= option.expected.amount


@given(st.sampled_from(Strategy), st.integers(1, 5), st.integers(0, 200), st.integers(0, 200))
def test_belief_moves_from_the_prior_towards_what_happened(
    strategy: Strategy, difficulty: int, fixed: int, not_fixed: int
) -> None:
    prior = CATALOGUE.priors[strategy]
    before = first_time_fix(prior, difficulty, Tally())
    after = first_time_fix(prior, difficulty, Tally(fixed, not_fixed))
    assert 0 < after < 1
    seen = fixed / (fixed + not_fixed) if fixed + not_fixed else before
    assert min(before, seen) - 1e-9 <= after <= max(before, seen) + 1e-9


def test_failures_of_a_strategy_cost_it_its_place() -> None:
    never = {Strategy.SELF_REPAIR: Tally(0, 200)}
    assert rank(case())[0].strategy is Strategy.SELF_REPAIR
    assert rank(case(outcomes=never))[0].strategy is Strategy.WALK_IN


@given(st.floats(0, 100), st.floats(0, 100), outlooks)
def test_standing_still_lasts_the_work_and_at_most_the_whole_wait(
    lead: float, work: float, outlook: Outlook
) -> None:
    hours = standstill_h(lead, work, outlook)
    assert work <= hours <= work + lead + 1e-6


def test_a_part_that_comes_before_the_failure_costs_no_waiting() -> None:
    assert standstill_h(4, 1, SOON) == 1
    assert standstill_h(7, 1, SOON) == pytest.approx(1 + 0.93 * 0.3 * 2)
    assert standstill_h(20, 1, Outlook()) == 21


def test_duty_falls_due_only_where_the_kit_crosses_into_the_region() -> None:
    home = case(region="europe").job
    abroad = replace(home, source=replace(home.source, region="china"))
    assert bill(Strategy.SELF_REPAIR, home).duty == 0
    assert bill(Strategy.SELF_REPAIR, abroad).duty > 0
    assert bill(Strategy.SELF_REPAIR, replace(home, source=None)).lead_h == 66


def test_an_option_is_written_with_amounts_as_text() -> None:
    row = rank(case())[0].row()
    assert row["strategy"] == "self_repair"
    assert Decimal(row["cost"]) == rank(case())[0].expected.amount  # type: ignore[union-attr]
    assert msgspec.json.decode(msgspec.json.encode(row)) == row
