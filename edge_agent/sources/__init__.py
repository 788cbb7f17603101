"""Where readings come from, one module a kind; each is found by its entry point.

What every source shares stands in `edge_agent.source`; what becomes of a reading, in its `intake`.
"""
