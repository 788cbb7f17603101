"""How our own services are started as processes, and what they are told."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foremend.ready import VARIABLE, announced
from stack import readiness
from stack.command import Command
from stack.embedded.broker import EmbeddedBroker
from stack.embedded.postgres import EmbeddedPostgres
from stack.restarts import Terms
from stack.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stack.embedded.datadir import DataDir
    from stack.site import Site

SERVERS: Final = (EmbeddedPostgres.name, EmbeddedBroker.name)
RUN: Final = "run"
"""The folder in which services say that they serve."""
PATIENCE_S: Final = 180.0
"""A scoring process first lives through what it had scored since its last snapshot."""
RECOVERY_S: Final = 300.0
"""How long PostgreSQL may take to recover from a crash, before it lets anybody in."""


def servers(postgres: EmbeddedPostgres, broker: EmbeddedBroker) -> list[Service]:
    """Describe the servers that every service needs."""
    return [Service.of(postgres, Terms(patience=RECOVERY_S)), Service.of(broker)]


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
        "FOREMEND_DEVICE_BROKER": f"{broker.host}:{broker.device_port}",
        **broker.gate_terms,
    }


def foremend_command(argv: tuple[str, ...], told: Mapping[str, str]) -> Command:
    """Describe `foremend ARGV` with this interpreter, and what it is told by environment."""
    return Command(
        argv=(sys.executable, "-m", "stack", *argv),
        env={**os.environ, **told, "PYTHONUNBUFFERED": "1"},
    )


def foremend_service(
    name: str,
    told: Mapping[str, str],
    *argv: str,
    ready: Callable[[], bool] | None = None,
    vital: bool = True,
) -> Service:
    """Describe `foremend NAME ARGV` as a process to keep running.

    It is ready once it has said so (foremend.ready), and `ready`, if any, agrees.
    """
    folder = Path(told["FOREMEND_DATA_DIR"]) / RUN
    folder.mkdir(mode=0o700, exist_ok=True)
    file = readiness.file_of(folder, name)

    def serves() -> bool:
        return announced(file) is not None and (ready is None or ready())

    return Service(
        name=name,
        command=lambda: foremend_command((name, *argv), {**told, VARIABLE: str(file)}),
        ready=serves,
        prepare=lambda: file.unlink(missing_ok=True),
        terms=Terms(vital=vital, patience=PATIENCE_S, needs=SERVERS),
    )


def training(told: Mapping[str, str], histories: int) -> Service:
    """Describe the training of what has no model yet, as work that ends; a person watches it."""
    argv = ("train", "--simulated", str(histories), "--if-missing")
    return Service(
        name="train",
        command=lambda: foremend_command(argv, told),
        ready=lambda: False,
        terms=Terms(once=True, deaths=1, patience=math.inf, needs=SERVERS[:1]),
        output=sys.stderr.fileno(),
    )
