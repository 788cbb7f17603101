"""The shared kernel: wire formats, domain values, errors, clock; for servers settings, log, db.

Nothing here knows a service; every service knows this.
"""
