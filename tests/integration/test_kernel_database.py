"""The database's walls, roles and migrations, as the server itself enforces them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from foremend.db import EVERY_TENANT, bootstrap, connect, transaction
from foremend.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from foremend.db import Connection

LEDGERS = ("work_order_event", "alert_event", "audit_log", "finding", "part_movement")
BEFORE_A_TENANT_IS_KNOWN = {"user_account"}
"""Whoever signs in is looked up first; only then is it known whose rows they may see."""

REVISIONS = Path(bootstrap.__file__).parent / "migrations" / "versions"
HISTORY = b"""
INSERT INTO timeline (name, kind) VALUES ('live', 'live');
INSERT INTO channel_schema (hash, channels) VALUES ('s', '[]');
INSERT INTO device (tenant, timeline, name, partition, family, state)
VALUES ('demo', 'live', 'voron', 1, 'fdm_printer', 'online');
INSERT INTO boot (device_id, name, booted_at, clock, schema_id, birth)
SELECT d.id, 'b', now(), 'trusted', s.id, '' FROM device d, channel_schema s;
INSERT INTO event (device_id, boot_id, seq, ts, code, severity, batch_id)
SELECT device_id, id, 0, now(), 'heater_not_heating', 'critical', 1 FROM boot;
INSERT INTO alert (tenant, timeline, device_id, kind, component, state, inhibited_by,
                   opened_at, fired_at, updated_at)
SELECT 'demo', 'live', d.id, 'failure', a.component, a.state, a.muted, now(), now(), now()
FROM device d, (VALUES ('a', 'firing', NULL), ('b', 'acknowledged', 'open_work_order'),
                       ('c', 'firing', 'silenced'), ('d', 'resolved', NULL))
    AS a (component, state, muted)
