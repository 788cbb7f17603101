"""Run as a file, not imported: put a program on a leash, then become it.

    python leash.py PARENT SIGNAL USER PROGRAM [ARGUMENT...]

The program gets another user if asked (USER is `uid:gid`, or `-` for none), and SIGNAL when the
process PARENT that started it dies. This cannot be done between fork and exec of a threaded
parent without risking a deadlock, so it is done here, in a process of its own; it imports as
little as it can, being in the way of every start.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 127
"""The exit status a shell gives to a program it could not start."""


def main() -> None:
    """Drop to the user, tie the leash, become the program."""
    parent, signal, user, *argv = sys.argv[1:]
    try:
        if user != "-":
            _become(*map(int, user.split(":")))
        # After the change of user: the kernel forgets the leash when credentials change.
        _tie(int(signal))
        if os.getppid() != int(parent):
            sys.exit(CANNOT_START)
        os.execvp(argv[0], argv)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot start {argv[0]}: {error.strerror}\n")
        sys.exit(CANNOT_START)


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _tie(signal: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no signal on the parent's death")


if __name__ == "__main__":
    main()
