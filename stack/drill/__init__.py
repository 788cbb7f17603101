"""Drills: break one thing under load, and hold what was stored against a ledger kept outside.

What is drilled is the real agent, broker, ingest and database; nothing of theirs is changed here.
"""
