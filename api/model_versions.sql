-- name: list
SELECT version, kind, cohort, stage, sha256, kid, meta, octet_length(artefact) AS bytes,
       created_at, promoted_at, replaces,
       stage <> 'retired' AND EXISTS (SELECT FROM shadow_trial t WHERE t.version = m.version) AS tried
FROM model_version m
ORDER BY (stage = 'champion') DESC, (stage = 'shadow') DESC, created_at DESC, version
LIMIT 200
