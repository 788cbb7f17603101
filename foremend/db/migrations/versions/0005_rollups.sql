-- Rollups, and how far each was worked out.

SELECT;
