-- Version 5. (`lease_ms` and `expires_ms` are times of the store's clock now.) Claims and merge leases belong to workers and run out by the store's own clock; the boots of machines and
-- the processes on them say nothing any more. What is open was claimed by an owner that is gone: it has run out already
-- when the file is opened, because the clock begins behind it. A pipeline is kept once, by content, and not in every task.

DROP INDEX job_running;
ALTER TABLE job DROP COLUMN lease_boot;
CREATE INDEX job_running ON job (lease_ms) WHERE state = 'running';

ALTER TABLE lease ADD COLUMN worker TEXT;
UPDATE lease SET worker = pid || '@' || boot_id WHERE holder_task IS NOT NULL;
ALTER TABLE lease DROP COLUMN pid;
ALTER TABLE lease DROP COLUMN boot_id;

CREATE TABLE pipeline (
  id   INTEGER PRIMARY KEY,
  body TEXT    NOT NULL UNIQUE
) STRICT;
-- A row that cannot be read stays as it is and keeps no other from being brought over.
INSERT INTO pipeline (body) SELECT DISTINCT json_extract(body, '$.pipeline') FROM task
  WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.pipeline') = 'object' ELSE 0 END ORDER BY 1;
ALTER TABLE task ADD COLUMN pipeline INTEGER REFERENCES pipeline (id);
UPDATE task SET pipeline = (SELECT p.id FROM pipeline p WHERE p.body = json_extract(task.body, '$.pipeline')),
  body = json_remove(body, '$.pipeline')
  WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.pipeline') = 'object' ELSE 0 END;
