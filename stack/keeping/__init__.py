"""Keeping what was stored: checked against itself, carried away and brought back.

Each of these reads one snapshot of the database, so the services may run meanwhile.
"""
