"""Printers that report over their own MQTT broker, as Bambu Lab's do on the local network."""

from edge_agent.sources.bambu.peer import KIND

__all__ = ["KIND"]
