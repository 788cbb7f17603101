"""What the embedded PostgreSQL is told: which user it runs as, and its configuration."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from stack.command import Account

MIB = 1024**2
NOBODY = Account(uid=65534, gid=65534)


class Reason(Enum):
    """Why the server runs as the user it runs as."""

    OURSELVES = "an ordinary user runs it as themselves"
    OWNS_CLUSTER = "the cluster belongs to that user already"
    OWNS_FOLDER = "the data folder belongs to that user"
    NOBODY = "PostgreSQL refuses to run as root"
    FOREIGN = "the cluster belongs to somebody else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The account to change to; None stays who we are."""

    account: Account | None
    reason: Reason


def decide_account(
    *, ours: Account, cluster: Account | None, folder: Account, folder_has_name: bool
) -> Decision:
    """Choose the server's user from who owns what; no user is ever made.

    `folder_has_name` says whether the folder's owner is in the user database, without which
    `initdb` will not run.
    """
    if ours.uid != 0:
        foreign = cluster is not None and cluster.uid != ours.uid
        return Decision(account=None, reason=Reason.FOREIGN if foreign else Reason.OURSELVES)
    if cluster is not None and cluster.uid != 0:
        return Decision(account=cluster, reason=Reason.OWNS_CLUSTER)
    if folder.uid != 0 and folder_has_name:
        return Decision(account=folder, reason=Reason.OWNS_FOLDER)
    return Decision(account=NOBODY, reason=Reason.NOBODY)


def server_options(
    *, port: int, memory: int, max_connections: int, durable: bool, timescaledb: bool
) -> dict[str, str]:
    """Return the server's settings for a machine with `memory` bytes.

    Loopback and passwords only, no socket file: its path may be at most 107 bytes long, and a
    data folder's is not ours to shorten.
    """
    shared = min(max(memory // 16, 128 * MIB), 1024 * MIB)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": str(port),
        "max_connections": str(max_connections),
        "shared_buffers": f"{shared // MIB}MB",
        "effective_cache_size": f"{max(memory // 2, 256 * MIB) // MIB}MB",
        "maintenance_work_mem": "128MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "15min",
        "wal_level": "replica",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %a ",
        "idle_in_transaction_session_timeout": "10min",
    }
    durability = "on" if durable else "off"
    options |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), durability)
    if timescaledb:
        options |= {
            "shared_preload_libraries": "timescaledb",
            "timescaledb.telemetry_level": "off",
            # We have no policies, which are all that its schedulers would run; each would take a
            # worker's slot, and hold a database that a test wants to copy.
            "timescaledb.max_background_workers": "0",
            "max_worker_processes": "24",
        }
    return options


def initdb_options(*, major: int, superuser: str, durable: bool) -> tuple[str, ...]:
    """Return the arguments that make a cluster, but for its place and password."""
    # The built-in provider knows all of Unicode's letters and sorts alike on every machine.
    locale = (
        ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")
        if major >= BUILTIN_LOCALE_SINCE
        else ("--no-locale",)
    )
    sync = () if durable else ("--no-sync",)
    return (
        *("--auth=scram-sha-256", f"--username={superuser}", "--encoding=UTF8"),
        *("--data-checksums", "--no-instructions", *locale, *sync),
    )


BUILTIN_LOCALE_SINCE = 17
