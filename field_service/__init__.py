"""Work orders, strategies, kits, parts, service network, SLA and findings.

It acts on alerts; it never looks at telemetry except to verify a repair.
"""
