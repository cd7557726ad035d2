-- Version 1. Times are Unix milliseconds; boot-clock milliseconds where a column says so. JSON is TEXT.
-- Rows of the hot table `job` are queued or running; what ended moves to `job_done` in the transaction that ends it.

CREATE TABLE task (
  id          INTEGER PRIMARY KEY,
  project     TEXT    NOT NULL,
  number      INTEGER NOT NULL,
  item        TEXT    NOT NULL COLLATE NOCASE UNIQUE,
  stage       TEXT    NOT NULL,
  phase       TEXT    NOT NULL,
  open        INTEGER NOT NULL CHECK (open IN (0, 1)),
  wake_at     INTEGER,
  waits_lease INTEGER NOT NULL CHECK (waits_lease IN (0, 1)),
  body        TEXT    NOT NULL,
  updated_at  INTEGER NOT NULL,
  UNIQUE (project, number)
) STRICT;
CREATE INDEX task_open         ON task (id)          WHERE open = 1;
CREATE INDEX task_open_project ON task (project, id) WHERE open = 1;
CREATE INDEX task_project      ON task (project, id);
CREATE INDEX task_wake         ON task (wake_at)     WHERE wake_at IS NOT NULL;
CREATE INDEX task_waits        ON task (project, id) WHERE waits_lease = 1;

CREATE TABLE job (
  id                 INTEGER PRIMARY KEY,
  task               INTEGER NOT NULL REFERENCES task (id),
  seq                INTEGER NOT NULL,
  project            TEXT    NOT NULL,
  lane               TEXT    NOT NULL,
  effect             TEXT    NOT NULL,
  kind               TEXT    NOT NULL,
  exclusive          TEXT,
  coalesce           TEXT,
  state              TEXT    NOT NULL CHECK (state IN ('queued', 'running')),
  epoch              INTEGER NOT NULL,
  attempts           INTEGER NOT NULL,
  max_attempts       INTEGER NOT NULL,
  transient_attempts INTEGER NOT NULL,
  run_attempt        INTEGER NOT NULL,
  available_at       INTEGER NOT NULL,
  worker             TEXT,
  lease_boot         TEXT,
  lease_ms           INTEGER, -- boot clock
  stop               INTEGER NOT NULL CHECK (stop IN (0, 1)),
  last_fault         TEXT,
  created_at         INTEGER NOT NULL,
  claimed_at         INTEGER,
  UNIQUE (task, seq),
  CHECK ((state = 'running') = (worker IS NOT NULL))
) STRICT;
CREATE INDEX job_claim    ON job (lane, available_at, id) WHERE state = 'queued';
CREATE INDEX job_delayed  ON job (available_at)           WHERE state = 'queued' AND available_at > created_at;
CREATE INDEX job_coalesce ON job (task, coalesce)         WHERE state = 'queued' AND coalesce IS NOT NULL;
CREATE INDEX job_running  ON job (lease_boot, lease_ms)   WHERE state = 'running';
-- Two running jobs with one exclusive key are impossible, whatever the claim says.
CREATE UNIQUE INDEX job_exclusive ON job (exclusive)      WHERE state = 'running' AND exclusive IS NOT NULL;

CREATE TABLE job_done (
  id                 INTEGER PRIMARY KEY,
  task               INTEGER NOT NULL REFERENCES task (id),
  seq                INTEGER NOT NULL,
  project            TEXT    NOT NULL,
  lane               TEXT    NOT NULL,
  effect             TEXT    NOT NULL,
  kind               TEXT    NOT NULL,
  state              TEXT    NOT NULL CHECK (state IN ('done', 'failed', 'cancelled')),
  epoch              INTEGER NOT NULL,
  attempts           INTEGER NOT NULL,
  max_attempts       INTEGER NOT NULL,
  transient_attempts INTEGER NOT NULL,
  run_attempt        INTEGER NOT NULL,
  available_at       INTEGER NOT NULL,
  worker             TEXT,
  stop               INTEGER NOT NULL,
  last_fault         TEXT,
  created_at         INTEGER NOT NULL,
  claimed_at         INTEGER,
  finished_at        INTEGER NOT NULL,
  outcome            TEXT    NOT NULL,
  UNIQUE (task, seq)
) STRICT;

