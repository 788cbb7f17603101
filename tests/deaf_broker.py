"""A process that reads at SIGHUP as Mosquitto does: what comes meanwhile is forgotten after it.

Run as `python deaf_broker.py FOLDER`. It lets anybody in who says CONNECT, on a port that it
prints first; then it prints what it has read each time, and is done reading once it gets a line.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from pathlib import Path

CONNACK = b"\x20\x02\x00\x00"
wanted = False


def want(*_: object) -> None:
    global wanted  # noqa: PLW0603 - a signal has no other way to tell
    wanted = True


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def read(file: Path) -> None:
    global wanted  # noqa: PLW0603
    say(",".join(line.split(":")[0] for line in file.read_text().splitlines()))
    sys.stdin.readline()
    wanted = False


def main(folder: Path) -> None:
    signal.signal(signal.SIGHUP, want)
    (folder / "broker.pid").write_text(str(os.getpid()))
    with socket.create_server(("127.0.0.1", 0)) as door:
        say(str(door.getsockname()[1]))
        while True:
            if wanted:
                read(folder / "device-passwords")
            elif select.select([door], [], [], 0.01)[0]:
                guest, _ = door.accept()
                with guest:
                    guest.recv(1024)
                    guest.sendall(CONNACK)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
