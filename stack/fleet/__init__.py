"""The simulated fleet in the place of a real one: real agents, a crew, and a truth file.

Physics is in `simulators`; here it is joined to agents and to the API, as devices and people are.
"""
