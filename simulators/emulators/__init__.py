"""Programs that answer as devices do, each before a simulated one.

What a protocol says stands here; what the device does is `simulators.fleet`'s.
"""
