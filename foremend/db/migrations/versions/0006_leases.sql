-- Leases of partitions, and what ingest needs to share them.

SELECT;
