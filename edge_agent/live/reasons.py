"""Why a device cannot be read, with what to do about it where that is known; pure."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BEHIND: Final = 8
_ADVICE: Final = {
    errno.EACCES: "the agent's user may not open it: add that user to the group that owns it,"
    " for serial ports usually dialout",
    errno.EPERM: "the agent's user may not do this",
    errno.ENOENT: "it is not there: is the device plugged in and switched on?",
    errno.ENXIO: "it is not there: is the device plugged in and switched on?",
    errno.ENODEV: "it is not there: is the device plugged in and switched on?",
    errno.EAGAIN: "another program has it: end that first, or read through it",
    errno.EBUSY: "another program has it: end that first, or read through it",
    errno.ENOTTY: "it is no serial port",
    errno.ECONNREFUSED: "nobody listens there: are address and port right, and is it running?",
    errno.EHOSTUNREACH: "there is no way to that host: is it switched on, and in this network?",
    socket.EAI_NONAME: "there is no host of that name: is it spelt right? its address will do",
    errno.EAFNOSUPPORT: "this machine has no such interface",
}


def reason_of(error: BaseException) -> str:
    """Give an error in its own words, and what to do behind it.

    >>> reason_of(ConnectionRefusedError(111, "Connection refused"))
    '[Errno 111] Connection refused; nobody listens there: are address and port right, and is it \
running?'
    """
    numbers = (one.errno for one in _chain(error) if isinstance(one, OSError))
    advice = next((_ADVICE[number] for number in numbers if number in _ADVICE), None)
    return str(error) if advice is None else f"{error}; {advice}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what lies behind it; of several tries the first."""
    behind: BaseException | None = error
    for _ in range(MOST_BEHIND):
        if behind is None:
            return
        yield behind
        if isinstance(behind, BaseExceptionGroup):
            behind = behind.exceptions[0]
        else:
            behind = behind.__cause__ or behind.__context__
