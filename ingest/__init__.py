"""From MQTT to the database: validate, store, commit, acknowledge.

Nothing is judged here; models read what this folder committed.
"""
