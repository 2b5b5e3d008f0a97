-- What became of each command that was asked, in one partition. Ids of our own are in the order of time,
-- so that new rows come at the end.
CREATE TABLE commands (
    id BLOB NOT NULL,
    tenant TEXT NOT NULL,
    environment TEXT NOT NULL,
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    outcome TEXT NOT NULL,          -- accepted, rejected or deferred
    customer BLOB,
    from_version INTEGER,
    to_version INTEGER,
    told TEXT,                      -- JSON: the outcome; NULL where the columns before it say all
    PRIMARY KEY (id, tenant, environment, partition)
) STRICT, WITHOUT ROWID;

-- Rows that were folded before know nothing of commands: all is folded anew.
DELETE FROM positions;
DELETE FROM customers;
DELETE FROM period_usage;
DELETE FROM budgets;
DELETE FROM timeline;
UPDATE generation SET number = number + 1;
