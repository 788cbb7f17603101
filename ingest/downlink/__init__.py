"""Commands and configurations on their way down, and their answers on the way up.

Who may send them is the API's affair; what a device makes of them is the agent's.
"""
