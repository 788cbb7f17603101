"""Printers that report over their own MQTT broker, as Bambu Lab's do on the local network."""
