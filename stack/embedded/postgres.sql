-- What the supervisor asks the embedded server.
-- name: probe
SELECT 1
