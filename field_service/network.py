"""The service network and its opening stock, and where devices stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg.rows import dict_row

from field_service.catalogue import load
from foremend.db import Queries
from foremend.errors import NotFound

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

_SQL: Final = Queries.load("field_service", "network.sql")


class Node(NamedTuple):
    """One node of the network that a new installation begins with."""

    id: str
    parent: str | None
    name: str
    kind: str
    operated_by: str
    region: str
    country: str
    currency: str
    time_zone: str


NETWORK: Final = (
    Node("hq", None, "Headquarters", "hq", "own", "china", "CN", "CNY", "Asia/Shanghai"),
    Node(
        "na", "hq", "North America Centre", "regional_centre", "own",
        "north_america", "US", "USD", "America/Chicago",
    ),
    Node(
        "na-lakeside", "na", "Lakeside Depot", "local_node", "dealer",
        "north_america", "US", "USD", "America/Chicago",
    ),
    Node(
        "na-northport", "na", "Northport Depot", "local_node", "outsourced",
        "north_america", "CA", "USD", "America/Toronto",
    ),
    Node(
        "eu", "hq", "Europe Centre", "regional_centre", "own",
        "europe", "DE", "EUR", "Europe/Berlin",
    ),
    Node(
        "eu-altfeld", "eu", "Altfeld Depot", "local_node", "dealer",
        "europe", "DE", "EUR", "Europe/Berlin",
    ),
    Node(
        "eu-rivemont", "eu", "Rivemont Depot", "local_node", "community",
        "europe", "FR", "EUR", "Europe/Paris",
    ),
    Node(
        "cn", "hq", "China Centre", "regional_centre", "own",
        "china", "CN", "CNY", "Asia/Shanghai",
    ),
    Node(
        "cn-east", "cn", "East Depot", "local_node", "own",
        "china", "CN", "CNY", "Asia/Shanghai",
    ),
    Node(
        "apac", "hq", "Asia-Pacific Centre", "regional_centre", "own",
        "asia_pacific", "SG", "SGD", "Asia/Singapore",
    ),
    Node(
        "apac-harbour", "apac", "Harbour Depot", "local_node", "outsourced",
        "asia_pacific", "SG", "SGD", "Asia/Singapore",
    ),
)  # fmt: skip
"""Plainly fictional places; parents stand before their children."""
OPENING: Final = {"hq": 500, "regional_centre": 60, "local_node": 12}
"""Kits of each kind that a node begins with."""


def seed_network(connection: psycopg.Connection[Any], tenant: str, *, at: datetime) -> None:
    """Make headquarters, four regional centres, their depots and opening stock; again is nothing.

    Inside the caller's transaction.
    """
    # Two who seed at once would both see no opening stock.
    connection.execute(_SQL["lock_network"], {"tenant": tenant})
    nodes = [{"tenant": tenant} | node._asdict() for node in NETWORK]
    stock = [
        {
            "tenant": tenant,
            "org_node": node.id,
            "kit": kit.code,
            "quantity": OPENING[node.kind],
            "at": at,
        }
        for node in NETWORK
        for kit in load().kits()
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_SQL["put_node"], nodes)
        cursor.executemany(_SQL["put_stock"], stock)


def place(
    connection: psycopg.Connection[Any],
    *,
    device_id: int,
    region: str,
    org_node: str | None,
    at: datetime,
    site: str = "",
    country: str = "",
    contract: str = "standard",
    warranty_until: datetime | None = None,
) -> None:
    """Say where a device stands from `at` on; what it says already is left alone.

    Inside the caller's transaction.

    Raises:
        NotFound: no such region or device.
    """
    if region not in load().regions:
        raise NotFound(f"there is no region {region!r}")
    placement = {
        "device_id": device_id,
        "region": region,
        "org_node": org_node,
        "site": site,
        "country": country,
        "contract": contract,
        "warranty_until": warranty_until,
        "at": at,
    }
    connection.execute(_SQL["end_placement"], placement)
    written = connection.execute(_SQL["put_placement"], placement).fetchone()
    if written is None and connection.execute(_SQL["is_placed"], placement).fetchone() is None:
        raise NotFound(f"there is no device {device_id}")


def unplaced(connection: psycopg.Connection[Any], tenant: str) -> list[dict[str, Any]]:
    """Give `{id, name, family, timeline, now}` of devices that nobody has said the place of."""
    cursor = connection.cursor(row_factory=dict_row)
    return cursor.execute(_SQL["unplaced"], {"tenant": tenant}).fetchall()
