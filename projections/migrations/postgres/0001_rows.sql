-- The read models: tables of one schema, which is the first of the search path. All of it can be built
-- again from the journal. Texts are compared by their bytes.

-- Where the rows of each partition stand. Moved by compare-and-set, with the rows.
CREATE TABLE positions (
    partition bigint PRIMARY KEY,
    next_offset bigint NOT NULL,
    term bigint NOT NULL,
    seq bigint NOT NULL,
    head bytea NOT NULL
) WITH (fillfactor = 50);

-- How each customer stands; but what it used is in period_usage. Times are microseconds since 1970.
CREATE TABLE customers (
    id uuid PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    key_since bigint NOT NULL,
    status text COLLATE "C" NOT NULL,   -- active, suspended or archived
    tier text COLLATE "C",
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    archived_at bigint,
    groups text COLLATE "C" NOT NULL,   -- JSON: profile, contract, budget, policy, billing_controls, identity
    entitlements text COLLATE "C"       -- JSON: plans, purchases, grants and flags; NULL for none
) WITH (fillfactor = 80);
CREATE INDEX customers_by_key ON customers (tenant, environment, key, key_since) WHERE key IS NOT NULL;
CREATE INDEX customers_by_birth ON customers (tenant, environment, created_at, id);
CREATE INDEX customers_by_status ON customers (tenant, environment, status, created_at, id);
CREATE INDEX customers_by_tier ON customers (tenant, environment, tier, created_at, id)
    WHERE tier IS NOT NULL;

-- What each customer used. Kinds: hour, day, month, year, budget, lifetime. Sums are exact decimals.
CREATE TABLE period_usage (
    customer uuid NOT NULL,
    kind text COLLATE "C" NOT NULL,
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    raw text COLLATE "C" NOT NULL,
    charged text COLLATE "C" NOT NULL,
    quantity text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    budget text COLLATE "C",
    first_at bigint,
    last_at bigint,
    -- For hours: the first and the last version of the customer whose event counts there, or no longer
    -- does.
    first_version bigint,
    last_version bigint,
    PRIMARY KEY (customer, kind, ends_at, starts_at)
) WITH (fillfactor = 80);

-- Which period budget was in force from when on.
CREATE TABLE budgets (
    customer uuid NOT NULL,
    since bigint NOT NULL,
    version bigint NOT NULL,
    budget text COLLATE "C",
    PRIMARY KEY (customer, since, version)
);

-- Every event of every customer, as it was recorded.
CREATE TABLE timeline (
    customer uuid NOT NULL,
    version bigint NOT NULL,
    seq bigint NOT NULL,
    recorded_at bigint NOT NULL,
    command_id uuid NOT NULL,
    actor text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer, version)
);

-- What became of each command that was asked, in one partition.
CREATE TABLE commands (
    id uuid NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    environment text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    seq bigint NOT NULL,
    decided_at bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL,  -- accepted, rejected or deferred
    customer uuid,
    from_version bigint,
    to_version bigint,
    told text COLLATE "C",              -- JSON: the outcome; NULL where the columns before it say all
    PRIMARY KEY (id, tenant, environment, partition)
);

-- What was used of each feature that a customer has grants of, between moments at which a grant or a
-- window of one begins or ends. Sums are exact decimals.
CREATE TABLE feature_usage (
    customer uuid NOT NULL,
    feature text COLLATE "C" NOT NULL,
    starts_at bigint NOT NULL,
    last_at bigint NOT NULL,
    used text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer, feature, starts_at)
);
