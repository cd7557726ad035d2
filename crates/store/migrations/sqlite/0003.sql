-- Version 3. The board shows open tasks stage by stage.

CREATE INDEX task_stage ON task (stage, id) WHERE open = 1;
