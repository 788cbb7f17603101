-- What the pipes that ingest is measured against say to the database.

-- name: insert_frame
INSERT INTO frame (device_id, ts, boot_id, seq, schema_id, phase, quality, batch_id, vals)
VALUES (%(device_id)s, %(ts)s, 1, %(seq)s, 1, %(phase)s, %(quality)s, 1, %(vals)s)
