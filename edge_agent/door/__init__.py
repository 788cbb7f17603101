"""How a device proves who it is: it claims credentials of its own, keeps and renews them.

What the broker makes of them is the gate's affair.
"""
