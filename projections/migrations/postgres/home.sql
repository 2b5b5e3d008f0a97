-- What stays when rows are rebuilt. HOME is the name of the schema.
CREATE SCHEMA IF NOT EXISTS HOME;

-- Counts how often the rows were put in place as a whole, and says which tables they are in. Whoever
-- reads, folds or puts rows in place locks it first.
CREATE TABLE IF NOT EXISTS HOME.generation (
    number bigint NOT NULL,
    version bigint NOT NULL
);

-- A moment as PostgreSQL has it, exact to the microsecond.
CREATE OR REPLACE FUNCTION HOME.moment(micros bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT timestamptz '1970-01-01 00:00:00+00'
        + (micros / 3600000000) * interval '1 hour'
        + (micros % 3600000000) * interval '1 microsecond'
$$;
