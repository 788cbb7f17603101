"""Which of a device's readings are worth sending: deadbands, periods, windows, bursts, staleness.

Pure; by the readings' own instants. No clock, no queue and no link lives here.
"""
