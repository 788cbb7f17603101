"""The outbox: what the agent keeps on its disk until ingest has committed it, and what it gives up.

`group` is what agents hold; `store` says what it asks of a disk. Sending is no part of it.
"""
