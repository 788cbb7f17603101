-- name: enrol
INSERT INTO device_credential (tenant, device, secret_hash, mosquitto_hash)
SELECT %(tenant)s, device, secret_hash, ''
FROM unnest(%(devices)s::text[], %(hashes)s::bytea[]) AS d (device, secret_hash)
