-- The read models. All of it can be built again from the journal.

-- Counts how often the rows were put in place as a whole. Whoever folds and finds another number than
-- before must forget what it has in memory.
CREATE TABLE generation (
    number INTEGER NOT NULL
) STRICT;
INSERT INTO generation VALUES (1);

-- Where the rows of each partition stand. Moved by compare-and-set, with the rows.
CREATE TABLE positions (
    partition INTEGER PRIMARY KEY,
    next_offset INTEGER NOT NULL,
    term INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    head BLOB NOT NULL
) STRICT;

-- How each customer stands; but what it used is in period_usage. Times are microseconds since 1970.
CREATE TABLE customers (
    id BLOB PRIMARY KEY NOT NULL,
    tenant TEXT NOT NULL,
    environment TEXT NOT NULL,
    key TEXT,
    key_since INTEGER NOT NULL,
    status TEXT NOT NULL,           -- active, suspended or archived
    tier TEXT,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    archived_at INTEGER,
    groups TEXT NOT NULL            -- JSON: profile, contract, budget, policy, billing_controls, identity
) STRICT;
CREATE INDEX customers_by_key ON customers (tenant, environment, key, key_since) WHERE key IS NOT NULL;
CREATE INDEX customers_by_birth ON customers (tenant, environment, created_at, id);
CREATE INDEX customers_by_status ON customers (tenant, environment, status, created_at, id);
CREATE INDEX customers_by_tier ON customers (tenant, environment, tier, created_at, id)
    WHERE tier IS NOT NULL;

-- What each customer used. Kinds: hour, day, month, year, budget, lifetime. Sums are exact decimals.
CREATE TABLE period_usage (
    customer BLOB NOT NULL,
    kind TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    raw TEXT NOT NULL,
    charged TEXT NOT NULL,
    quantity TEXT NOT NULL,
    count INTEGER NOT NULL,
    budget TEXT,
    first_at INTEGER,
    last_at INTEGER,
    PRIMARY KEY (customer, kind, ends_at, starts_at)
) STRICT, WITHOUT ROWID;

-- Which period budget was in force from when on.
CREATE TABLE budgets (
    customer BLOB NOT NULL,
    since INTEGER NOT NULL,
    version INTEGER NOT NULL,
    budget TEXT,
    PRIMARY KEY (customer, since, version)
) STRICT, WITHOUT ROWID;

-- Every event of every customer, as it was recorded.
CREATE TABLE timeline (
    customer BLOB NOT NULL,
    version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    command_id BLOB NOT NULL,
    actor TEXT NOT NULL,
    event TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX timeline_by_version ON timeline (customer, version);
