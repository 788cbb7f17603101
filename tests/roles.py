"""How the tests sign in to their throw-away servers."""

ROLE_PASSWORD = "for-tests-alone"
"""Of both roles; a server is shared by modules, and roles belong to the whole server."""
