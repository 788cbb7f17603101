"""The virtual printer that comes with OctoPrint, at a pseudo-terminal of its own.

    octoprint_printer_peer.py FOLDER LINK

Each line on standard input is a command for the printer, or `noise HEX`: bytes for the port.
"""

import os
import sys
import threading
import tty
from pathlib import Path

from octoprint.plugin import plugin_manager, plugin_settings
from octoprint.plugins.virtual_printer import VirtualPrinterPlugin, virtual
from octoprint.settings import settings


def make(folder):
    settings(init=True, basedir=folder)
    plugin_manager(init=True, plugin_folders=[], plugin_entry_points=[], plugin_disabled_list=[])
    told = plugin_settings(
        "virtual_printer", defaults=VirtualPrinterPlugin().get_settings_defaults()
    )
    return virtual.VirtualPrinter(told, None, data_folder=folder, read_timeout=0.2)


def hear(printer, master):
    """Hand on what the host sends, line by line."""
    rest = b""
    while True:
        *lines, rest = (rest + os.read(master, 4096)).split(b"\n")
        for line in lines:
            printer.write(line + b"\n")


def speak(printer, master):
    while True:
        line = printer.readline()
        if line:
            os.write(master, line if line.endswith(b"\n") else line + b"\n")


def main(folder, link):
    printer = make(folder)
    master, slave = os.openpty()
    tty.setraw(slave)
    Path(link).symlink_to(os.ttyname(slave))
    for work in (hear, speak):
        threading.Thread(target=work, args=(printer, master), daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        if line.startswith("noise "):
            os.write(master, bytes.fromhex(line[6:]))
        else:
            printer.write(line.encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Its threads are no daemons, and would wait for ever.
    os._exit(0)
