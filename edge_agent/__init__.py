"""Runs on or beside the device: sources, phases, outbox, publisher, commands.

No server code lives here, and no pydantic, structlog, rich or NumPy.
"""
