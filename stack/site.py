"""What an installation needs before its services can start: roles, schema, people, places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from api import admin
from api.roles import Role
from field_service import network
from foremend.clock import to_datetime, wall_ms
from foremend.db import bootstrap, connect, storage, transaction
from foremend.values import TimelineKind
from foremend.wire import partition_of
from simulators.demo import MACHINES, PRINTERS

if TYPE_CHECKING:
    from typing import Any

    import psycopg

    from foremend.db import Connection
    from foremend.db.storage import Storage
    from stack.embedded.datadir import DataDir
    from stack.embedded.postgres import EmbeddedPostgres

DATABASE: Final = "foremend"
CREW_LOGIN: Final = "simulated-crew"
FLEET_WORDS: Final = f"{len(PRINTERS)} printers and {len(MACHINES)} machines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A database that is ready to be served."""

    owner_url: str
    app_url: str
    storage: Storage
    password: str | None
    """The new administrator's, told once; None where there is one already."""


def prepare_database(home: DataDir, postgres: EmbeddedPostgres, tenant: str) -> Site:
    """Bring an embedded server's database from whatever it is to the newest revision."""
    owner, app = home.secret(bootstrap.OWNER), home.secret(bootstrap.APP)
    with connect(postgres.url(), name="setup") as superuser:
        bootstrap.create_roles(superuser, owner_password=owner, app_password=app)
        bootstrap.create_database(superuser, DATABASE)
    with connect(postgres.url(DATABASE), name="setup") as superuser:
        _enable_timescale(superuser, postgres)
    address = postgres.url(DATABASE).rsplit("@", 1)[1]
    owner_url = f"postgresql://{bootstrap.OWNER}:{owner}@{address}"
    app_url = f"postgresql://{bootstrap.APP}:{app}@{address}"
    bootstrap.migrate(owner_url)
    with connect(app_url, name="setup") as connection:
        used = storage.in_use(connection)
        with transaction(connection, tenant=tenant):
            password = admin.ensure_admin(connection, tenant)
    return Site(owner_url=owner_url, app_url=app_url, storage=used, password=password)


def _enable_timescale(superuser: Connection, postgres: EmbeddedPostgres) -> None:
    """Use TimescaleDB where it is; raises StorageUnusable where the data need it and it is not."""
    before = storage.in_use(superuser)
    if before.timescaledb is None and bootstrap.can_enable_timescale(superuser):
        # Noted before it is done: a crash between the two must not leave a database unguarded.
        postgres.remember_timescaledb(postgres.timescaledb or "")
        bootstrap.enable_timescale(superuser)
    has = storage.in_use(superuser).timescaledb
    if has is not None:
        postgres.remember_timescaledb(has)


def seed_network(app_url: str, tenant: str) -> None:
    """Make the demonstration's service network, where there is none."""
    with (
        connect(app_url, name="setup") as connection,
        transaction(connection, tenant=tenant),
    ):
        network.seed_network(connection, tenant, at=to_datetime(wall_ms()))


def place_devices(connection: psycopg.Connection[Any], tenant: str) -> int:
    """Spread simulated devices that nobody has placed over the depots; gives their number.

    Where a device of somebody's own stands, nobody but its owner can say.
    """
    depots = [node for node in network.NETWORK if node.kind == "local_node"]
    with transaction(connection, tenant=tenant):
        nowhere = network.unplaced(connection, tenant)
        waiting = [device for device in nowhere if device["timeline"] != TimelineKind.LIVE.value]
        for device in waiting:
            node = depots[partition_of(device["name"]) % len(depots)]
            network.place(
                connection,
                device_id=device["id"],
                region=node.region,
                org_node=node.id,
                country=node.country,
                at=device["now"],
            )
    return len(waiting)


def crew_token(app_url: str, tenant: str) -> str:
    """Give the simulated crew a fresh token; the one before is void."""
    with connect(app_url, name="setup") as connection, transaction(connection, tenant=tenant):
        return admin.ensure_token(connection, tenant, CREW_LOGIN, Role.DISPATCHER)
