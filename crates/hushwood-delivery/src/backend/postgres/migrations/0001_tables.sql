-- Every key begins with the group or with the account that a row belongs to, so that the tables can be distributed by it
-- (docs/operations-postgresql.md). Three have other keys, and stay small: the names of accounts, an operator's invites, and the
-- service's own secret.

CREATE TABLE service (
    name  text PRIMARY KEY,
    value bytea NOT NULL
);

-- Where a group stands. Each entry of its log updates this row: it is short, its pages keep room, and no index has a column
-- that changes more than once a day, so that the new version stays on the page of the old one.
CREATE TABLE groups (
    gid         bytea PRIMARY KEY,
    incarnation bytea  NOT NULL,
    request     bytea  NOT NULL,
    epoch       bigint NOT NULL,
    sequence    bigint NOT NULL,
    committed   bigint NOT NULL,
    bytes       bigint NOT NULL DEFAULT 0,
    used        bigint NOT NULL,
    used_day    bigint NOT NULL,
    trimmed     bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX groups_used ON groups (used_day);
CREATE INDEX groups_trimmed ON groups (trimmed);

CREATE TABLE group_infos (
    gid  bytea PRIMARY KEY REFERENCES groups ON DELETE CASCADE,
    body bytea NOT NULL
);

-- Written under the lock of the group's row alone, which is why nothing else refers to it.
CREATE TABLE log (
    gid      bytea    NOT NULL,
    sequence bigint   NOT NULL,
    epoch    bigint   NOT NULL,
    kind     smallint NOT NULL,
    request  bytea    NOT NULL,
    body     bytea    NOT NULL,
    at       bigint   NOT NULL,
    PRIMARY KEY (gid, sequence),
    UNIQUE (gid, request)
);
-- The second fence: whatever a program believes, an epoch has one commit.
CREATE UNIQUE INDEX log_commit ON log (gid, epoch) WHERE kind = 0;
CREATE UNIQUE INDEX log_handshakes ON log (gid, sequence) WHERE kind < 2;

CREATE TABLE snapshots (
    gid      bytea  NOT NULL REFERENCES groups ON DELETE CASCADE,
    epoch    bigint NOT NULL,
    sequence bigint NOT NULL,
    body     bytea  NOT NULL,
    PRIMARY KEY (gid, epoch)
);

CREATE TABLE cursors (
    gid      bytea  NOT NULL REFERENCES groups ON DELETE CASCADE,
    slot     bytea  NOT NULL,
    sequence bigint NOT NULL,
    at       bigint NOT NULL,
    PRIMARY KEY (gid, slot)
) WITH (fillfactor = 70);

-- What the Welcomes of one commit have in common.
CREATE TABLE shared (
    gid   bytea  NOT NULL,
    epoch bigint NOT NULL,
    body  bytea  NOT NULL,
    PRIMARY KEY (gid, epoch)
);

CREATE TABLE outgoing (
    gid       bytea  NOT NULL,
    name      bytea  NOT NULL,
    epoch     bigint NOT NULL,
    id        bigint GENERATED ALWAYS AS IDENTITY,
    account   bytea  NOT NULL,
    device    bytea  NOT NULL,
    reference bytea  NOT NULL,
    body      bytea  NOT NULL,
    at        bigint NOT NULL,
    due       bigint NOT NULL,
    PRIMARY KEY (gid, name)
);
CREATE INDEX outgoing_due ON outgoing (due, id, gid);
CREATE INDEX outgoing_epoch ON outgoing (gid, epoch);

CREATE TABLE names (
    name    text PRIMARY KEY,
    look    text NOT NULL UNIQUE,
    account bytea NOT NULL
);

CREATE TABLE invites (
    name      bytea   PRIMARY KEY,
    uses      integer NOT NULL,
    not_after bigint  NOT NULL
);

CREATE TABLE accounts (
    account bytea   PRIMARY KEY,
    name    text    NOT NULL,
    brought integer NOT NULL DEFAULT 0,
    since   bigint  NOT NULL DEFAULT 0
);

CREATE TABLE devices (
    account bytea   NOT NULL REFERENCES accounts ON DELETE CASCADE,
    device  bytea   NOT NULL,
    key     bytea   NOT NULL,
    at      bigint  NOT NULL,
    revoked boolean NOT NULL,
    PRIMARY KEY (account, device)
);

CREATE TABLE key_packages (
    account     bytea    NOT NULL,
    reference   bytea    NOT NULL,
    id          bigint   GENERATED ALWAYS AS IDENTITY,
    device      bytea    NOT NULL,
    suite       integer  NOT NULL,
    not_after   bigint   NOT NULL,
    last_resort boolean  NOT NULL,
    replaced    boolean  NOT NULL DEFAULT false,
    claimed     boolean  NOT NULL,
    welcomed    boolean  NOT NULL DEFAULT false,
    body        bytea    NOT NULL,
    PRIMARY KEY (account, reference),
    FOREIGN KEY (account, device) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX key_packages_next ON key_packages (account, device, suite, id) WHERE NOT claimed AND NOT last_resort;
CREATE INDEX key_packages_last ON key_packages (account, device, suite, id) WHERE last_resort;
CREATE INDEX key_packages_end ON key_packages (account, device, not_after);
CREATE INDEX key_packages_gone ON key_packages (account, device, id) WHERE claimed AND NOT last_resort;

CREATE TABLE inbox (
    account     bytea   NOT NULL,
    device      bytea   NOT NULL,
    name        bytea   NOT NULL,
    id          bigint  GENERATED ALWAYS AS IDENTITY,
    last_resort boolean NOT NULL,
    body        bytea   NOT NULL,
    at          bigint  NOT NULL,
    PRIMARY KEY (account, device, name),
    FOREIGN KEY (account, device) REFERENCES devices ON DELETE CASCADE
);
CREATE INDEX inbox_oldest ON inbox (account, device, id);

-- What is encrypted does not get smaller by compression.
ALTER TABLE group_infos ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE log ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE snapshots ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE shared ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE outgoing ALTER COLUMN body SET STORAGE EXTERNAL;
ALTER TABLE inbox ALTER COLUMN body SET STORAGE EXTERNAL;
