-- A store of format 1, as deployer 0.1.0 wrote it. Never edit it: it shows that such stores keep loading.
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'records and journal','2026-11-22 16:35:27',1,X'899FCBB8C12FED1F6ED896E9A27A821F866E62344235E529F834223AE377633F09EEF1779C4F56A8424679A4AAD97CB7',5782637);
CREATE TABLE event (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    run  TEXT    NOT NULL,
    at   INTEGER NOT NULL,
    body TEXT    NOT NULL                     -- the event as its JSON line
) STRICT;
INSERT INTO "event" VALUES(1,'r1',1700000001000,'{"version":1,"type":"note","text":"hello"}');
CREATE TABLE intent (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    run         TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    outcome     TEXT,                         -- NULL: in doubt
    settled_at  INTEGER
) STRICT;
INSERT INTO "intent" VALUES(1,'r1','production','services',1700000001000,NULL,NULL);
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
INSERT INTO "record" VALUES('shop','production',1,'configured',7,1700000000000,'{"state":{"engine":{"docker":"26.1","quoted":"''\"\né"}},"stage":"configured","health":"none","address":"203.0.113.7","observed_at":"2023-11-14T22:13:20Z","serial":7,"suspended":false,"failed":{"kind":"services","reason":"unhealthy","message":"web did not become healthy","at":"2023-11-14T22:13:21Z","run":"r1"},"host_keys":["ssh-ed25519 AAAA"],"endpoints":["http://203.0.113.7:8080"],"services":{"web":"running"}}');
CREATE TABLE run (
    id         TEXT    NOT NULL PRIMARY KEY,
    project    TEXT    NOT NULL,
    command    TEXT    NOT NULL,
    by         TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    outcome    TEXT,                          -- NULL: under way, or killed
    ended_at   INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO "run" VALUES('r1','shop','apply','ci@runner',1700000000000,NULL,NULL);
CREATE INDEX run_started_at ON run (started_at);
CREATE INDEX intent_in_doubt ON intent (run) WHERE outcome IS NULL;
CREATE INDEX intent_at ON intent (at);
CREATE INDEX event_at ON event (at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('event',1);
INSERT INTO "sqlite_sequence" VALUES('intent',1);
COMMIT;
