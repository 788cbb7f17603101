"""Choosing loopback ports, and saying who holds one that is taken."""

from __future__ import annotations

import socket

import psutil

from foremend.errors import ForemendError

LOOPBACK = "127.0.0.1"


class PortTaken(ForemendError):
    """The port is taken by another program; free it or choose another."""


def free_port() -> int:
    """Ask the kernel for a loopback port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on the loopback port now."""
    with socket.socket() as probe:
        # Servers set this too; without it, the closed connections of a server that just
        # stopped would make its port look taken for a minute.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def claim_port(wanted: int, *, purpose: str, option: str) -> int:
    """Return a port for `purpose`: the wanted one, or any free one when `wanted` is 0.

    Raises PortTaken, naming the holder where it can be seen and the `option` that chooses another.
    """
    if wanted == 0:
        return free_port()
    if is_free(wanted):
        return wanted
    raise PortTaken(
        f"Port {wanted} for {purpose} is taken by {holder(wanted) or 'another program'}; "
        f"stop that program or choose another port with {option}."
    )


def holder(port: int) -> str | None:
    """Name the program listening on a port, where the kernel lets us see it."""
    for connection in psutil.net_connections("tcp"):
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
        if listens and connection.pid is not None:
            return _describe(connection.pid)
    return None


def _describe(pid: int) -> str | None:
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return None
