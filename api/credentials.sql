-- Claim tokens and devices' credentials; nothing here is of use to who reads it.
-- name: add_claim
INSERT INTO claim_token (token_hash, tenant, device, made_by, expires_at)
VALUES (%(token_hash)s, %(tenant)s, %(device)s, %(made_by)s, now() + make_interval(secs => %(seconds)s))

-- name: forget_claims
DELETE FROM claim_token WHERE expires_at < now() - interval '30 days'

-- Locked until the transaction ends, so that of two who race one waits and finds it used.
-- name: claim
SELECT device, expires_at, used_at, used_device, used_secret
FROM claim_token
WHERE token_hash = %(token_hash)s
FOR UPDATE

-- name: use_claim
UPDATE claim_token
SET used_at = now(), used_device = %(device)s, used_secret = %(secret_hash)s
WHERE token_hash = %(token_hash)s

-- name: is_enrolled
SELECT EXISTS (SELECT FROM device_credential
               WHERE tenant = %(tenant)s AND device = %(device)s AND revoked_at IS NULL) AS enrolled

-- name: put
INSERT INTO device_credential (tenant, device, secret_hash, mosquitto_hash)
VALUES (%(tenant)s, %(device)s, %(secret_hash)s, %(mosquitto_hash)s)
ON CONFLICT (tenant, device) DO UPDATE
SET secret_hash = excluded.secret_hash, mosquitto_hash = excluded.mosquitto_hash,
    changed_at = clock_timestamp(), revoked_at = NULL
WHERE device_credential.revoked_at IS NOT NULL OR %(replace)s
RETURNING login

-- Whoever repeats a renewal whose answer was lost is answered alike.
-- name: renew
UPDATE device_credential
SET secret_hash = %(new_hash)s, mosquitto_hash = %(mosquitto_hash)s, changed_at = clock_timestamp()
WHERE tenant = %(tenant)s AND device = %(device)s AND revoked_at IS NULL AND secret_hash = %(secret_hash)s
RETURNING login

-- name: is_current
SELECT EXISTS (SELECT FROM device_credential
               WHERE tenant = %(tenant)s AND device = %(device)s AND revoked_at IS NULL
                 AND secret_hash = %(new_hash)s) AS current

-- name: rotate
UPDATE device_credential
SET secret_hash = %(secret_hash)s, mosquitto_hash = %(mosquitto_hash)s, changed_at = clock_timestamp()
WHERE tenant = %(tenant)s AND device = %(device)s AND revoked_at IS NULL
RETURNING login

-- name: revoke
UPDATE device_credential
SET revoked_at = clock_timestamp(), changed_at = clock_timestamp()
WHERE tenant = %(tenant)s AND device = %(device)s AND revoked_at IS NULL
RETURNING login

-- name: list
SELECT device, login, made_at, changed_at, revoked_at
FROM device_credential
WHERE tenant = %(tenant)s AND (%(after)s::text IS NULL OR device > %(after)s)
ORDER BY device
LIMIT %(limit)s
