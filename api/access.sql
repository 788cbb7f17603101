-- Accounts and sessions stand outside the tenants' walls: who it is must be known before whose rows may be seen.
-- name: account_by_login
SELECT id, login, tenant, role, region, locale, time_zone, password_hash
FROM user_account
WHERE login = %(login)s AND password_hash IS NOT NULL AND disabled_at IS NULL

-- name: account_by_session
SELECT u.id, u.login, u.tenant, u.role, u.region, u.locale, u.time_zone,
       s.expires_at < now() + interval '6 hours' AS stale
FROM session s
JOIN user_account u ON u.id = s.user_id
WHERE s.token_hash = %(token_hash)s AND s.expires_at > now() AND u.disabled_at IS NULL

-- name: account_by_token
SELECT id, login, tenant, role, region, locale, time_zone
FROM user_account
WHERE token_hash = %(token_hash)s AND disabled_at IS NULL

-- name: open_session
INSERT INTO session (token_hash, user_id, expires_at)
VALUES (%(token_hash)s, %(user_id)s, now() + interval '12 hours')

-- Used while it lasts, a session goes on, for a week at most.
-- name: extend_session
UPDATE session
SET expires_at = least(now() + interval '12 hours', created_at + interval '7 days')
WHERE token_hash = %(token_hash)s

-- name: close_session
DELETE FROM session WHERE token_hash = %(token_hash)s

-- name: forget_old
WITH gone AS (DELETE FROM session WHERE expires_at < now())
DELETE FROM sign_in_failure WHERE at < now() - interval '1 day'

-- name: count_failures
SELECT count(*) FILTER (WHERE login = %(login)s AND address = %(address)s) AS pair,
       count(*) FILTER (WHERE address = %(address)s) AS address,
       count(*) FILTER (WHERE login = %(login)s) AS login
FROM sign_in_failure
WHERE at > now() - make_interval(mins => %(minutes)s)

-- name: note_failure
INSERT INTO sign_in_failure (login, address) VALUES (%(login)s, %(address)s)

-- name: forgive_failures
DELETE FROM sign_in_failure WHERE login = %(login)s AND address = %(address)s

-- name: rehash
UPDATE user_account SET password_hash = %(password_hash)s WHERE id = %(id)s

-- name: has_local_admin
SELECT EXISTS (SELECT FROM user_account
               WHERE tenant = %(tenant)s AND role = 'admin' AND password_hash IS NOT NULL)

-- name: login_taken
SELECT EXISTS (SELECT FROM user_account WHERE login = %(login)s)

-- name: add_account
INSERT INTO user_account (tenant, login, password_hash, role)
VALUES (%(tenant)s, %(login)s, %(password_hash)s, %(role)s)
ON CONFLICT (login) DO NOTHING

-- name: set_token
INSERT INTO user_account (tenant, login, token_hash, role)
VALUES (%(tenant)s, %(login)s, %(token_hash)s, %(role)s)
ON CONFLICT (login) DO UPDATE
SET token_hash = excluded.token_hash, role = excluded.role
WHERE user_account.tenant = excluded.tenant AND user_account.password_hash IS NULL
RETURNING id
