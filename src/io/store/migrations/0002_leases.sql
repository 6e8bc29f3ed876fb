-- Never edit this file: stores out there carry its checksum. Add a new one.

-- The leases that hosts issued, as runs of this store heard them. The host is the authority; this fences writes here.
CREATE TABLE lease (
    project     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    token       INTEGER NOT NULL,
    holder      TEXT,                         -- as its JSON line; NULL: given back
    since       INTEGER NOT NULL,
    PRIMARY KEY (project, environment)
) STRICT, WITHOUT ROWID;
