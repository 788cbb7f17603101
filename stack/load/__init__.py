"""A crowd of simulated devices over the real wire, many thousands in one process, to load a system.

Devices are the simulators' own; what troubles them is switched on by choice. No agent runs here.
"""
