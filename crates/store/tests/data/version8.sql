-- A database of version 8: two tasks, the second waits for the merge lease of the first.
PRAGMA application_id = 1869767528;
PRAGMA user_version = 8;
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
  updated_at  INTEGER NOT NULL, rank INTEGER NOT NULL DEFAULT 0, pipeline INTEGER REFERENCES pipeline (id),
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
  lease_ms           INTEGER, -- boot clock
  stop               INTEGER NOT NULL CHECK (stop IN (0, 1)),
  last_fault         TEXT,
  created_at         INTEGER NOT NULL,
  claimed_at         INTEGER, deaths INTEGER NOT NULL DEFAULT 0, parked TEXT, rank INTEGER NOT NULL DEFAULT 0,
  UNIQUE (task, seq),
  CHECK ((state = 'running') = (worker IS NOT NULL))
) STRICT;
CREATE INDEX job_delayed  ON job (available_at)           WHERE state = 'queued' AND available_at > created_at;
CREATE INDEX job_coalesce ON job (task, coalesce)         WHERE state = 'queued' AND coalesce IS NOT NULL;
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
  outcome            TEXT    NOT NULL, deaths INTEGER NOT NULL DEFAULT 0,
  UNIQUE (task, seq)
) STRICT;
CREATE TABLE counter (
  name TEXT    NOT NULL PRIMARY KEY,
  n    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
  project     TEXT    NOT NULL PRIMARY KEY,
  epoch       INTEGER NOT NULL,
  holder_task INTEGER REFERENCES task (id),
  branch      TEXT,
  expires_ms  INTEGER, -- boot clock
  taken_at    INTEGER, worker TEXT,
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
CREATE INDEX job_parked ON job (parked) WHERE parked IS NOT NULL;
CREATE INDEX task_stage ON task (stage, id) WHERE open = 1;
CREATE INDEX job_claim  ON job (lane, project, rank, available_at, id) WHERE state = 'queued';
CREATE INDEX job_held   ON job (lane, project)                         WHERE state = 'running';
CREATE INDEX job_active ON job (project, available_at)                 WHERE lane NOT IN ('watch', 'message');
CREATE TABLE turn (
  lane    TEXT    NOT NULL,
  project TEXT    NOT NULL,
  last    INTEGER NOT NULL,
  PRIMARY KEY (lane, project)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_closed ON task (updated_at, id) WHERE open = 0;
CREATE TABLE person (
  id   INTEGER PRIMARY KEY,
  name TEXT UNIQUE
) STRICT;
CREATE INDEX job_running ON job (lease_ms) WHERE state = 'running';
CREATE TABLE pipeline (
  id   INTEGER PRIMARY KEY,
  body TEXT    NOT NULL UNIQUE
) STRICT;
CREATE TABLE of_instance (
  kind  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE of_project (
  project  TEXT    NOT NULL,
  kind     TEXT    NOT NULL,
  name     TEXT    NOT NULL,
  value    TEXT    NOT NULL,
  until_ms INTEGER,
  PRIMARY KEY (project, kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX of_project_end ON of_project (until_ms) WHERE until_ms IS NOT NULL;
CREATE TABLE of_ticket (
  project TEXT    NOT NULL,
  number  INTEGER NOT NULL,
  kind    TEXT    NOT NULL,
  value   TEXT    NOT NULL,
  PRIMARY KEY (project, number, kind)
) STRICT, WITHOUT ROWID;
CREATE TABLE of_task (
  task  INTEGER NOT NULL REFERENCES task (id),
  kind  TEXT    NOT NULL,
  name  TEXT    NOT NULL,
  value TEXT    NOT NULL,
  PRIMARY KEY (task, kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE of_service (
  service TEXT NOT NULL PRIMARY KEY,
  value   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE spend (
  task     INTEGER NOT NULL REFERENCES task (id),
  job      INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  project  TEXT    NOT NULL,
  at       INTEGER NOT NULL, -- when it was reserved: the day it counts for
  reserved INTEGER NOT NULL CHECK (0 <= reserved),
  cost     INTEGER CHECK (0 <= cost), -- once it is over
  known    INTEGER NOT NULL DEFAULT 1 CHECK (known IN (0, 1)), -- 0: the cost is what it was at most; 0 of it: unknown
  PRIMARY KEY (task, job, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX spend_project ON spend (project, at, reserved, cost, known);
CREATE INDEX spend_at      ON spend (at, reserved, cost, known);
CREATE TABLE delivery (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  source  TEXT    NOT NULL,
  digest  BLOB    NOT NULL, -- SHA-256 of the body
  sent_as TEXT,
  event   TEXT    NOT NULL,
  about   TEXT    NOT NULL,
  at      INTEGER NOT NULL,
  done_at INTEGER,
  note    TEXT,
  UNIQUE (source, digest)
) STRICT;
CREATE UNIQUE INDEX delivery_sent ON delivery (source, sent_as) WHERE sent_as IS NOT NULL;
CREATE INDEX delivery_open ON delivery (id) WHERE done_at IS NULL;
CREATE TABLE delivery_body (
  id   INTEGER PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
  at   INTEGER NOT NULL,
  body BLOB    NOT NULL
) STRICT;
PRAGMA foreign_keys = OFF;
INSERT INTO task VALUES (1, 'DEMO', 1, 'DEMO-1', 'review', 'preparing_merge', 1, NULL, 0, '{"id":1,"project":"DEMO","work_item":"DEMO-1","number":1,"title":"ticket 1","body":"please","at":{"stage":2,"step":4},"phase":{"phase":"working","job":14,"since":1000000},"next_seq":15,"branch":{"name":"feature/DEMO-1-ticket-1","generation":1,"head":"h1-11","base":"main0","pull_request":1},"landing":{"plan":{"history":"one-commit","documents":"repository"},"passed":[{"at":{"stage":1,"step":3},"head":"h1-5"},{"at":{"stage":1,"step":4},"head":"h1-5"},{"at":{"stage":2,"step":2},"head":"h1-11"},{"at":{"stage":2,"step":3},"head":"h1-11"}]},"run":9,"started_by":"local:anna","created_at":1000000,"updated_at":1000000,"done_at":null}', 1000000, 0, 1);
INSERT INTO task VALUES (2, 'DEMO', 2, 'DEMO-2', 'review', 'waiting_for_lease', 1, 1030000, 1, '{"id":2,"project":"DEMO","work_item":"DEMO-2","number":2,"title":"ticket 2","body":"please","at":{"stage":2,"step":4},"phase":{"phase":"waiting","why":{"reason":"lease","holder":"DEMO-1"},"since":1000000,"until":null,"recheck":1030000},"next_seq":14,"branch":{"name":"feature/DEMO-2-ticket-2","generation":1,"head":"h2-11","base":"main0","pull_request":2},"landing":{"plan":{"history":"one-commit","documents":"repository"},"passed":[{"at":{"stage":1,"step":3},"head":"h2-5"},{"at":{"stage":1,"step":4},"head":"h2-5"},{"at":{"stage":2,"step":2},"head":"h2-11"},{"at":{"stage":2,"step":3},"head":"h2-11"}]},"wait":{"hold":{"since":1000000,"told":false,"asked":false}},"run":9,"started_by":"local:anna","created_at":1000000,"updated_at":1000000,"done_at":null}', 1000000, 0, 1);
INSERT INTO task VALUES (3, 'DEMO', 3, 'DEMO-3', 'created', 'opening', 1, NULL, 0, '{"id":3,"project":"DEMO","work_item":"DEMO-3","number":3,"title":"ticket 3","body":"please","at":{"stage":0,"step":0},"phase":{"phase":"working","job":1,"since":1000000},"next_seq":3,"branch":{"name":"feature/DEMO-3-ticket-3","generation":1},"landing":{"plan":{"history":"one-commit","documents":"repository"}},"started_by":"local:anna","created_at":1000000,"updated_at":1000000,"done_at":null}', 1000000, 0, 1);
INSERT INTO job VALUES (2, 1, 2, 'DEMO', 'message', '{"effect":"sync_ticket"}', 'sync_ticket', 'ticket:DEMO', 'sync-ticket', 'queued', 0, 0, 2, 0, 1, 1000000, NULL, NULL, 0, NULL, 1000000, NULL, 0, NULL, 0);
INSERT INTO job VALUES (4, 2, 2, 'DEMO', 'message', '{"effect":"sync_ticket"}', 'sync_ticket', 'ticket:DEMO', 'sync-ticket', 'queued', 0, 0, 2, 0, 1, 1000000, NULL, NULL, 0, NULL, 1000000, NULL, 0, NULL, 0);
INSERT INTO job VALUES (5, 1, 14, 'DEMO', 'forge', '{"effect":"update","head":"h1-11","lease_epoch":1}', 'update', NULL, NULL, 'running', 4, 0, 2, 3, 1, 1000000, 'w1', 10001, 0, '{"kind":"transient","text":"the forge said 500"}', 1000000, 1000000, 0, NULL, 0);
INSERT INTO job VALUES (6, 3, 1, 'DEMO', 'forge', '{"effect":"open_branch"}', 'open_branch', NULL, NULL, 'queued', 1, 0, 2, 0, 2, 1001000, NULL, NULL, 0, '{"kind":"transient","text":"the forge said 500"}', 1000000, 1000000, 1, 'forge:DEMO', 0);
INSERT INTO job VALUES (7, 3, 2, 'DEMO', 'message', '{"effect":"sync_ticket"}', 'sync_ticket', 'ticket:DEMO', 'sync-ticket', 'queued', 0, 0, 2, 0, 1, 1000000, NULL, NULL, 0, NULL, 1000000, NULL, 0, NULL, 0);
INSERT INTO job_done VALUES (1, 1, 1, 'DEMO', 'forge', '{"effect":"open_branch"}', 'open_branch', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"opened","head":"h0","base":"main0"}', 0);
INSERT INTO job_done VALUES (2, 1, 3, 'DEMO', 'agent', '{"effect":"run_agent","role":"developer","round":0,"stage":"development"}', 'run_agent', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"agent_finished","question":null}', 0);
INSERT INTO job_done VALUES (3, 1, 5, 'DEMO', 'forge', '{"effect":"publish","role":"developer","run":3,"stage":"development"}', 'publish', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"published","head":"h1-5","empty":false,"discarded":[],"unresolved":[]}', 0);
INSERT INTO job_done VALUES (4, 1, 6, 'DEMO', 'forge', '{"effect":"ensure_pull_request"}', 'ensure_pull_request', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"pull_request_open","number":1}', 0);
INSERT INTO job_done VALUES (5, 1, 7, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_ci_green","head":"h1-5","run":3,"since":1000000,"stage":"development"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h1-5","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (6, 1, 8, 'DEMO', 'command', '{"effect":"judge","exact":false,"gate":"check_tests_local","head":"h1-5","run":3,"since":1000000,"stage":"development"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h1-5","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (7, 1, 9, 'DEMO', 'agent', '{"effect":"run_agent","role":"reviewer","round":0,"stage":"review"}', 'run_agent', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"agent_finished","question":null}', 0);
INSERT INTO job_done VALUES (8, 1, 11, 'DEMO', 'forge', '{"effect":"publish","role":"reviewer","run":9,"stage":"review"}', 'publish', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"published","head":"h1-11","empty":false,"discarded":[],"unresolved":[]}', 0);
INSERT INTO job_done VALUES (9, 1, 12, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_reviewer_verdict","head":"h1-11","run":9,"since":1000000,"stage":"review"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h1-11","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (10, 1, 13, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_security_gate","head":"h1-11","run":9,"since":1000000,"stage":"review"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h1-11","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (11, 2, 1, 'DEMO', 'forge', '{"effect":"open_branch"}', 'open_branch', 'done', 4, 0, 2, 3, 1, 1000000, 'w1', 0, '{"kind":"transient","text":"the forge said 500"}', 1000000, 1000000, 1000000, '{"kind":"opened","head":"h0","base":"main0"}', 0);
INSERT INTO job_done VALUES (12, 2, 3, 'DEMO', 'agent', '{"effect":"run_agent","role":"developer","round":0,"stage":"development"}', 'run_agent', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"agent_finished","question":null}', 0);
INSERT INTO job_done VALUES (13, 2, 5, 'DEMO', 'forge', '{"effect":"publish","role":"developer","run":3,"stage":"development"}', 'publish', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"published","head":"h2-5","empty":false,"discarded":[],"unresolved":[]}', 0);
INSERT INTO job_done VALUES (14, 2, 6, 'DEMO', 'forge', '{"effect":"ensure_pull_request"}', 'ensure_pull_request', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"pull_request_open","number":2}', 0);
INSERT INTO job_done VALUES (15, 2, 7, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_ci_green","head":"h2-5","run":3,"since":1000000,"stage":"development"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h2-5","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (16, 2, 8, 'DEMO', 'command', '{"effect":"judge","exact":false,"gate":"check_tests_local","head":"h2-5","run":3,"since":1000000,"stage":"development"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h2-5","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (17, 2, 9, 'DEMO', 'agent', '{"effect":"run_agent","role":"reviewer","round":0,"stage":"review"}', 'run_agent', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"agent_finished","question":null}', 0);
INSERT INTO job_done VALUES (18, 2, 11, 'DEMO', 'forge', '{"effect":"publish","role":"reviewer","run":9,"stage":"review"}', 'publish', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"published","head":"h2-11","empty":false,"discarded":[],"unresolved":[]}', 0);
INSERT INTO job_done VALUES (19, 2, 12, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_reviewer_verdict","head":"h2-11","run":9,"since":1000000,"stage":"review"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h2-11","verdict":{"verdict":"pass"}}', 0);
INSERT INTO job_done VALUES (20, 2, 13, 'DEMO', 'gate', '{"effect":"judge","exact":false,"gate":"check_security_gate","head":"h2-11","run":9,"since":1000000,"stage":"review"}', 'judge', 'done', 1, 0, 2, 0, 1, 1000000, 'w1', 0, NULL, 1000000, 1000000, 1000000, '{"kind":"judged","head":"h2-11","verdict":{"verdict":"pass"}}', 0);
INSERT INTO counter VALUES ('cancelled', 0);
INSERT INTO counter VALUES ('done', 20);
INSERT INTO counter VALUES ('failed', 0);
INSERT INTO lease VALUES ('DEMO', 1, 1, 'feature/DEMO-1-ticket-1', 300001, 1000000, 'w1');
INSERT INTO inbox VALUES (1, 'test', 'k1', 1, '{"event":"started","by":"local:anna"}', 1000000, 1000000, NULL);
INSERT INTO inbox VALUES (2, 'test', 'k2', 2, '{"event":"started","by":"local:anna"}', 1000000, 1000000, NULL);
INSERT INTO inbox VALUES (3, 'test', 'k3', 3, '{"event":"started","by":"local:anna"}', 1000000, 1000000, NULL);
INSERT INTO inbox VALUES (4, 'http', 'k', 1, '{"event":"cancel_asked","by":"local:anna"}', 1000000, NULL, NULL);
INSERT INTO journal VALUES (1, 1, 'DEMO-1', 1000000, 'started', '{"event":"started","by":"local:anna"}', 'local:anna', NULL, '["started by local:anna"]', 'created', 'opening');
INSERT INTO journal VALUES (2, 2, 'DEMO-2', 1000000, 'started', '{"event":"started","by":"local:anna"}', 'local:anna', NULL, '["started by local:anna"]', 'created', 'opening');
INSERT INTO journal VALUES (3, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":1,"outcome":{"kind":"opened","head":"h0","base":"main0"}}', NULL, NULL, '["branch feature/DEMO-1-ticket-1 is open"]', 'development', 'running');
INSERT INTO journal VALUES (4, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":3,"outcome":{"kind":"agent_finished","question":null}}', NULL, NULL, '["the developer is finished"]', 'development', 'publishing');
INSERT INTO journal VALUES (5, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":5,"outcome":{"kind":"published","head":"h1-5","empty":false,"discarded":[],"unresolved":[]}}', NULL, NULL, '["pushed h1-5"]', 'development', 'publishing');
INSERT INTO journal VALUES (6, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":6,"outcome":{"kind":"pull_request_open","number":1}}', NULL, NULL, '["pull request 1 is open"]', 'development', 'judging');
INSERT INTO journal VALUES (7, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":7,"outcome":{"kind":"judged","head":"h1-5","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_ci_green: pass"]', 'development', 'judging');
INSERT INTO journal VALUES (8, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":8,"outcome":{"kind":"judged","head":"h1-5","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_tests_local: pass"]', 'review', 'running');
INSERT INTO journal VALUES (9, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":9,"outcome":{"kind":"agent_finished","question":null}}', NULL, NULL, '["the reviewer is finished"]', 'review', 'publishing');
INSERT INTO journal VALUES (10, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":11,"outcome":{"kind":"published","head":"h1-11","empty":false,"discarded":[],"unresolved":[]}}', NULL, NULL, '["pushed h1-11"]', 'review', 'judging');
INSERT INTO journal VALUES (11, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":12,"outcome":{"kind":"judged","head":"h1-11","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_reviewer_verdict: pass"]', 'review', 'judging');
INSERT INTO journal VALUES (12, 1, 'DEMO-1', 1000000, 'job_ended', '{"event":"job_ended","job":13,"outcome":{"kind":"judged","head":"h1-11","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_security_gate: pass"]', 'review', 'preparing_merge');
INSERT INTO journal VALUES (13, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":1,"outcome":{"kind":"opened","head":"h0","base":"main0"}}', NULL, NULL, '["branch feature/DEMO-2-ticket-2 is open"]', 'development', 'running');
INSERT INTO journal VALUES (14, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":3,"outcome":{"kind":"agent_finished","question":null}}', NULL, NULL, '["the developer is finished"]', 'development', 'publishing');
INSERT INTO journal VALUES (15, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":5,"outcome":{"kind":"published","head":"h2-5","empty":false,"discarded":[],"unresolved":[]}}', NULL, NULL, '["pushed h2-5"]', 'development', 'publishing');
INSERT INTO journal VALUES (16, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":6,"outcome":{"kind":"pull_request_open","number":2}}', NULL, NULL, '["pull request 2 is open"]', 'development', 'judging');
INSERT INTO journal VALUES (17, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":7,"outcome":{"kind":"judged","head":"h2-5","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_ci_green: pass"]', 'development', 'judging');
INSERT INTO journal VALUES (18, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":8,"outcome":{"kind":"judged","head":"h2-5","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_tests_local: pass"]', 'review', 'running');
INSERT INTO journal VALUES (19, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":9,"outcome":{"kind":"agent_finished","question":null}}', NULL, NULL, '["the reviewer is finished"]', 'review', 'publishing');
INSERT INTO journal VALUES (20, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":11,"outcome":{"kind":"published","head":"h2-11","empty":false,"discarded":[],"unresolved":[]}}', NULL, NULL, '["pushed h2-11"]', 'review', 'judging');
INSERT INTO journal VALUES (21, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":12,"outcome":{"kind":"judged","head":"h2-11","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_reviewer_verdict: pass"]', 'review', 'judging');
INSERT INTO journal VALUES (22, 2, 'DEMO-2', 1000000, 'job_ended', '{"event":"job_ended","job":13,"outcome":{"kind":"judged","head":"h2-11","verdict":{"verdict":"pass"}}}', NULL, NULL, '["check_security_gate: pass","DEMO-1 is merging; this task waits for the merge lease"]', 'review', 'waiting_for_lease');
INSERT INTO journal VALUES (23, 3, 'DEMO-3', 1000000, 'started', '{"event":"started","by":"local:anna"}', 'local:anna', NULL, '["started by local:anna"]', 'created', 'opening');
INSERT INTO judgement VALUES (1, 1, 'check_ci_green', 'k1', 'pass', 1000000, '{"task":1,"gate":"check_ci_green","stage":"development","job":4,"head":"h1","key":"k1","verdict":{"verdict":"pass"},"mode":"enforce","evidence":{"checks":[{"name":"build","state":"green"}]},"reused":false,"at":1000000,"took_ms":12}');
INSERT INTO artefact VALUES (1, 1, 2, '12-review.md', 'review', '0000000000000000000000000000000000000000000000000000000000000000', X'766572646963743A20415050524F5645440A', 'patch-1', 5);
INSERT INTO run VALUES (1, 2, 1, 'runs/1-2-1', 'developer', NULL, 1, NULL, 0.0, '{"task":1,"job":2,"attempt":1,"what":"developer","program":"claude","stage":"development","dir":"runs/1-2-1","started":1,"ended":null,"end":null,"ok":null,"usage":{"cost_usd":0.0,"input_tokens":0,"output_tokens":0,"turns":0},"model":null,"session":null,"summary":null}');
INSERT INTO deployment VALUES (1, 'DEMO', 'production', 'r1', 1, 1, 0, 9);
INSERT INTO turn VALUES ('agent', 'DEMO', 1);
INSERT INTO turn VALUES ('command', 'DEMO', 1);
INSERT INTO turn VALUES ('forge', 'DEMO', 1);
INSERT INTO turn VALUES ('gate', 'DEMO', 1);
INSERT INTO pipeline VALUES (1, '{"name":"lite","stages":[{"id":"created","steps":[{"step":"open"}]},{"id":"development","steps":[{"step":"agent","role":"developer"},{"step":"publish"},{"step":"pull-request"},{"step":"gate","gate":"check_ci_green","on_fail":"development","on_inconclusive":"hold","exact":false},{"step":"gate","gate":"check_tests_local","on_fail":"development","on_inconclusive":"hold","exact":false}]},{"id":"review","steps":[{"step":"agent","role":"reviewer"},{"step":"publish"},{"step":"gate","gate":"check_reviewer_verdict","on_fail":"development","on_inconclusive":"hold","exact":false},{"step":"gate","gate":"check_security_gate","on_fail":"development","on_inconclusive":"hold","exact":false},{"step":"update"},{"step":"gate","gate":"check_ci_green","on_fail":"development","on_inconclusive":"hold","exact":true},{"step":"gate","gate":"check_tests_local","on_fail":"development","on_inconclusive":"hold","exact":true},{"step":"gate","gate":"check_security_gate","on_fail":"development","on_inconclusive":"hold","exact":true},{"step":"gate","gate":"check_branch_mergeable","on_fail":"development","on_inconclusive":"hold","exact":true},{"step":"merge"}]},{"id":"deploy","steps":[{"step":"approve-production"},{"step":"deploy","environment":"production"},{"step":"gate","gate":"check_deploy_status","on_fail":"development","on_inconclusive":"hold","exact":false}]},{"id":"done","steps":[{"step":"watch"}]}]}');
INSERT INTO of_instance VALUES ('draining', 'no');
PRAGMA foreign_keys = ON;
