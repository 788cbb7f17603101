"""Machines on a CAN bus, as SAE J1939 speaks on it."""
