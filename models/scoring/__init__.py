"""The scoring service: the input log in, health, anomalies and predictions out.

`engine` is pure and does not know the database; `store` reads the log and writes the outputs with
the position they follow from; `service` is the loop. The same engine scores live and catches up.
"""
