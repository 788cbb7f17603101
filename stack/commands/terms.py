"""What commands share: options, lengths of time, the settings of a service."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from foremend import log, metrics, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from foremend.settings import Settings

DataDirOption = Annotated[
    Path, typer.Option(help="where all state lives", envvar="FOREMEND_DATA_DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM end what runs in here as Ctrl-C does: the processes that it started end too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def seconds(text: str) -> float:
    """Read a length of time: `90`, `60s`, `5m` or `2h`; gives seconds.

    >>> seconds("5m")
    300.0
    """
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 0)
    try:
        value = float(text[:-1] if unit else text) * (unit or 1)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a length of time such as 60s, 5m or 2h"
        ) from None
    if value <= 0:
        raise typer.BadParameter("a length of time must be above 0")
    return value


def settings_of(service: str) -> Settings:
    """Read the settings, and begin to log as `service`."""
    told = settings.load()
    log.configure(service, level=told.log_level, as_json=told.log_json)
    return told


def serve(
    service: str, run: Callable[[Settings, threading.Event], None], *, counted: bool = True
) -> None:
    """Run a service until SIGINT or SIGTERM; an error of ours is logged and ends it.

    What it counts is served beside it, if `counted`: the API serves its own.
    """
    told = settings_of(service)
    if counted:
        metrics.serve(told)
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    run(told, stop)
