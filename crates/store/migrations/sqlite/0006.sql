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
