"""Printers that run Klipper, read and commanded through Moonraker's WebSocket.

What Klipper's words mean as channels stands in `edge_agent/mappings/klipper.toml`.
"""
