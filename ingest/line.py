"""One connection to the broker: bytes in, bytes out, and never waiting for either."""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from foremend.errors import Unavailable
from ingest import packets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foremend.settings import Settings
    from ingest.packets import Control, Publish

CONNECT_S: Final = 10.0
READ: Final = 1 << 18
"""Bytes taken from the network at once."""
MOST_UNSENT: Final = 16 * 1024**2
"""A broker that takes nothing for so long has lost our acknowledgements; duplicates repeat them."""


class HungUp(Unavailable):
    """The broker has closed the connection, or stopped to answer."""


class Line:
    """A session that was accepted. Read by one thread; `send` may be called by any."""

    def __init__(self, link: socket.socket, *, session_present: bool) -> None:
        self._link = link
        self.session_present = session_present
        self._rest = b""
        self._unsent: deque[bytes] = deque()
        self._unsent_size = 0
        self._lock = threading.Lock()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)

    def send(self, more: bytes) -> bool:
        """Hand over bytes for the reading thread to send; False where too much waits already."""
        with self._lock:
            if self._unsent_size > MOST_UNSENT:
                return False
            self._unsent.append(more)
            self._unsent_size += len(more)
        os.eventfd_write(self._wake, 1)
        return True

    def turn(self, patience_s: float, *, reading: bool) -> tuple[list[Publish], list[Control]]:
        """Send what waits, and read what is there, after at most `patience_s`.

        Raises:
            HungUp: the connection has ended.
            packets.BrokenStream: what came is not MQTT.
        """
        writers = [self._link] if self._unsent else []
        readers: list[socket.socket | int] = [self._wake]
        if reading:
            readers.append(self._link)
        if not (reading and self._buffered()):
            readable, _, _ = select.select(readers, writers, [], patience_s)
            if self._wake in readable:
                os.eventfd_read(self._wake)
            reading = self._link in readable
        self._flush()
        if not reading:
            return [], []
        messages, others, self._rest = packets.split(self._rest + self._read())
        return messages, others

    def close(self) -> None:
        """End the connection."""
        self._link.close()
        with self._lock:
            os.close(self._wake)
            self._unsent_size = MOST_UNSENT + 1

    def flush(self, patience_s: float) -> None:
        """Send what waits, or give it up after a while."""
        self._link.settimeout(patience_s)
        with self._lock:
            rest = b"".join(self._unsent)
            self._unsent.clear()
        self._link.sendall(rest)

    def await_end(self, patience_s: float) -> None:
        """Wait until the broker closes the connection: only then has it read all that we said.

        What it says until then is left out; a persistent session gives it again.

        Raises:
            OSError: it did not close in time, or broke off.
        """
        self._link.settimeout(patience_s)
        while self._link.recv(READ):
            pass

    def _buffered(self) -> bool:
        return isinstance(self._link, ssl.SSLSocket) and self._link.pending() > 0

    def _flush(self) -> None:
        if not self._unsent:
            return
        with self._lock:
            waiting = b"".join(self._unsent)
            self._unsent.clear()
        try:
            sent = self._link.send(waiting)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError as error:
            raise HungUp(f"the broker went away: {error}") from error
        with self._lock:
            self._unsent_size -= sent
            if sent < len(waiting):
                self._unsent.appendleft(waiting[sent:])

    def _read(self) -> bytes:
        try:
            fresh = self._link.recv(READ)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            raise HungUp(f"the broker went away: {error}") from error
        if not fresh:
            raise HungUp("the broker hung up")
        return fresh


def dial(settings: Settings, client_id: str, *, keepalive_s: int, clean: bool) -> Line:
    """Open a session.

    Raises:
        Unavailable: nothing listens there, or the broker refuses us.
    """
    place = (settings.broker_host, settings.broker_port)
    secret = settings.broker_password if settings.broker_user else None
    hello = packets.connect(
        client_id,
        keepalive_s=keepalive_s,
        clean=clean,
        user=settings.broker_user,
        password=secret.get_secret_value() if secret else None,
    )
    try:
        link, answer = _asked(settings, hello)
    except OSError as error:
        raise Unavailable(f"no MQTT broker at {place[0]}:{place[1]}: {error}") from error
    if answer[0] != packets.CONNACK or answer[3]:
        link.close()
        raise Unavailable(f"the broker refuses us: {answer.hex()}")
    link.setblocking(False)
    return Line(link, session_present=bool(answer[2] & 1))


def greet(settings: Settings, client_id: str) -> None:
    """Open a clean session and leave; one of that name that was left behind is over.

    Raises:
        Unavailable: nothing listens there, or the broker refuses us.
    """
    line = dial(settings, client_id, keepalive_s=round(CONNECT_S), clean=True)
    line.send(packets.DISCONNECT)
    # It has answered; how it takes our leave is no matter.
    with suppress(OSError):
        line.flush(2.0)
    line.close()


def _asked(settings: Settings, hello: bytes) -> tuple[socket.socket, bytes]:
    """Connect, and hear what the broker answers to a CONNECT."""
    link = socket.create_connection((settings.broker_host, settings.broker_port), CONNECT_S)
    try:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.broker_tls:
            context = ssl.create_default_context()
            link = context.wrap_socket(link, server_hostname=settings.broker_host)
        link.sendall(hello)
        return link, _exactly(link, 4)
    except OSError:
        link.close()
        raise


def _exactly(link: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        fresh = link.recv(count - len(got))
        if not fresh:
            raise ConnectionResetError("closed before it answered")
        got += fresh
    return got


def refused(suback: bytes) -> Sequence[int]:
    """Give which filters of a SUBACK were refused, by their place."""
    return [n for n, code in enumerate(suback[2:]) if code == packets.SUBSCRIPTION_FAILED]
