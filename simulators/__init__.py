"""Physics of printers and machines, their faults, and fleets of them.

Truth about faults stays here and in a file apart; it never goes over the wire.
"""
