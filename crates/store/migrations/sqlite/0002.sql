-- Version 2. What a job has done to its workers, and which outside service it waits for.
-- `parked` holds the service's name; `?` stands for a job of a kind the running version does not know.

ALTER TABLE job      ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job      ADD COLUMN parked TEXT;
ALTER TABLE job_done ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0;
CREATE INDEX job_parked ON job (parked) WHERE parked IS NOT NULL;
