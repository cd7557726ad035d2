-- Version 7. What runs of agents cost, and what is reserved for those that are not over: whole millionths of a US dollar,
-- one row per job and attempt. A day, a month and a project are sums over it.
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

-- What was spent so far, and the runs of agents that are under way.
INSERT INTO spend
  SELECT run.task, run.job, run.attempt, task.project, min(run.started), 0,
    CASE WHEN max(run.ended IS NULL) THEN NULL ELSE CAST(round(min(total(run.cost_usd), 1e6) * 1e6) AS INTEGER) END, 1
  FROM run JOIN task ON task.id = run.task
  LEFT JOIN job ON job.task = run.task AND job.seq = run.job AND job.run_attempt = run.attempt AND job.kind = 'run_agent'
  GROUP BY run.task, run.job, run.attempt
  HAVING 0 < total(run.cost_usd) OR (max(run.ended IS NULL) AND max(job.id IS NOT NULL));
