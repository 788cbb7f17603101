"""Finding devices on the local network and on this machine, and configurations to read them.

Nothing here opens a serial port or asks a device for more than its name.
"""
