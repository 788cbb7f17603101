"""Programs that answer as a printer's firmware would, backed by simulated printers.

Each protocol has its own modules; what they share is `printer`, one simulated printer that also
obeys. Nothing here is an agent's: agents meet these over their protocols alone.
"""
