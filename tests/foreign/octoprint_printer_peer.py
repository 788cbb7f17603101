"""The virtual printer that comes with OctoPrint, at a pseudo-terminal.

    octoprint_printer_peer.py FOLDER

Each line on standard input is `plug LINK`, `unplug`, `noise HEX` (bytes for the port), or a command
for the printer; each is answered by `done`.
"""

import os
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path

from octoprint.plugin import plugin_manager, plugin_settings
from octoprint.plugins.virtual_printer import VirtualPrinterPlugin, virtual
from octoprint.settings import settings


def make(folder):
    settings(init=True, basedir=folder)
    plugin_manager(init=True, plugin_folders=[], plugin_entry_points=[], plugin_disabled_list=[])
    defaults = VirtualPrinterPlugin().get_settings_defaults()
    told = plugin_settings("virtual_printer", defaults=defaults)
    return virtual.VirtualPrinter(told, None, data_folder=folder, read_timeout=0.2)


class Port:
    def __init__(self, printer):
        self.printer = printer
        self.ends = ()
        self.link = None
        threading.Thread(target=self.speak, daemon=True).start()

    def plug(self, link):
        self.link = Path(link)
        self.ends = os.openpty()
        tty.setraw(self.ends[1])
        self.link.symlink_to(os.ttyname(self.ends[1]))
        threading.Thread(target=self.hear, args=self.ends[:1], daemon=True).start()

    def unplug(self):
        ends, self.ends = self.ends, ()
        self.link.unlink()
        # The host's end last: closing it while it is read would wait for the reader.
        for end in reversed(ends):
            os.close(end)

    def noise(self, data):
        with suppress(OSError, IndexError):
            os.write(self.ends[0], data)

    def hear(self, master):
        """Hand on what the host sends, line by line."""
        rest = b""
        while self.ends[:1] == (master,):
            try:
                *lines, rest = (rest + os.read(master, 4096)).split(b"\n")
            except OSError:
                # No host has the port open.
                threading.Event().wait(0.05)
                continue
            for line in lines:
                self.printer.write(line + b"\n")

    def speak(self):
        while True:
            line = self.printer.readline()
            if line:
                self.noise(line if line.endswith(b"\n") else line + b"\n")


def main(folder):
    printer = make(folder)
    port = Port(printer)
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "plug":
            port.plug(rest)
        elif word == "unplug":
            port.unplug()
        elif word == "noise":
            port.noise(bytes.fromhex(rest))
        else:
            printer.write(line.encode())
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
    # Its threads are no daemons, and would wait for ever.
    os._exit(0)
