-- What the gate knows of devices' credentials.
-- name: listen
LISTEN foremend_access

-- name: of_logins
SELECT login, tenant, device, secret_hash, changed_at, revoked_at IS NOT NULL AS revoked
FROM device_credential
WHERE login = ANY(%(logins)s)

-- name: changed
-- Changed, not merely made, within so many seconds: whoever is in by the old ones must leave.
SELECT login
FROM device_credential
WHERE changed_at > now() - make_interval(secs => %(seconds)s) AND changed_at > made_at

-- name: valid
SELECT login, tenant, device, mosquitto_hash
FROM device_credential
WHERE revoked_at IS NULL
ORDER BY login
