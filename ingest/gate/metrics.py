"""What the gate counts, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

LOGINS: Final = Counter(
    "foremend_gate_logins_total",
    "Devices that asked to come in, by what nats-server was answered",
    ["action", "reason"],
)
CUT: Final = Counter(
    "foremend_gate_sessions_cut_total", "Sessions ended at nats-server", ["reason"]
)
TOLD: Final = Counter(
    "foremend_gate_mosquitto_signals_total", "Times that Mosquitto was told to read its files anew"
)
DEVICES: Final = Gauge("foremend_gate_mosquitto_devices", "Devices in Mosquitto's files")
UNTOLD: Final = Gauge(
    "foremend_gate_mosquitto_untold", "1 while Mosquitto has not been told of the newest files"
)
