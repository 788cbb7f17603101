-- name: put
INSERT INTO model_version (version, kind, cohort, stage, sha256, artefact, kid, signature, meta)
VALUES (%(version)s, %(kind)s, %(cohort)s, 'shadow', %(sha256)s, %(artefact)s, %(kid)s, %(signature)s, %(meta)s)
ON CONFLICT (version) DO NOTHING

-- name: get
SELECT version, kind, cohort, stage, sha256, artefact, kid, signature, meta, replaces
FROM model_version WHERE version = %(version)s

-- name: champion
SELECT version FROM model_version
WHERE kind = %(kind)s AND cohort = %(cohort)s AND stage = 'champion'

-- name: list
SELECT version, kind, cohort, stage, sha256, '\x'::bytea, kid, signature, meta, replaces
FROM model_version ORDER BY kind, cohort, created_at

-- name: lock
SELECT pg_advisory_xact_lock(7465, hashtext(%(kind)s || '/' || %(cohort)s))

-- name: retire
UPDATE model_version SET stage = 'retired'
WHERE kind = %(kind)s AND cohort = %(cohort)s AND stage = 'champion'

-- name: crown
UPDATE model_version SET stage = 'champion', promoted_at = now(), replaces = coalesce(%(replaces)s, replaces)
WHERE version = %(version)s
