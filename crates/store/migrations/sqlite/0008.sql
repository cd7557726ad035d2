-- Version 8. Deliveries of webhooks: verified, kept before they are acknowledged, and resolved later. `about` is what one
-- says of itself as JSON. The body lies beside it: a row that is ticked off is written anew, and a body is long.
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
