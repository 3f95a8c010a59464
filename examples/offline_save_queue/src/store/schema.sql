-- Saves that wait (state 0) and dead letters (state 1). A save that a server has is deleted.
CREATE TABLE ops (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL,
    body        TEXT,                               -- JSON; NULL deletes the object
    crc         INTEGER NOT NULL,                   -- of key and body
    idem        TEXT NOT NULL UNIQUE,
    state       INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1)),
    attempts    INTEGER NOT NULL DEFAULT 0,
    next_at_ms  INTEGER NOT NULL DEFAULT 0,
    last_status INTEGER,
    last_error  TEXT,
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX waiting ON ops (key, seq) WHERE state = 0;
CREATE INDEX dead ON ops (seq) WHERE state = 1;

CREATE TABLE meta (
    client   TEXT NOT NULL,                         -- the first half of every idem
    paused   INTEGER NOT NULL DEFAULT 0,
    pending  INTEGER NOT NULL DEFAULT 0,
    dead     INTEGER NOT NULL DEFAULT 0,
    bytes    INTEGER NOT NULL DEFAULT 0,
    saved    INTEGER NOT NULL DEFAULT 0,
    sent     INTEGER NOT NULL DEFAULT 0,
    dropped  INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A new client for a new store: an idem of a store that was lost is never used again.
INSERT INTO meta (client) VALUES (lower(hex(randomblob(8))));

CREATE TRIGGER ops_insert AFTER INSERT ON ops BEGIN
    UPDATE meta SET pending = pending + (new.state = 0), dead = dead + (new.state = 1), saved = saved + 1,
        bytes = bytes + octet_length(new.key) + ifnull(octet_length(new.body), 0);
END;

CREATE TRIGGER ops_delete AFTER DELETE ON ops BEGIN
    UPDATE meta SET pending = pending - (old.state = 0), dead = dead - (old.state = 1),
        bytes = bytes - octet_length(old.key) - ifnull(octet_length(old.body), 0);
END;

CREATE TRIGGER ops_state AFTER UPDATE OF state ON ops WHEN old.state <> new.state BEGIN
    UPDATE meta SET pending = pending + (new.state = 0) - (old.state = 0), dead = dead + (new.state = 1) - (old.state = 1);
END;

PRAGMA user_version = 1;
