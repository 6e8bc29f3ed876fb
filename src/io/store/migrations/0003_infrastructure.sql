-- Never edit this file: stores out there carry its checksum. Add a new one.

-- What OpenTofu knows of an environment's infrastructure. Its state comes here sealed: this store never has its key.
CREATE TABLE infrastructure (
    project     TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    sealed      BLOB,                         -- the state; NULL: there is none
    salt        BLOB,                         -- of the key that a passphrase gives
    lock        TEXT,                         -- who may write the state, as a JSON line; NULL: nobody
    lock_file   TEXT,                         -- .terraform.lock.hcl, as the first init wrote it
    host_key    TEXT,                         -- the private host key that the machine is made with, sealed, in hexadecimal
    PRIMARY KEY (project, environment)
) STRICT, WITHOUT ROWID;
