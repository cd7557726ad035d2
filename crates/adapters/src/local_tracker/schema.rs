//! The local tracker's file: tickets, comments, and a log that can only grow. The log is what a test believes when it
//! asks whether something was done twice, so the file itself refuses to change or remove a line of it.

use crate::local_db::Schema;

/// Version by version.
pub(super) const SCHEMA: Schema = Schema {
    name: "local tracker",
    application_id: 0x6f72_7431, // "ort1"
    migrations: &[
        "
CREATE TABLE ticket (
    project    TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number > 0),
    key        TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    state_by   TEXT    NOT NULL,
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (project, number),
    UNIQUE (project, key),
    UNIQUE (project, updated_at)
) STRICT;
CREATE TABLE comment (
    seq     INTEGER PRIMARY KEY,
    project TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    by      TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    UNIQUE (project, number, key),
    FOREIGN KEY (project, number) REFERENCES ticket (project, number)
) STRICT;
CREATE TABLE log (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    effect  TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    by      TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
CREATE TRIGGER log_keeps_its_lines BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_loses_no_line   BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
",
        "
CREATE TABLE file (
    project TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    name    TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    sha256  TEXT    NOT NULL,
    content BLOB    NOT NULL,
    by      TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (project, number, name),
    FOREIGN KEY (project, number) REFERENCES ticket (project, number)
) STRICT;
",
    ],
};
