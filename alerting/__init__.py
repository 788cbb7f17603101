"""From prediction to alert: pure decisions, grouping, inhibition, silences, notification outbox.

Work orders live in field_service.
"""
