"""A soak: a real agent before a real OctoPrint for a long time, its cables pulled at random.

Who saw what, and what that comes to, stands here; single faults stand in `stack.drill`.
"""
