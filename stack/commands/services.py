"""The services, one command each, to run apart or under `foremend up`."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from stack.commands.terms import serve

commands: Final = typer.Typer()


@commands.command()
def ingest() -> None:
    """Store what devices say, and acknowledge it once it is committed."""
    from ingest.app import run

    serve("ingest", run)


@commands.command()
def gate() -> None:
    """Let devices in at the broker, each as itself, and cut off whose credentials are revoked."""
    from ingest.gate.app import run

    serve("gate", run)


@commands.command()
def scoring() -> None:
    """Follow the input log: anomalies, hazards and predictions."""
    from models.scoring.service import run
    from stack.verified import VerifiedModels

    serve("scoring", lambda told, stop: run(told, VerifiedModels(told), stop))


@commands.command()
def alerting() -> None:
    """Turn predictions into alerts, and deliver notices and webhooks."""
    from alerting.service import run

    serve("alerting", run)


@commands.command(name="field-service")
def field_service() -> None:
    """Open work orders with the right fix, and verify repairs by telemetry."""
    from field_service.service import run

    serve("field-service", run)


@commands.command()
def api() -> None:
    """Serve the HTTP API and the console."""
    from api.app import run

    serve("api", run, counted=False)


@commands.command(context_settings={"ignore_unknown_options": True})
def agent(
    words: Annotated[
        list[str],
        typer.Argument(metavar="[enrol|renew] CONFIG", help="what to do; the agent's TOML file"),
    ],
) -> None:
    """Run the edge agent of one device, or see to its credentials: `enrol`, `renew`."""
    import os
    import sys

    # In place of this process: what the command line has loaded would weigh on a small board.
    os.execv(sys.executable, [sys.executable, "-m", "edge_agent", *words])  # noqa: S606 - our own program
