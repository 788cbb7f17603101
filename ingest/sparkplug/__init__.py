"""A second front door: Sparkplug B edge nodes, translated into the wire's own messages.

It decides what an edge node's messages mean; storing them, and what they look like then, is
ingest's own. Sparkplug has no acknowledgement after a commit, so promise 1 does not hold here.
"""
