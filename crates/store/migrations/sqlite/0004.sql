-- Version 4. Whose turn it is: claims go round robin over projects, and by priority within a project.
-- What was kept long enough is found by when its task ended. People of exported journals have a number each.
-- `rank` is the priority with its sign turned round, so that the smallest goes first: 0 unless a person chose otherwise.

ALTER TABLE task     ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job      ADD COLUMN rank INTEGER NOT NULL DEFAULT 0;
DROP INDEX job_claim;
CREATE INDEX job_claim  ON job (lane, project, rank, available_at, id) WHERE state = 'queued';
CREATE INDEX job_held   ON job (lane, project)                         WHERE state = 'running';
-- What a project has at work or could begin: not what only looks at production for a while, and no messages.
CREATE INDEX job_active ON job (project, available_at)                 WHERE lane NOT IN ('watch', 'message');

-- When each project was served last in a lane: a counter, not a time.
CREATE TABLE turn (
  lane    TEXT    NOT NULL,
  project TEXT    NOT NULL,
  last    INTEGER NOT NULL,
  PRIMARY KEY (lane, project)
) STRICT, WITHOUT ROWID;

CREATE INDEX task_closed ON task (updated_at, id) WHERE open = 0;

-- `name` is NULL once a person is forgotten; the number stays.
CREATE TABLE person (
  id   INTEGER PRIMARY KEY,
  name TEXT UNIQUE
) STRICT;
