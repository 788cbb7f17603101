"""Exceedance tables: tails of what was seen, and beyond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import exceedance
from models.exceedance import Tables, added, binned, binned_at

values_of = st.lists(st.floats(0.0, 400.0), min_size=1, max_size=200)


def table_of(values: NDArray[np.float64] | list[float]) -> NDArray[np.uint16]:
    table = np.zeros((1, len(exceedance.EDGES)), np.uint16)
    for value in np.asarray(values, np.float64):
        table = added(table, binned(np.array([value])))
    return table


def log_tail(table: NDArray[np.uint16], values: NDArray[np.float64]) -> NDArray[np.float32]:
    """One value [n] for each table [n, b]."""
    tables = Tables(own=table[:, None], slots=np.arange(len(table)))
    asked = values[None].astype(np.float32)
    return exceedance.log_tail(tables, asked, tables.totals(1), binned_at(asked))[0]


def table_from(values: NDArray[np.float64]) -> NDArray[np.uint16]:
    """As `table_of`, for many values at once."""
    return (values[:, None] >= exceedance.EDGES).sum(axis=0).astype(np.uint16)[None]


@given(values_of)
@settings(deadline=None)
def test_the_order_of_values_does_not_matter(values: list[float]) -> None:
    assert np.array_equal(table_of(values), table_of(sorted(values)))


@given(values_of, st.lists(st.floats(0.0, 2000.0), min_size=2, max_size=20))
@settings(deadline=None)
def test_a_larger_value_is_never_less_unusual(values: list[float], asked: list[float]) -> None:
    asked = sorted(asked)
    table = np.repeat(table_of(values), len(asked), axis=0)
    tails = log_tail(table, np.array(asked))
    assert (tails >= 0).all()
    assert np.isfinite(tails).all()
    # Where the empirical part hands over to the extrapolation, the two need not meet exactly.
    assert (np.diff(tails) >= -0.7).all()


@pytest.mark.parametrize("share", [0.3, 0.1, 0.01, 0.001])
def test_the_tail_of_exponential_values_is_what_it_is(share: float) -> None:
    history = np.random.default_rng(0).exponential(2.0, 5000)
    asked = np.array([-2.0 * np.log(share)])
    assert log_tail(table_from(history), asked)[0] == pytest.approx(-np.log(share), rel=0.12)


def test_a_short_history_does_not_shout() -> None:
    rng = np.random.default_rng(1)
    short, long = (table_from(rng.exponential(1.0, n)) for n in (60, 6000))
    far = np.array([40.0])
    assert log_tail(short, far)[0] < 0.8 * log_tail(long, far)[0]


def test_an_empty_table_and_an_unknown_value_say_nothing() -> None:
    empty = np.zeros((1, len(exceedance.EDGES)), np.uint16)
    assert log_tail(empty, np.array([9.0]))[0] == 0
    assert log_tail(table_of([1.0, 2.0]), np.array([np.nan]))[0] == 0
    assert np.array_equal(table_of([1.0, np.nan]), table_of([1.0]))


def test_values_belong_where_the_last_edge_is_that_they_reach() -> None:
    edges = exceedance.EDGES
    between = np.random.default_rng(3).uniform(0.0, 600.0, 2000)
    expected = np.searchsorted(edges, between, side="right") - 1
    assert np.array_equal(binned_at(between), expected)
    assert np.array_equal(binned_at(edges), np.arange(len(edges)))
    assert binned_at(np.array([np.nan])) == -1


def test_a_full_table_forgets_half() -> None:
    table = np.full((1, len(exceedance.EDGES)), exceedance.CAPACITY - 1, np.uint16)
    assert added(table, binned(np.array([1e9])))[0, 0] == exceedance.CAPACITY // 2


@pytest.mark.parametrize("chance", [1e-2, 1e-4, 1e-6])
def test_a_quantile_is_where_the_tail_is(chance: float) -> None:
    table = table_from(np.random.default_rng(2).exponential(3.0, 3000))
    wanted = np.array([[-np.log(chance)]])
    value = exceedance.quantiles(table, wanted)[0]
    assert log_tail(table, value)[0] == pytest.approx(wanted[0, 0], rel=0.05)