-- How many jobs ended how, ever: `job_done` is never counted.
CREATE TABLE counter (
  name TEXT    NOT NULL PRIMARY KEY,
  n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter (name, n) VALUES ('done', 0), ('failed', 0), ('cancelled', 0);

CREATE TABLE lease (
  project     TEXT    NOT NULL PRIMARY KEY,
  epoch       INTEGER NOT NULL,
  holder_task INTEGER REFERENCES task (id),
  branch      TEXT,
  pid         INTEGER,
  boot_id     TEXT,
  expires_ms  INTEGER, -- boot clock
  taken_at    INTEGER,
  CHECK ((holder_task IS NULL) = (expires_ms IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  source  TEXT    NOT NULL,
  key     TEXT    NOT NULL,
  task    INTEGER NOT NULL REFERENCES task (id),
  event   TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  done_at INTEGER,
  note    TEXT,
  UNIQUE (source, key)
) STRICT;
CREATE INDEX inbox_pending ON inbox (id) WHERE done_at IS NULL;

CREATE TABLE journal (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  task    INTEGER NOT NULL REFERENCES task (id),
  item    TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  name    TEXT    NOT NULL,
  event   TEXT    NOT NULL,
  actor   TEXT,
  ignored TEXT,
  story   TEXT    NOT NULL,
  stage   TEXT    NOT NULL,
  phase   TEXT    NOT NULL
) STRICT;
CREATE INDEX journal_task ON journal (task, id);

CREATE TABLE judgement (
  id      INTEGER PRIMARY KEY,
  task    INTEGER NOT NULL REFERENCES task (id),
  gate    TEXT    NOT NULL,
  key     TEXT    NOT NULL,
  verdict TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  body    TEXT    NOT NULL
) STRICT;
CREATE INDEX judgement_task  ON judgement (task, id);
CREATE INDEX judgement_stands ON judgement (task, gate, key, id) WHERE verdict IN ('pass', 'skipped', 'fail');

CREATE TABLE artefact (
  id      INTEGER PRIMARY KEY,
  task    INTEGER NOT NULL REFERENCES task (id),
  run     INTEGER NOT NULL,
  name    TEXT    NOT NULL,
  stage   TEXT    NOT NULL,
  sha256  TEXT    NOT NULL,
  bytes   BLOB    NOT NULL,
  subject TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  UNIQUE (task, run, name)
) STRICT;
CREATE INDEX artefact_newest ON artefact (task, name, id);

CREATE TABLE run (
  task     INTEGER NOT NULL REFERENCES task (id),
  job      INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  dir      TEXT    NOT NULL, -- one attempt of a job may run several commands: hook and check
  what     TEXT    NOT NULL,
  model    TEXT,
  started  INTEGER NOT NULL,
  ended    INTEGER,
  cost_usd REAL    NOT NULL,
  body     TEXT    NOT NULL,
  PRIMARY KEY (task, job, attempt, dir)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployment (
  id          INTEGER PRIMARY KEY,
  project     TEXT    NOT NULL,
  environment TEXT    NOT NULL,
  revision    TEXT    NOT NULL,
  task        INTEGER NOT NULL REFERENCES task (id),
  ok          INTEGER NOT NULL CHECK (ok IN (0, 1)),
  rollback    INTEGER NOT NULL CHECK (rollback IN (0, 1)),
  at          INTEGER NOT NULL
) STRICT;
CREATE INDEX deployment_newest ON deployment (project, environment, id);

CREATE TABLE setting (
  key   TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
