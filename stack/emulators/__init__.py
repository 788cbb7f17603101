"""Composition roots of the emulators: a simulated printer, a protocol's voice, and a server.

How a protocol tells what a printer shows stands in `simulators.emulators`.
"""
