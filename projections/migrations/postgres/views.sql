-- The read models for analysts: plain columns, money as numeric, times as timestamptz. HOME is the name
-- of the schema; the tables are found by the search path.

CREATE OR REPLACE VIEW HOME.customers AS
SELECT
    id,
    tenant,
    environment,
    key,
    status,
    tier,
    version,
    HOME.moment(created_at) AS created_at,
    HOME.moment(updated_at) AS updated_at,
    HOME.moment(archived_at) AS archived_at,
    groups::json #>> '{profile,name}' AS name,
    groups::json #>> '{profile,email}' AS email,
    (groups::json #>> '{identity,parent}')::uuid AS parent,
    (groups::json #>> '{budget,period_budget}')::numeric AS period_budget,
    (groups::json #>> '{budget,total_budget}')::numeric AS total_budget,
    groups::json #>> '{budget,duration}' AS budget_duration,
    (groups::json #>> '{budget,markup_percentage}')::numeric AS markup_percentage,
    groups::json #> '{profile,metadata}' AS metadata,
    groups::json -> 'profile' AS profile,
    groups::json -> 'contract' AS contract,
    groups::json -> 'policy' AS policy,
    groups::json -> 'billing_controls' AS billing_controls,
    groups::json -> 'identity' AS identity,
    entitlements::json AS entitlements
FROM customers;

CREATE OR REPLACE VIEW HOME.period_usage AS
SELECT
    usage.customer,
    customers.tenant,
    customers.environment,
    customers.key,
    usage.kind,
    HOME.moment(usage.starts_at) AS starts_at,
    HOME.moment(usage.ends_at) AS ends_at,
    usage.raw::numeric AS raw,
    usage.charged::numeric AS charged,
    usage.quantity::numeric AS quantity,
    usage.count AS reports,
    usage.budget::numeric AS budget,
    HOME.moment(usage.first_at) AS first_at,
    HOME.moment(usage.last_at) AS last_at
FROM period_usage AS usage
JOIN customers ON customers.id = usage.customer
WHERE usage.kind <> 'hour';

CREATE OR REPLACE VIEW HOME.timeline AS
SELECT
    timeline.customer,
    customers.tenant,
    customers.environment,
    customers.key,
    timeline.version,
    HOME.moment(timeline.recorded_at) AS recorded_at,
    timeline.event::json ->> 'type' AS type,
    timeline.event::json AS event,
    timeline.command_id,
    timeline.actor,
    timeline.seq
FROM timeline
JOIN customers ON customers.id = timeline.customer;

CREATE OR REPLACE VIEW HOME.commands AS
SELECT
    id,
    tenant,
    environment,
    outcome,
    told::json #>> '{rejected,code}' AS code,
    customer,
    from_version,
    to_version,
    HOME.moment(decided_at) AS decided_at,
    partition,
    seq
FROM commands;

CREATE OR REPLACE VIEW HOME.feature_usage AS
SELECT
    usage.customer,
    customers.tenant,
    customers.environment,
    customers.key,
    usage.feature,
    HOME.moment(usage.starts_at) AS starts_at,
    HOME.moment(usage.last_at) AS last_at,
    usage.used::numeric AS used
FROM feature_usage AS usage
JOIN customers ON customers.id = usage.customer;

CREATE OR REPLACE VIEW HOME.positions AS
SELECT
    partition,
    seq,
    term,
    next_offset,
    encode(head, 'hex') AS head
FROM positions;
