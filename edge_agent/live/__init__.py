"""What every source that stays connected to a device shares: its words, mapped, kept and framed.

What a protocol says stands in `edge_agent.sources`, one module a kind; nothing here knows any.
"""
