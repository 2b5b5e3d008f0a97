-- What each customer is entitled to: plans, purchases, grants and flags, as JSON; NULL for none.
ALTER TABLE customers ADD COLUMN entitlements TEXT;

-- What was used of each feature that a customer has grants of, between moments at which a grant or a
-- window of one begins or ends. Sums are exact decimals.
CREATE TABLE feature_usage (
    customer BLOB NOT NULL,
    feature TEXT NOT NULL,
    starts_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    used TEXT NOT NULL,
    PRIMARY KEY (customer, feature, starts_at)
) STRICT, WITHOUT ROWID;
