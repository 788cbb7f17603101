"""Whom PostgreSQL runs as, and what it is told, follow from plain facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.command import Account
from stack.embedded.pg_settings import (
    MIB,
    NOBODY,
    Decision,
    Reason,
    decide_account,
    initdb_options,
    server_options,
)

ROOT, ALICE, BOB = (Account(uid=n, gid=n) for n in (0, 1000, 1001))


@pytest.mark.parametrize(
    ("ours", "cluster", "folder", "named", "account", "reason"),
    [
        (ALICE, None, ALICE, True, None, Reason.OURSELVES),
        (ALICE, ALICE, ALICE, True, None, Reason.OURSELVES),
        (ALICE, BOB, ALICE, True, None, Reason.FOREIGN),
        (ROOT, None, ROOT, True, NOBODY, Reason.NOBODY),
        (ROOT, None, ALICE, True, ALICE, Reason.OWNS_FOLDER),
        (ROOT, None, ALICE, False, NOBODY, Reason.NOBODY),
        (ROOT, BOB, ALICE, True, BOB, Reason.OWNS_CLUSTER),
        (ROOT, ROOT, ROOT, True, NOBODY, Reason.NOBODY),
    ],
)
def test_the_account_follows_from_who_owns_what(
    ours: Account,
    cluster: Account | None,
    folder: Account,
    named: bool,
    account: Account | None,
    reason: Reason,
) -> None:
    decision = decide_account(ours=ours, cluster=cluster, folder=folder, folder_has_name=named)

    assert decision == Decision(account=account, reason=reason)


def options(*, memory: int = 8 * 1024 * MIB, **changed: bool) -> dict[str, str]:
    facts = {"durable": True, "timescaledb": False} | changed
    return server_options(port=5433, memory=memory, max_connections=100, **facts)


@given(st.integers(min_value=64 * MIB, max_value=2**45))
def test_shared_memory_is_bounded_on_any_machine(memory: int) -> None:
    assert 128 <= int(options(memory=memory)["shared_buffers"].removesuffix("MB")) <= 1024


def test_only_loopback_can_reach_it() -> None:
    assert options()["listen_addresses"] == "127.0.0.1"
    assert options()["unix_socket_directories"] == ""


def test_real_data_are_flushed_and_test_data_are_not() -> None:
    flushes = ("fsync", "synchronous_commit", "full_page_writes")

    assert {options()[name] for name in flushes} == {"on"}
    assert {options(durable=False)[name] for name in flushes} == {"off"}


def test_timescaledb_is_loaded_without_telemetry_only_where_it_is() -> None:
    there = options(timescaledb=True)

    assert there["shared_preload_libraries"] == "timescaledb"
    assert there["timescaledb.telemetry_level"] == "off"
    assert not any("timescale" in word for item in options().items() for word in item)


@pytest.mark.parametrize(("major", "builtin"), [(16, False), (17, True), (18, True)])
def test_letters_sort_by_the_built_in_rules_where_there_are_any(major: int, builtin: bool) -> None:
    arguments = initdb_options(major=major, superuser="postgres", durable=True)

    assert ("--locale-provider=builtin" in arguments) is builtin
    assert "--auth=scram-sha-256" in arguments
