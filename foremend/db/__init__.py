"""The database for servers: connections, tenant-walled transactions, named SQL, migrations."""

from foremend.db.connection import EVERY_TENANT, Connection, connect, open_pool, transaction
from foremend.db.queries import Queries

__all__ = ["EVERY_TENANT", "Connection", "Queries", "connect", "open_pool", "transaction"]
