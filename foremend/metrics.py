"""A process's own metrics, for Prometheus to fetch; on loopback, and only where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import start_http_server

from foremend.errors import ConfigurationError

if TYPE_CHECKING:
    from foremend.settings import Settings

HOST: Final = "127.0.0.1"


def serve(settings: Settings) -> None:
    """Serve what this process counts at FOREMEND_METRICS_PORT; 0 serves nothing.

    Raises:
        ConfigurationError: the port is taken, as it is where two processes were told the same.
    """
    if not settings.metrics_port:
        return
    try:
        start_http_server(settings.metrics_port, addr=HOST)
    except OSError as error:
        raise ConfigurationError(
            f"metrics cannot be served on {HOST}:{settings.metrics_port} ({error.strerror}): "
            "give each process a FOREMEND_METRICS_PORT of its own"
        ) from error
