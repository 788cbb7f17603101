"""The session's servers are what the tests of every room stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from stack.embedded.mqtt_probe import Answer, Login, probe

if TYPE_CHECKING:
    from tests.conftest import BrokerAddress, DatabaseUrls, NewDatabase


def count_tables(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_an_empty_database_is_empty_and_of_ones_own(
    database_url: str, new_database: NewDatabase
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE mine ()")

    assert count_tables(database_url) == 1
    assert count_tables(new_database()) == 0


def test_a_migrated_database_has_tables_that_the_runtime_role_may_read_but_not_drop(
    migrated_urls: DatabaseUrls,
) -> None:
    assert count_tables(migrated_urls.app) > 10
    with (
        psycopg.connect(migrated_urls.app) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("DROP TABLE work_order")


def test_the_broker_lets_its_login_in_and_nobody_else(broker: BrokerAddress) -> None:
    right = Login(user=broker.user, password=broker.password)
    wrong = Login(user=broker.user, password="wrong")

    assert probe(broker.host, broker.port, right) is Answer.ACCEPTED
    assert probe(broker.host, broker.port, wrong) is Answer.NOT_ALLOWED
