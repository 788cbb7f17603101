"""Who may come in at the broker: each device as itself, by its own secret, until it is revoked.

What devices say and hear is not looked at here; credentials are made by the API.
"""
