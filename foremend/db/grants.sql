-- name: grants
-- What the runtime role may do; run after every migration. It owns nothing and bypasses nothing.
GRANT USAGE ON SCHEMA public TO foremend_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO foremend_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO foremend_app;
REVOKE UPDATE, DELETE ON work_order_event, alert_event, audit_log, finding, part_movement FROM foremend_app;
GRANT UPDATE (verified) ON finding TO foremend_app;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM foremend_app;
REVOKE INSERT, UPDATE, DELETE ON dropped_section FROM foremend_app;
