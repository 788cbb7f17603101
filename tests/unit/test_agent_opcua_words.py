"""What OPC UA's paths and states mean, and how old a reading is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.live.ages import Ages
from edge_agent.sources.opcua.words import Node, Step, age_ms, health_of, state_of, target, uris
from foremend.errors import ConfigurationError

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("nsu=urn:a:b;s=Ram.Force", Node(uri="urn:a:b", identifier="s=Ram.Force")),
        ("nsu=http://a.example/UA/;i=5", Node(uri="http://a.example/UA/", identifier="i=5")),
        ("i=2259", Node(uri=None, identifier="i=2259")),
        ("ns=0;i=2259", Node(uri=None, identifier="i=2259")),
        (
            "/Objects/{http://a.example/UA/}Press/{urn:b}Ram Force",
            (
                Step(uri=None, name="Objects"),
                Step(uri="http://a.example/UA/", name="Press"),
                Step(uri="urn:b", name="Ram Force"),
            ),
        ),
    ],
)
def test_a_path_names_a_node_or_the_way_to_it(path, read) -> None:
    assert target(path) == read


@pytest.mark.parametrize("path", ["", "ns=2;s=Speed", "Speed", "/", "/A//B", "/{urn:a}", "nsu=a"])
def test_an_index_or_anything_else_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="is neither nsu="):
        target(path)


def test_the_namespaces_of_targets_are_told_once() -> None:
    found = uris([target("nsu=urn:a;i=1"), target("/Objects/{urn:a}B/{urn:c}D"), target("i=5")])
    assert found == {"urn:a", "urn:c"}


@pytest.mark.parametrize(
    ("value", "health"),
    [(1, ("failure", "error")), (0, ("normal", "info")), (7, None), ("bad", None), (None, None)],
)
def test_a_health_is_one_of_five(value, health) -> None:
    assert health_of(value) == health


@pytest.mark.parametrize(
    ("value", "state"), [(3, "Executing"), ("NotExecuting", "NotExecuting"), (9, "9")]
)
def test_a_state_is_known_by_name_and_by_number(value, state: str) -> None:
    assert state_of(value) == state


def test_an_age_is_the_time_between_the_servers_own_stamps() -> None:
    assert age_ms(NOON, NOON - timedelta(seconds=1.5)) == 1500
    assert age_ms(NOON, None) == 0


@given(st.lists(st.tuples(st.integers(1, 5_000), st.integers(-10_000, 10**9)), min_size=1))
def test_whatever_a_peers_clock_does_what_it_tells_later_is_later(told) -> None:
    ages, now_ms, before_ms = Ages(most_ms=2_000), 0, -(10**12)
    for passed_ms, said_ms in told:
        now_ms += passed_ms
        at_ms = now_ms - ages.settle("a", said_ms, now_ms=now_ms)
        assert before_ms < at_ms <= now_ms
        assert now_ms - at_ms <= 2_000
        before_ms = at_ms
