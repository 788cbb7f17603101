"""The database and the broker that come along: found, set up, started and stopped here.

No supervision loop lives here, and nothing that production's own servers would need.
"""
