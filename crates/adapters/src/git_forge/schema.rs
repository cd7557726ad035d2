//! The local forge's file: pull requests, statuses, reviews, comments, and a log of every effect that can only grow.
//! The log is an oracle beside the bare repository: it tells a test how often something was really done, whatever orch's
//! own database believes.

use crate::local_db::Schema;

/// Version by version.
pub(super) const SCHEMA: Schema = Schema {
    name: "local forge",
    application_id: 0x6f72_6631, // "orf1"
    // `merging` is an open pull request with a merge under way: `expect_head`, `old_base` and `intended` (the commit the
    // base branch is about to move to) are on disk before the branch moves, so that a crash in between can be told.
    migrations: &["
CREATE TABLE pull_request (
    project      TEXT    NOT NULL,
    number       INTEGER NOT NULL CHECK (number > 0),
    title        TEXT    NOT NULL,
    body         TEXT    NOT NULL,
    head_branch  TEXT    NOT NULL,
    base_branch  TEXT    NOT NULL,
    state        TEXT    NOT NULL CHECK (state IN ('open', 'merging', 'merged', 'closed')),
    last_head    TEXT    NOT NULL,
    expect_head  TEXT,
    old_base     TEXT,
    intended     TEXT,
    merge_commit TEXT,
    opened_at    INTEGER NOT NULL,
    PRIMARY KEY (project, number),
    CHECK (state <> 'merging' OR (expect_head IS NOT NULL AND old_base IS NOT NULL AND intended IS NOT NULL)),
    CHECK ((state = 'merged') = (merge_commit IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX one_open_per_branch ON pull_request (project, head_branch) WHERE state IN ('open', 'merging');
CREATE TABLE status (
    seq         INTEGER PRIMARY KEY,
    project     TEXT    NOT NULL,
    commit_id   TEXT    NOT NULL,
    context     TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    description TEXT    NOT NULL,
    url         TEXT,
    at          INTEGER NOT NULL
) STRICT;
CREATE INDEX status_of_commit ON status (project, commit_id, context);
CREATE TABLE review (
    seq       INTEGER PRIMARY KEY,
    project   TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    by        TEXT    NOT NULL,
    approved  INTEGER NOT NULL,
    commit_id TEXT    NOT NULL,
    body      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    FOREIGN KEY (project, number) REFERENCES pull_request (project, number)
) STRICT;
CREATE INDEX review_of_pull ON review (project, number, by);
CREATE TABLE comment (
    seq     INTEGER PRIMARY KEY,
    project TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    key     TEXT    NOT NULL,
    body    TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    UNIQUE (project, number, key),
    FOREIGN KEY (project, number) REFERENCES pull_request (project, number)
) STRICT;
CREATE TABLE log (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    project  TEXT    NOT NULL,
    number   INTEGER,
    effect   TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    head     TEXT,
    old_base TEXT,
    new_base TEXT,
    at       INTEGER NOT NULL
) STRICT;
CREATE INDEX log_of_project ON log (project, seq);
CREATE TRIGGER log_keeps_its_lines BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_loses_no_line   BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"],
};
