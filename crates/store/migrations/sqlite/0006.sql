-- Version 6. A task is kept in groups: its branch, its way to the default branch, what the next brief must carry, its wait,
-- what it has used, and how it stands in production.

-- A row that cannot be read stays as it is and keeps no other from being brought over. `json_patch` leaves out what is null.
UPDATE task SET body = json_set(json_remove(body,
    '$.generation', '$.head', '$.base', '$.pull_request', '$.old_branches', '$.branch_again',
    '$.conflict', '$.resolved', '$.conflicts', '$.updates', '$.repatched', '$.approval_again',
    '$.voided', '$.prepared', '$.intent', '$.merged', '$.earlier_merges', '$.landed',
    '$.passed', '$.findings_from', '$.findings_at', '$.raised', '$.notes', '$.answers',
    '$.comments', '$.hold', '$.unsure', '$.question', '$.rounds', '$.stage_rounds',
    '$.role_attempts', '$.budget_from_micro_usd', '$.rolling_back', '$.not_deployed', '$.hooks_from', '$.reverting'),
  '$.branch', json(json_patch('{}', json_object(
      'name', body -> '$.branch', 'generation', body -> '$.generation', 'head', body -> '$.head',
      'base', body -> '$.base', 'pull_request', body -> '$.pull_request', 'old', body -> '$.old_branches',
      'again', body -> '$.branch_again'))),
  '$.landing', json(json_patch('{}', json_object(
      'plan', body -> '$.landing', 'conflict', body -> '$.conflict', 'resolved', body -> '$.resolved',
      'conflicts', body -> '$.conflicts', 'updates', body -> '$.updates', 'patch_changes', body -> '$.repatched',
      'approval_again', body -> '$.approval_again', 'voided', body -> '$.voided', 'prepared', body -> '$.prepared',
      'intent', body -> '$.intent', 'merged', body -> '$.merged', 'earlier', body -> '$.earlier_merges',
      'landed', body -> '$.landed', 'passed', body -> '$.passed'))),
  '$.findings', json(json_patch('{}', json_object(
      'open', body -> '$.findings', 'from', body -> '$.findings_from', 'at', body -> '$.findings_at',
      'raised', body -> '$.raised', 'notes', body -> '$.notes', 'answers', body -> '$.answers',
      'comments', body -> '$.comments'))),
  '$.wait', json(json_patch('{}', json_object(
      'hold', body -> '$.hold', 'unsure', body -> '$.unsure', 'question', body -> '$.question'))),
  '$.spent', json(json_patch('{}', json_object(
      'rounds', body -> '$.rounds', 'stage_rounds', body -> '$.stage_rounds', 'role_attempts', body -> '$.role_attempts',
      'budget_from_micro_usd', body -> '$.budget_from_micro_usd'))),
  '$.production', json(json_patch('{}', json_object(
      'rolling_back', body -> '$.rolling_back', 'not_deployed', body -> '$.not_deployed', 'failures', body -> '$.production',
      'hooks_from', body -> '$.hooks_from', 'reverting', body -> '$.reverting'))))
  WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.branch') = 'text' ELSE 0 END;

-- What is remembered has an owner and ends with it, or at a time of its own.
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

INSERT INTO of_instance
  SELECT CASE key WHEN 'draining' THEN 'draining' WHEN 'security/fingerprint-key' THEN 'fingerprint_key'
    WHEN 'retention/bodies' THEN 'bodies_dropped' ELSE 'evidence_dropped' END, value
  FROM setting WHERE key IN ('draining', 'security/fingerprint-key', 'retention/bodies', 'retention/evidence');
INSERT INTO of_project
  SELECT substr(key, instr(key, '/') + 1),
    CASE substr(key, 1, instr(key, '/') - 1) WHEN 'people' THEN 'people' WHEN 'tracker-cursor' THEN 'tracker_cursor'
      WHEN 'numbers' THEN 'numbers_given' WHEN 'main' THEN 'main' ELSE 'restored' END, '', value, NULL
  FROM setting WHERE substr(key, 1, instr(key, '/') - 1) IN ('people', 'tracker-cursor', 'numbers', 'main', 'restored')
    AND instr(substr(key, instr(key, '/') + 1), '/') = 0;
-- `main/PROJECT/N` and `ci/PROJECT/CODE/COMMAND`.
INSERT INTO of_project
  SELECT substr(rest, 1, instr(rest, '/') - 1), CASE what WHEN 'main' THEN 'main_move' ELSE 'green_ci' END,
    substr(rest, instr(rest, '/') + 1), value,
    CASE what WHEN 'ci' THEN (CAST(strftime('%s', 'now') AS INTEGER) + 30 * 86400) * 1000 END
  FROM (SELECT substr(key, 1, instr(key, '/') - 1) AS what, substr(key, instr(key, '/') + 1) AS rest, value FROM setting)
  WHERE what IN ('main', 'ci') AND 0 < instr(rest, '/');
-- `ticket/PROJECT/NUMBER` and `ticket-id/PROJECT/NUMBER`.
INSERT INTO of_ticket
  SELECT substr(rest, 1, instr(rest, '/') - 1), CAST(substr(rest, instr(rest, '/') + 1) AS INTEGER),
    CASE what WHEN 'ticket' THEN 'seen' ELSE 'id' END, value
  FROM (SELECT substr(key, 1, instr(key, '/') - 1) AS what, substr(key, instr(key, '/') + 1) AS rest, value FROM setting)
  WHERE what IN ('ticket', 'ticket-id');
-- `pushed/TASK/BRANCH` and `restored-asked/WORK ITEM/REVISION`.
INSERT INTO of_task
  SELECT task.id, CASE what WHEN 'pushed' THEN 'pushed' ELSE 'deploy_asked' END, substr(rest, instr(rest, '/') + 1), value
  FROM (SELECT substr(key, 1, instr(key, '/') - 1) AS what, substr(key, instr(key, '/') + 1) AS rest, value FROM setting)
  JOIN task ON CASE what WHEN 'pushed' THEN task.id = CAST(substr(rest, 1, instr(rest, '/') - 1) AS INTEGER)
    ELSE task.item = substr(rest, 1, instr(rest, '/') - 1) END
  WHERE what IN ('pushed', 'restored-asked');
INSERT INTO of_service SELECT substr(key, instr(key, '/') + 1), value FROM setting WHERE key LIKE 'circuit/%';
DROP TABLE setting;
