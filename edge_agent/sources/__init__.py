"""Where readings come from, a folder or a module a kind; each is found by its entry point.

A folder's `peer` is what speaks to the device and offers the kind; modules beside it read its words
and are pure. What every source shares stands in `edge_agent.live` and `edge_agent.source`.
"""
