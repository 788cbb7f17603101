"""Features, anomaly, prognosis, drift, registry, training, backtests, the scoring service.

Decisions about people and parts live in alerting and field_service, not here.
"""
