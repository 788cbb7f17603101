"""Who may do what, from where, and how often they may try; all pure."""

import doctest

import pytest
from argon2 import PasswordHasher
from starlette.requests import Request

from api import (
    desk,
    evidence,
    facts,
    forms,
    order_moves,
    paging,
    roles,
    story,
    throttle,
    views,
    wording,
)
from api.access import address_of, needs_https, same_origin
from api.accounts import Passwords, form_token, new_token, token_hash
from api.admin import new_password
from api.roles import PERMISSIONS, Permission, Role, permission_for_move

READING = {Permission.READ_FLEET, Permission.READ_ORDERS}
CHANGING = {
    Permission.HANDLE_ALERTS,
    Permission.OPEN_ORDERS,
    Permission.WORK_ORDERS,
    Permission.DIRECT_ORDERS,
}


@pytest.mark.parametrize(
    "module",
    [desk, evidence, facts, forms, paging, roles, story, throttle, views, wording, order_moves],
    ids=lambda module: module.__name__,
)
def test_examples_in_docstrings_hold(module):
    assert doctest.testmod(module).failed == 0


def test_every_role_has_a_row_and_only_the_administrator_has_all():
    assert set(PERMISSIONS) == set(Role)
    assert [r for r in Role if PERMISSIONS[r] == frozenset(Permission)] == [Role.ADMIN]


def test_an_auditor_changes_nothing_and_an_owner_sees_nothing():
    assert not PERMISSIONS[Role.AUDITOR] & CHANGING
    assert PERMISSIONS[Role.OWNER] == frozenset()


def test_an_outside_partner_sees_orders_and_not_the_fleet_behind_them():
    assert PERMISSIONS[Role.PARTNER] & READING == {Permission.READ_ORDERS}


@pytest.mark.parametrize("role", Role)
def test_whoever_changes_orders_may_read_them(role):
    allowed = PERMISSIONS[role]
    if allowed & {Permission.WORK_ORDERS, Permission.DIRECT_ORDERS, Permission.OPEN_ORDERS}:
        assert Permission.READ_ORDERS in allowed


@pytest.mark.parametrize("move", desk.Move)
def test_what_spends_money_or_ends_an_order_needs_direction(move):
    directed = move.value in {"choose", "ship", "cancel"}
    expected = Permission.DIRECT_ORDERS if directed else Permission.WORK_ORDERS
    assert permission_for_move(move.value) is expected


@pytest.mark.parametrize(
    ("pair", "address", "login", "reason"),
    [
        (4, 39, 199, throttle.Reason.WITHIN_LIMITS),
        (5, 5, 5, throttle.Reason.LOGIN_FROM_ADDRESS),
        (1, 40, 1, throttle.Reason.ADDRESS),
        (0, 0, 200, throttle.Reason.LOGIN),
    ],
)
def test_attempts_are_refused_at_each_limit(pair, address, login, reason):
    failures = throttle.Failures(pair=pair, address=address, login=login)
    decision = throttle.decide(failures)
    assert decision.reason is reason
    assert (decision.action is throttle.Action.TRY) == (reason is throttle.Reason.WITHIN_LIMITS)


def test_a_stranger_locks_nobody_out_from_where_they_are():
    stranger = throttle.Failures(pair=0, address=0, login=100)
    assert throttle.decide(stranger).action is throttle.Action.TRY


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({}, True),
        ({"origin": "https://console.example"}, True),
        ({"origin": "https://console.example.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-origin", "origin": "https://console.example"}, True),
        ({"sec-fetch-site": "cross-site", "origin": "https://console.example"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_a_request_from_another_origin_is_known(headers, own):
    assert same_origin(headers, "console.example") is own


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\nb", "/ "]
)
def test_only_a_path_of_ours_is_led_to(path):
    assert forms.local_path(path) == "/"


def test_a_path_of_ours_is_kept():
    assert forms.local_path("/alerts?show=all") == "/alerts?show=all"


def request(host: str, scheme: str = "http", client: str = "127.0.0.1") -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": scheme,
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", host.encode())],
            "client": (client, 1),
        }
    )


@pytest.mark.parametrize(
    ("host", "scheme", "needed"),
    [
        ("127.0.0.1:8420", "http", False),
        ("localhost:8420", "http", False),
        ("[::1]:8420", "http", False),
        ("localhost", "https", True),
        ("console.example", "http", True),
        ("10.0.0.7:8420", "http", True),
    ],
)
def test_a_cookie_travels_in_clear_on_this_machine_alone(host, scheme, needed):
    assert needs_https(request(host, scheme)) is needed


def test_addresses_of_one_ipv6_network_count_as_one():
    first, second = "2001:db8:1:2::1", "2001:db8:1:2:ffff::9"
    assert address_of(request("x", client=first)) == address_of(request("x", client=second))
    assert address_of(request("x", client="192.0.2.7")) == "192.0.2.7"


def test_a_password_is_verified_and_nobodys_never_is():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    kept = passwords.hash("right")
    assert passwords.verify(kept, "right")
    assert not passwords.verify(kept, "wrong")
    assert not passwords.verify(None, "right")
    assert not passwords.verify("not a hash", "right")


def test_tokens_are_long_and_the_forms_token_tells_nothing_of_the_cookies():
    token = new_token()
    assert len(token) == 43
    assert token != new_token()
    assert len({token, token_hash(token), form_token(token)}) == 3
    assert len(new_password()) == 19
