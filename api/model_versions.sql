-- name: list
SELECT version, kind, cohort, stage, sha256, kid, meta, octet_length(artefact) AS bytes,
       created_at, promoted_at, replaces
FROM model_version
ORDER BY (stage = 'champion') DESC, (stage = 'shadow') DESC, created_at DESC, version
LIMIT 200
