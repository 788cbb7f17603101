"""What a device is told: signed commands, each obeyed once, and its desired configuration.

Sampling and sending, which a command may touch, stand elsewhere and are reached by Protocols.
"""
