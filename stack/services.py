"""How our own services are started as processes, and what they are told."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from stack.command import Command
from stack.restarts import Terms
from stack.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stack.embedded.broker import EmbeddedBroker
    from stack.embedded.datadir import DataDir
    from stack.site import Site


def service_environment(
    home: DataDir, site: Site, broker: EmbeddedBroker, *, tenant: str
) -> dict[str, str]:
    """Give what every service of an installation is told; secrets go by environment alone."""
    return {
        "FOREMEND_DATA_DIR": str(home.path),
        "FOREMEND_TENANT": tenant,
        "FOREMEND_DATABASE_URL": site.app_url,
        "FOREMEND_OWNER_URL": site.owner_url,
        "FOREMEND_BROKER_HOST": broker.host,
        "FOREMEND_BROKER_PORT": str(broker.port),
        "FOREMEND_BROKER_USER": broker.services.user,
        "FOREMEND_BROKER_PASSWORD": broker.services.password,
    }


def foremend_command(argv: tuple[str, ...], told: Mapping[str, str]) -> Command:
    """Describe `foremend ARGV` with this interpreter, and what it is told by environment."""
    return Command(
        argv=(sys.executable, "-m", "stack", *argv),
        env={**os.environ, **told, "PYTHONUNBUFFERED": "1"},
    )


def foremend_service(name: str, told: Mapping[str, str], *argv: str) -> Service:
    """Describe `foremend NAME ARGV` as a process to keep running."""
    return Service(
        name=name,
        command=lambda: foremend_command((name, *argv), told),
        terms=Terms(patience=30),
    )