ORDER BY a.component;
"""
"""An event and alerts as the revision before faults left them."""


@pytest.fixture
def app(migrated_urls) -> Iterator[Connection]:
    with connect(migrated_urls.app, name="test") as connection:
        yield connection


def put_device(connection: Connection, tenant: str, name: str) -> None:
    connection.execute(
        "INSERT INTO device (tenant, timeline, name, partition, family)"
        " VALUES (%s, 'live', %s, 1, 'fdm_printer')",
        (tenant, name),
    )


@pytest.fixture
def two_tenants(app) -> Connection:
    with transaction(app, tenant=EVERY_TENANT):
        app.execute(
            "INSERT INTO timeline (name, kind) VALUES ('live', 'live') ON CONFLICT DO NOTHING"
        )
        put_device(app, "one", "printer-01")
        put_device(app, "two", "printer-02")
    return app


def names(connection: Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM device ORDER BY name")]


def test_a_transaction_sees_its_tenants_rows_alone(two_tenants) -> None:
    with transaction(two_tenants, tenant="one"):
        assert names(two_tenants) == ["printer-01"]
    with transaction(two_tenants, tenant=EVERY_TENANT):
        assert names(two_tenants) == ["printer-01", "printer-02"]


def test_without_a_tenant_nothing_is_seen(two_tenants) -> None:
    assert names(two_tenants) == []


def test_the_tenant_ends_with_its_transaction(two_tenants) -> None:
    with transaction(two_tenants, tenant="one"):
        pass
    assert names(two_tenants) == []


def test_rows_of_another_tenant_can_be_neither_made_nor_changed_nor_removed(two_tenants) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
        transaction(two_tenants, tenant="one"),
    ):
        put_device(two_tenants, "two", "printer-03")
    with transaction(two_tenants, tenant="one"):
        changed = two_tenants.execute("UPDATE device SET firmware = 'x' WHERE tenant = 'two'")
        removed = two_tenants.execute("DELETE FROM device WHERE tenant = 'two'")
    assert (changed.rowcount, removed.rowcount) == (0, 0)


def test_a_block_that_fails_leaves_nothing(two_tenants) -> None:
    def put_two() -> None:
        with transaction(two_tenants, tenant="one"):
            put_device(two_tenants, "one", "printer-09")
            put_device(two_tenants, "one", "printer-01")

    with pytest.raises(psycopg.errors.UniqueViolation):
        put_two()
    with transaction(two_tenants, tenant="one"):
        assert names(two_tenants) == ["printer-01"]


def test_the_wall_stands_around_every_table_that_names_a_tenant(migrated_urls) -> None:
    with connect(migrated_urls.owner, name="test") as owner:
        rows = owner.execute(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'"
            " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for name, walled in rows if not walled} == BEFORE_A_TENANT_IS_KNOWN


def test_even_the_owner_of_the_schema_sees_through_the_wall(migrated_urls, two_tenants) -> None:
    with connect(migrated_urls.owner, name="test") as owner:
        assert owner.execute("SELECT count(*) FROM device").fetchone() == (0,)


@pytest.mark.parametrize("role", [bootstrap.APP, bootstrap.OWNER])
def test_neither_role_is_above_the_rules(app, role) -> None:
    row = app.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb"
        " FROM pg_roles WHERE rolname = %s",
        (role,),
    ).fetchone()
    assert row == (False, False, False, False)


def test_the_runtime_role_owns_nothing_and_belongs_to_no_other(app) -> None:
    owned = app.execute(
        "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = %s", (bootstrap.APP,)
    ).fetchone()
    member = app.execute(
        "SELECT count(*) FROM pg_auth_members WHERE member = %s::regrole", (bootstrap.APP,)
    ).fetchone()
    assert (owned, member) == ((0,), (0,))


@pytest.mark.parametrize(
    "statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET tenant = 'x'"]
)
@pytest.mark.parametrize("ledger", LEDGERS)
def test_the_runtime_role_cannot_rewrite_a_ledger(app, ledger, statement) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        transaction(app, tenant=EVERY_TENANT),
    ):
        app.execute(statement.format(ledger))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE work_order",
        "ALTER TABLE device DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant_wall ON device",
        "CREATE TABLE mine (x int)",
        "UPDATE alembic_version SET version_num = '0001'",
        "SET ROLE foremend_owner",
    ],
)
def test_the_runtime_role_cannot_change_the_rules(app, statement) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def test_from_nothing_the_schema_comes_to_the_newest_revision_and_stays_there(
    migrated_template, new_database, migrated_urls
) -> None:
    url = new_database(owner=bootstrap.OWNER)
    owner_url = url.replace(url.split("@")[0], migrated_urls.owner.split("@")[0])
    with connect(owner_url, name="test") as owner:
        assert bootstrap.present_revision(owner) is None
    assert bootstrap.migrate(owner_url) == bootstrap.newest_revision()
    with connect(owner_url, name="test") as owner:
        owner.execute("INSERT INTO timeline (name, kind) VALUES ('sim:kept', 'sim')")
    bootstrap.migrate(owner_url)
    with connect(owner_url, name="test") as owner:
        assert bootstrap.present_revision(owner) == bootstrap.newest_revision()
        kept = owner.execute("SELECT kind FROM timeline WHERE name = 'sim:kept'").fetchone()
    assert kept == ("sim",)


def test_the_revision_of_faults_alarms_nobody_by_history_and_knows_who_was_told(
    new_database, migrated_urls
) -> None:
    url = new_database(owner=bootstrap.OWNER)
    owner_url = url.replace(url.split("@")[0], migrated_urls.owner.split("@")[0])
    *before, faults = (f for f in sorted(REVISIONS.glob("*.sql")) if f.stem < "0010")
    with connect(owner_url, name="test") as owner:
        for file in before:
            owner.execute(file.read_bytes())
        with transaction(owner, tenant=EVERY_TENANT):
            owner.execute(HISTORY)
        with owner.transaction():
            owner.execute(faults.read_bytes())
        with transaction(owner, tenant=EVERY_TENANT):
            waiting = owner.execute("SELECT FROM event WHERE handled_at IS NULL").fetchall()
            told = owner.execute("SELECT told_at = fired_at FROM alert ORDER BY id").fetchall()
    assert waiting == []
    assert told == [(True,), (True,), (None,), (None,)]


def test_roles_and_database_are_made_once(postgres_server, migrated_template) -> None:
    with psycopg.connect(postgres_server.url(), autocommit=True) as superuser:
        assert bootstrap.create_database(superuser, migrated_template) is False


def test_a_server_that_does_not_answer_is_told_in_one_line() -> None:
    with pytest.raises(Unavailable) as refusal:
        connect("postgresql://nobody@127.0.0.1:1/none", name="test")
    told = str(refusal.value)
    assert told.startswith("the database does not answer: ")
    assert "\n" not in told
