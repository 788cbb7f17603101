"""Run as a file, not imported: put a program on a leash, then become it.

The program gets another user if asked, and a signal when the process that started it dies. This
cannot be done between fork and exec of a threaded parent without risking a deadlock, so it is
done here, in a process of its own that costs about 15 ms and needs only the standard library.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
CANNOT_START = 127
"""The exit status a shell gives to a program it could not start."""


def main() -> None:
    """Drop to the user, tie the leash, become the program."""
    options = _parse()
    try:
        if options.uid is not None:
            _become(options.uid, options.gid)
        # After the change of user: the kernel forgets the leash when credentials change.
        _tie(options.signal)
        if os.getppid() != options.parent:
            sys.exit(CANNOT_START)
        os.execvp(options.argv[0], options.argv)  # noqa: S606 - becoming it is the purpose
    except OSError as error:
        sys.stderr.write(f"cannot start {options.argv[0]}: {error.strerror}\n")
        sys.exit(CANNOT_START)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("--parent", "--signal"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--uid", "--gid"):
        parser.add_argument(name, type=int)
    parser.add_argument("argv", nargs="+")
    return parser.parse_args()


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
