"""Cursors, problems and the answers kept for a key."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from api import paging, problems
from api.idempotency import request_hash
from api.order_moves import version_of
from api.problems import SignInRequired
from foremend.errors import Conflict, ForemendError, InputError, NotFound, Unavailable

KEYS = st.text(max_size=64) | st.integers(min_value=-(2**63), max_value=2**63)


@given(KEYS)
def test_a_cursor_gives_back_its_key_and_is_safe_in_an_address(key):
    cursor = paging.encode("devices", key)
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert paging.decode("devices", cursor, type(key)) == key


@given(st.text(max_size=200))
def test_whatever_is_made_up_is_refused_and_never_crashes(text):
    try:
        key = paging.decode("devices", text, str)
    except paging.BadCursor:
        return
    assert paging.encode("devices", key) == text


@pytest.mark.parametrize("value", ['["devices",true]', '["devices",1.5]', "[]", "3", '{"a":1}'])
def test_a_cursor_of_another_type_is_refused(value):
    cursor = base64.urlsafe_b64encode(value.encode()).rstrip(b"=").decode()
    with pytest.raises(paging.BadCursor):
        paging.decode("devices", cursor, int)


def test_a_cursor_of_another_list_is_refused():
    with pytest.raises(paging.BadCursor):
        paging.decode("alerts", paging.encode("devices", "a"), str)


def test_the_one_row_too_many_tells_that_more_follow():
    page = paging.page("n", [1, 2, 3], [1, 2, 3], 2)
    assert page.items == [1, 2]
    assert paging.decode("n", page.next, int) == 2
    assert paging.page("n", [1, 2], [1, 2], 2).next is None
    assert paging.page("n", [], [], 2).next is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (SignInRequired(), 401),
        (Unavailable("x"), 503),
        (InputError("f", 1, None, "x"), 422),
    ],
)
def test_each_error_has_its_status(error, status):
    assert problems.of_error(error).status == status


def test_an_error_that_nobody_foresaw_tells_no_inner_word():
    problem = problems.of_error(ForemendError("password is hunter2"))
    assert problem.status == 500
    assert "hunter2" not in str(problem.body("/x"))


def test_a_problem_names_its_kind_and_where_it_happened():
    body = problems.of_http(HTTPException(404)).body("/api/v1/x")
    assert body["type"] == "urn:foremend:problem:not_found"
    assert (body["status"], body["instance"]) == (404, "/api/v1/x")


@pytest.mark.parametrize("text", [None, "", "*", "3", '"x"', '"3', '"-1"', '"3", "4"'])
def test_only_one_version_of_ours_is_taken(text):
    with pytest.raises(problems.VersionRequired):
        version_of(text)


def test_a_weak_tag_counts_too():
    assert version_of('W/"12"') == 12


def test_requests_under_one_key_are_compared_by_what_they_ask():
    assert request_hash("move", 1, {"a": 1, "b": 2}) == request_hash("move", 1, {"b": 2, "a": 1})
    assert request_hash("move", 1, {}) != request_hash("move", 2, {})
