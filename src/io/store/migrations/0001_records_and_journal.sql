-- Never edit this file: stores out there carry its checksum. Add a new one.

CREATE TABLE record (
    project     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    format      INTEGER NOT NULL,             -- of `body`
    stage       TEXT    NOT NULL,
    serial      INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,             -- milliseconds since 1970, as every time below
    body        TEXT    NOT NULL,             -- the record as JSON
    PRIMARY KEY (project, environment)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id         TEXT    NOT NULL PRIMARY KEY,
    project    TEXT    NOT NULL,
    command    TEXT    NOT NULL,
    by         TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    outcome    TEXT,                          -- NULL: under way, or killed
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX run_started_at ON run (started_at);

CREATE TABLE intent (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    outcome     TEXT,                         -- NULL: in doubt
    settled_at  INTEGER
) STRICT;

CREATE INDEX intent_in_doubt ON intent (run) WHERE outcome IS NULL;
CREATE INDEX intent_at ON intent (at);

CREATE TABLE event (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    run  TEXT    NOT NULL,
    at   INTEGER NOT NULL,
    body TEXT    NOT NULL                     -- the event as its JSON line
) STRICT;

CREATE INDEX event_at ON event (at);
