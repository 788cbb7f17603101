"""A program that watches and commands a printer of Bambu Lab's kind, by a library that is not ours.

    bambu_client_peer.py HOST PORT CODE SERIAL

Each line on standard input is `look`, or a command of the printer; each is answered by one line of
JSON. `bambulabs_api` asks, decodes and keeps everything.
"""

import json
import sys
import time

from bambulabs_api.mqtt_client import PrinterMQTTClient

PATIENCE_S = 20.0
COMMANDS = {
    "pause": lambda client: client.pause_print(),
    "resume": lambda client: client.resume_print(),
    "stop": lambda client: client.stop_print(),
    "heat": lambda client: client.send_gcode("M104 S60"),
    "blow": lambda client: client.set_part_fan_speed(255),
}


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def look(client):
    return {
        "state": client.get_printer_state().name,
        "nozzle": client.get_nozzle_temperature(),
        "nozzle_target": client.get_nozzle_temperature_target(),
        "bed": client.get_bed_temperature(),
        "part_fan": client.get_part_fan_speed(),
        "firmware": client.firmware_version(),
    }


def main(host, port, code, serial):
    client = PrinterMQTTClient(host, code, serial, port=int(port), pushall_timeout=1)
    client.connect()
    client.start()
    until = time.monotonic() + PATIENCE_S
    while not (client.ready() and client.firmware_version()) and time.monotonic() < until:
        time.sleep(0.05)
    tell(ready=client.ready())
    for line in sys.stdin:
        word = line.strip()
        tell(**(look(client) if word == "look" else {"sent": COMMANDS[word](client)}))
    client.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
