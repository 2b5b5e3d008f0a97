//! One full example of everything that is stored: every member has a value.

use std::collections::BTreeMap;

use tallybook_events::codec::{Claimed, DeadLetter};
use tallybook_events::command::{
    Claim, Command, CommandBody, Context, CustomerPatch, EdgeClaim, KeyClaim, PledgeClaim,
    RegistrarAnswer, Routed, Settlement,
};
use tallybook_events::customer::{
    Address, AddressPatch, AutoTopup, BillingControls, BillingControlsPatch, BillingControlsSet,
    Budget, BudgetKind, BudgetPatch, BudgetSet, BudgetThresholdReached, Change, Contract,
    ContractPatch, ContractSet, Corrected, CustomerArchived, CustomerCreated, CustomerDocument,
    CustomerUpdated, EdgeClaimed, EdgeReleased, Identity, IdentityPatch, Interval, KeyChanged,
    KeyClaimed, KeyReleased, LifetimeSummary, LimitAnchor, LimitInterval, LimitType, Limits,
    LimitsPatch, OverageAllowed, ParentChanged, PeriodSummary, PledgeClaimed, PledgeReleased,
    Policy, PolicyChanged, PolicyPatch, Profile, ProfilePatch, PurchaseLimit, SpendLimit, Status,
    StatusChanged, ThresholdType, TierChanged, UsageAlert, UsageFilter, UsageLimit, UsageRecorded,
    UsageSummary,
};
use tallybook_events::decision::{
    Accepted, Decision, Deferred, Outcome, Preview, Rejection, RejectionCode, SourceRef,
};
use tallybook_events::event::Event;
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::{Environment, Partition, Scope};
use tallybook_events::json::Json;
use tallybook_events::period::{BudgetDuration, Window};

use crate::examples_entitlements;

const BORN: &str = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b01";
const OTHER: &str = "5f0c8bd4-0c5e-5d0a-9d6b-3d3f3d1c2b02";
const COMMAND: &str = "0199c0de-0000-7000-8000-000000000001";

/// Reads a checked value.
pub(crate) fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a well-formed example")
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).expect("JSON")
}

pub(crate) fn window() -> Window {
    Window { start: text("2026-11-01T00:00:00Z"), end: text("2026-12-01T00:00:00Z") }
}

/// Gives the example of an event version.
pub(crate) fn event(name: &str) -> Event {
    match name {
        "CustomerCreated.v1" => Event::CustomerCreated(CustomerCreated {
            customer_id: text(BORN),
            tenant: text("acme-corp"),
            environment: Environment::Live,
            key: Some(text("user-123")),
            birth: 2,
        }),
        "CustomerUpdated.v1" => Event::CustomerUpdated(customer_updated()),
        "TierChanged.v1" => Event::TierChanged(TierChanged {
            from: Some(text("starter")),
            to: Some(text("growth")),
            annual_commitment: Some(text("250000")),
            annual_limit: Some(10_000_000),
            rate_per_second: Some(100),
            burst: Some(200),
        }),
        "StatusChanged.v1" => {
            Event::StatusChanged(StatusChanged { from: Status::Active, to: Status::Suspended })
        }
        "ContractSet.v1" => Event::ContractSet(ContractSet {
            start: Some(text("2026-01-01")),
            end: Some(text("2026-12-31")),
        }),
        "BudgetSet.v1" => Event::BudgetSet(BudgetSet {
            period_budget: Some(text("100.5")),
            total_budget: Some(text("999999999999.999999999999")),
            duration: BudgetDuration::Weekly,
            period_start: Some(text("2026-11-02T00:00:00Z")),
            period_end: Some(text("2026-11-30T12:30:45.123456Z")),
            markup_percentage: text("20"),
        }),
        "PolicyChanged.v1" => Event::PolicyChanged(Box::new(PolicyChanged {
            from: Some(Policy { require_intent: Some(true), ..Policy::default() }),
            to: Some(policy()),
        })),
        "BillingControlsSet.v1" => Event::BillingControlsSet(Box::new(BillingControlsSet {
            from: BillingControls { auto_topups: Some(Vec::new()), ..BillingControls::default() },
            to: controls(),
        })),
        "KeyChanged.v1" => Event::KeyChanged(KeyChanged {
            from: Some(text("user-123")),
            to: Some(text("user/456 é")),
        }),
        "ParentChanged.v1" => {
            Event::ParentChanged(ParentChanged { from: Some(text(BORN)), to: Some(text(OTHER)) })
        }
        "UsageRecorded.v1" => Event::UsageRecorded(usage_recorded()),
        "BudgetThresholdReached.v1" => Event::BudgetThresholdReached(BudgetThresholdReached {
            kind: BudgetKind::Period,
            percentage: 80,
            budget: text("100.5"),
            used: text("80.4"),
            period: window(),
        }),
        "CustomerArchived.v1" => {
            Event::CustomerArchived(CustomerArchived { key: Some(text("user-123")) })
        }
        other => registrars_event(other)
            .or_else(|| examples_entitlements::event(other))
            .unwrap_or_else(|| panic!("{other} has no example: add one, and its golden file")),
    }
}

/// Gives the example of a version of what a registrar decides.
fn registrars_event(name: &str) -> Option<Event> {
    Some(match name {
        "KeyClaimed.v1" => Event::KeyClaimed(KeyClaimed {
            key: text("user-123"),
            holder: text(OTHER),
            birth: true,
            held: None,
        }),
        "KeyReleased.v1" => {
            Event::KeyReleased(KeyReleased { key: text("user-123"), holder: text(OTHER) })
        }
        "PledgeClaimed.v1" => {
            Event::PledgeClaimed(PledgeClaimed { child: text(OTHER), held: text(COMMAND) })
        }
        "PledgeReleased.v1" => {
            Event::PledgeReleased(PledgeReleased { child: text(OTHER), held: text(COMMAND) })
        }
        "EdgeClaimed.v1" => Event::EdgeClaimed(EdgeClaimed {
            parent: text(BORN),
            child: text(OTHER),
            held: text(COMMAND),
        }),
        "EdgeReleased.v1" => Event::EdgeReleased(EdgeReleased {
            parent: text(BORN),
            child: text(OTHER),
            held: text(COMMAND),
        }),
        _ => return None,
    })
}

/// Gives examples of members that came to a version later: its first example stays as it was.
pub(crate) fn events_with_more() -> Vec<(&'static str, Event)> {
    let claimed = KeyClaimed {
        key: text("user-123"),
        holder: text(OTHER),
        birth: true,
        held: Some(text(COMMAND)),
    };
    vec![("KeyClaimed.v1.held", Event::KeyClaimed(claimed))]
}

fn customer_updated() -> CustomerUpdated {
    CustomerUpdated {
        set: BTreeMap::from([
            (
                "profile.email".into(),
                Change { old: Json::Null, new: json(r#""jane@example.com""#) },
            ),
            (
                "profile.metadata.limits".into(),
                Change {
                    old: json("1234567890.12345678901234567890"),
                    new: json(r#"{"a":[1,2.50,null,true],"b":"x"}"#),
                },
            ),
            (
                "identity.links.stripe".into(),
                Change { old: json(r#""cus_1""#), new: json(r#""cus_2""#) },
            ),
        ]),
        removed: BTreeMap::from([("profile.metadata.old.one".into(), json("\"gone\""))]),
    }
}

fn usage_recorded() -> UsageRecorded {
    UsageRecorded {
        report_id: text("report-2"),
        occurred_at: text("2026-11-24T05:30:00.250Z"),
        meter: text("tokens"),
        quantity: text("12"),
        raw: text("0.25"),
        charged: text("0.3"),
        period: window(),
        merchant: None,
        corrects: Some(Corrected {
            report_id: text("report-1"),
            occurred_at: text("2026-11-24T05:29:59Z"),
            meter: text("tokens"),
            quantity: text("10"),
            raw: text("0.2"),
            charged: text("0.24"),
            counted_from: None,
        }),
    }
}

fn policy() -> Policy {
    Policy {
        require_intent: Some(true),
        require_attestation: Some(false),
        require_approval: Some(true),
        auto_approve_below: Some(text("25")),
        attestation_window_minutes: Some(15),
        cooldown_minutes: Some(5),
        ttl_minutes: Some(60),
        ttl_days: Some(7),
        limits: Some(Limits {
            per_auth: Some(text("100")),
            per_day: Some(text("500.01")),
            per_month: Some(text("5000")),
        }),
        allowed_mccs: Some(vec![text("5411"), text("5812")]),
        blocked_mccs: Some(vec![text("7995")]),
        allowed_merchants: Some(vec![text("Corner \"Shop\"")]),
        lock_to_first_merchant: Some(false),
    }
}

fn controls() -> BillingControls {
    BillingControls {
        auto_topups: Some(vec![AutoTopup {
            feature_id: text("tokens"),
            enabled: true,
            threshold: text("10"),
            quantity: text("100"),
            purchase_limit: Some(PurchaseLimit {
                interval: Interval::Month,
                interval_count: 2,
                limit: 5,
                count: Some(1),
            }),
            invoice_mode: Some(false),
        }]),
        spend_limits: Some(vec![SpendLimit {
            feature_id: Some(text("tokens")),
            enabled: true,
            limit_type: Some(LimitType::UsagePercentage),
            overage_limit: Some(text("20")),
            skip_overage_billing: Some(true),
        }]),
        usage_limits: Some(vec![UsageLimit {
            feature_id: text("images"),
            enabled: false,
            limit: text("1000"),
            interval: LimitInterval::Day,
            anchor: Some(LimitAnchor::Utc),
            filter: Some(UsageFilter {
                properties: BTreeMap::from([("model".into(), json("\"large\""))]),
            }),
        }]),
        usage_alerts: Some(vec![UsageAlert {
            feature_id: Some(text("tokens")),
            enabled: true,
            threshold: text("80"),
            threshold_type: ThresholdType::RemainingPercentage,
            name: Some(text("nearly used up")),
        }]),
        overage_allowed: Some(vec![OverageAllowed { feature_id: text("tokens"), enabled: true }]),
    }
}

/// Gives a command with every member that an update can have.
pub(crate) fn update() -> Command {
    Command {
        command_id: text(COMMAND),
        scope: Scope { tenant: text("acme-corp"), environment: Environment::Live },
        customer: tallybook_events::ids::CustomerRef::Key(text("user-123")),
        issued_at: text("2026-11-24T05:29:59.999Z"),
        actor: text("key-1"),
        source: text("api"),
        context: Context {
            idempotency_key: Some(text("once")),
            fingerprint: Some(text("q2w3")),
            refusal_frees_key: false,
            expected_version: Some(6),
            correlation_id: Some(text("order-7")),
            causation_id: Some(text("event-8")),
            traceparent: Some(text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
            reason: Some(text("asked by phone")),
            dry_run: true,
        },
        routed: Some(Routed { customer_id: text(BORN), birth: Some(2) }),
        body: CommandBody::UpdateCustomer(Box::new(patch())),
    }
}

fn profile_patch() -> ProfilePatch {
    ProfilePatch {
        name: Patch::Set(text("Jane Doe")),
        first_name: Patch::Set(text("Jane")),
        last_name: Patch::Clear,
        email: Patch::Set(text("jane@example.com")),
        phone: Patch::Set(text("+14155550123")),
        metadata: Patch::Set(BTreeMap::from([
            (text("plan"), Some(json("\"pro\""))),
            (text("old"), None),
        ])),
        replace_metadata: Edit::Set(BTreeMap::from([(text("a"), json("[1.50]"))])),
        fingerprint: Patch::Clear,
        send_email_receipts: Edit::Set(true),
        address: Patch::Set(AddressPatch {
            line1: Patch::Set(text("1 Main Street")),
            line2: Patch::Clear,
            city: Patch::Set(text("Berlin")),
            state: Patch::Set(text("")),
            postal_code: Patch::Set(text("10115")),
            country: Patch::Set(text("DE")),
        }),
    }
}

fn patch() -> CustomerPatch {
    CustomerPatch {
        key: Edit::Set(text("user-124")),
        profile: Edit::Set(profile_patch()),
        contract: Edit::Set(ContractPatch {
            tier: Patch::Set(text("growth")),
            status: Edit::Set(Status::Active),
            start: Patch::Set(text("2026-01-01")),
            end: Patch::Clear,
            annual_commitment: Patch::Set(text("250000")),
            annual_limit: Patch::Set(10_000_000),
            rate_per_second: Patch::Set(100),
            burst: Patch::Clear,
        }),
        budget: Edit::Set(BudgetPatch {
            period_budget: Patch::Set(text("100.5")),
            total_budget: Patch::Clear,
            duration: Edit::Set(BudgetDuration::Daily),
            period_start: Patch::Set(text("2026-11-02T00:00:00Z")),
            period_end: Patch::Clear,
            markup_percentage: Edit::Set(text("20")),
        }),
        policy: Patch::Set(PolicyPatch {
            require_intent: Patch::Set(true),
            require_attestation: Patch::Clear,
            require_approval: Patch::Set(false),
            auto_approve_below: Patch::Set(text("25")),
            attestation_window_minutes: Patch::Set(15),
            cooldown_minutes: Patch::Set(5),
            ttl_minutes: Patch::Clear,
            ttl_days: Patch::Set(7),
            limits: Patch::Set(LimitsPatch {
                per_auth: Patch::Set(text("100")),
                per_day: Patch::Clear,
                per_month: Patch::Set(text("5000")),
            }),
            allowed_mccs: Patch::Set(vec![text("5411")]),
            blocked_mccs: Patch::Clear,
            allowed_merchants: Patch::Set(vec![text("Corner Shop")]),
            lock_to_first_merchant: Patch::Set(true),
        }),
        billing_controls: Patch::Set(BillingControlsPatch {
            auto_topups: Patch::Set(controls().auto_topups.expect("an example")),
            spend_limits: Patch::Clear,
            usage_limits: Patch::Set(controls().usage_limits.expect("an example")),
            usage_alerts: Patch::Set(Vec::new()),
            overage_allowed: Patch::Set(controls().overage_allowed.expect("an example")),
        }),
        identity: Edit::Set(IdentityPatch {
            links: Patch::Set(BTreeMap::from([
                (text("stripe"), Some(text("cus_2"))),
                (text("old"), None),
            ])),
            parent: Patch::Set(tallybook_events::ids::CustomerRef::Id(text(OTHER))),
        }),
    }
}

/// Gives a decision with one event of each version.
pub(crate) fn decision() -> Decision {
    Decision {
        term: 3,
        seq: 42,
        prev: text("q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA"),
        decided_at: text("2026-11-24T05:30:00.000001Z"),
        rules: "1".into(),
        source: SourceRef::Topic { partition: Partition(3), offset: 991, prev_offset: Some(990) },
        command: update(),
        outcome: Outcome::Accepted(Accepted {
            customer_id: text(BORN),
            from_version: 6,
            to_version: 8,
            duplicates: vec![text("report-1")],
            conflicts: vec![text("report-2")],
        }),
        gives_back: Vec::new(),
        events: vec![event("TierChanged.v1"), event("BudgetSet.v1")],
    }
}

/// Gives a decision with each of the other outcomes, by its name.
pub(crate) fn other_decisions() -> Vec<(&'static str, Decision)> {
    let claim = Claim::Key(KeyClaim {
        key: text("user-124"),
        holder: text(BORN),
        held: text(COMMAND),
        birth: true,
        under: None,
    });
    let pointer = Some("/patch/contract/tier".into());
    let detail = "the catalogue has no tier \"gold\"".into();
    [
        Outcome::Rejected(Rejection { code: RejectionCode::UnknownTier, detail, pointer }),
        Outcome::Deferred(Deferred { customer_id: text(BORN), claim }),
        Outcome::Forwarded { partition: Partition(5), to: update().routed },
        Outcome::DeadLettered { reason: "no command".into() },
        Outcome::Repeated { offset: 990 },
        Outcome::Previewed(Box::new(Preview {
            outcome: Outcome::Accepted(Accepted {
                customer_id: text(BORN),
                from_version: 6,
                to_version: 7,
                duplicates: Vec::new(),
                conflicts: Vec::new(),
            }),
            events: vec![serde_json::json!({"type": "CustomerArchived.v1"})],
            customer: Some(serde_json::json!({"version": 7})),
        })),
    ]
    .into_iter()
    .map(|outcome| {
        let name = match outcome {
            Outcome::Accepted(_) => "DecisionRecord.v1",
            Outcome::Rejected(_) => "DecisionRecord.v1.rejected",
            Outcome::Deferred(_) => "DecisionRecord.v1.deferred",
            Outcome::Forwarded { .. } => "DecisionRecord.v1.forwarded",
            Outcome::DeadLettered { .. } => "DecisionRecord.v1.dead_lettered",
            Outcome::Repeated { .. } => "DecisionRecord.v1.repeated",
            Outcome::Previewed(_) => "DecisionRecord.v1.previewed",
        };
        let command = Command { body: CommandBody::ArchiveCustomer, ..update() };
        let source = SourceRef::Local;
        (name, Decision { source, command, outcome, events: Vec::new(), ..decision() })
    })
    .collect()
}

/// Gives the note of what was no command.
pub(crate) fn dead_letter() -> DeadLetter {
    DeadLetter {
        term: 3,
        seq: 42,
        decided_at: text("2026-11-24T05:30:00.000001Z"),
        source: SourceRef::Topic { partition: Partition(3), offset: 991, prev_offset: Some(990) },
        reason: " is not JSON".into(),
    }
}

/// Gives what Tallybook sends itself, by name: each kind of claim with every member.
pub(crate) fn follow_ups() -> Vec<(&'static str, Decision)> {
    let key = Claim::Key(KeyClaim {
        key: text("user-124"),
        holder: text(BORN),
        held: text(COMMAND),
        birth: true,
        under: Some(text("0199c0de-0000-7000-8000-000000000002")),
    });
    let pledge = Claim::Pledge(PledgeClaim {
        pledge: tallybook_events::ids::CustomerRef::Key(text("parent-1")),
        child: text(BORN),
        held: text(COMMAND),
    });
    let edge =
        Claim::Edge(EdgeClaim { parent: text(OTHER), child: text(BORN), held: text(COMMAND) });
    let settled = CommandBody::SettleClaim(Settlement {
        claim: pledge.clone(),
        granted: true,
        answer: RegistrarAnswer {
            refusal: Some(RejectionCode::ParentIsChild),
            pledged: Some(text(OTHER)),
            under: Some(text(COMMAND)),
        },
    });
    let needs_more = Outcome::Deferred(Deferred { customer_id: text(BORN), claim: edge.clone() });
    let done = decision().outcome;
    [
        ("DecisionRecord.v1.ClaimPledge", CommandBody::Claim(pledge), done.clone()),
        ("DecisionRecord.v1.ClaimEdge", CommandBody::Claim(edge), done.clone()),
        ("DecisionRecord.v1.SettleClaim", settled, needs_more),
        ("DecisionRecord.v1.ReleaseKey", CommandBody::Release(key), done),
    ]
    .map(|(name, body, outcome)| {
        let command = Command { body, ..update() };
        let events = Vec::new();
        (name, Decision { source: SourceRef::Local, command, outcome, events, ..decision() })
    })
    .into_iter()
    .chain([giving_back()])
    .collect()
}

/// Gives a decision that gives something back.
fn giving_back() -> (&'static str, Decision) {
    let command = Command { body: CommandBody::ArchiveCustomer, ..update() };
    let gives_back = vec![text(COMMAND), text("0199c0de-0000-7000-8000-000000000002")];
    let source = SourceRef::Local;
    let events = Vec::new();
    let decision = Decision { source, command, gives_back, events, ..decision() };
    ("DecisionRecord.v1.gives_back", decision)
}

/// Gives a claim.
pub(crate) fn claim() -> Claimed {
    Claimed { term: 4, owner: "node \"b\"".into(), at: text("2026-11-24T05:31:00Z") }
}

fn profile() -> Profile {
    Profile {
        name: Some("Jane Doe".into()),
        first_name: Some("Jane".into()),
        last_name: Some("Doe".into()),
        email: Some("jane@example.com".into()),
        phone: Some("+14155550123".into()),
        metadata: BTreeMap::from([("plan".into(), json("\"pro\""))]),
        fingerprint: Some("f1".into()),
        send_email_receipts: true,
        address: Address {
            line1: Some("1 Main Street".into()),
            line2: Some("c/o Doe".into()),
            city: Some("Berlin".into()),
            state: Some("BE".into()),
            postal_code: Some("10115".into()),
            country: Some("DE".into()),
        },
    }
}

/// Gives a customer document with every member.
pub(crate) fn document() -> CustomerDocument {
    CustomerDocument {
        id: text(BORN),
        key: Some(text("user-123")),
        tenant: text("acme-corp"),
        environment: Environment::Live,
        version: 7,
        created_at: text("2026-01-01T00:00:00Z"),
        updated_at: text("2026-11-24T05:30:00.000001Z"),
        archived_at: Some(text("2026-11-24T05:30:00.000001Z")),
        profile: profile(),
        contract: Contract {
            tier: Some(text("growth")),
            status: Status::Suspended,
            start: Some(text("2026-01-01")),
            end: Some(text("2026-12-31")),
            annual_commitment: Some(text("250000")),
            annual_limit: Some(10_000_000),
            rate_per_second: Some(100),
            burst: Some(200),
        },
        budget: Budget {
            period_budget: Some(text("100.5")),
            total_budget: Some(text("1000")),
            duration: BudgetDuration::Monthly,
            period_start: Some(text("2026-11-02T00:00:00Z")),
            period_end: Some(text("2026-12-02T00:00:00Z")),
            markup_percentage: text("20"),
        },
        policy: Some(policy()),
        billing_controls: controls(),
        identity: Identity {
            links: BTreeMap::from([("stripe".into(), "cus_2".into())]),
            parent: Some(text(OTHER)),
        },
        usage: UsageSummary {
            period: PeriodSummary {
                start: text("2026-11-02T00:00:00Z"),
                end: text("2026-12-02T00:00:00Z"),
                raw: text("120.25"),
                charged: text("144.3"),
                count: 17,
                budget: Some(text("100.5")),
                remaining: Some(text("-19.75")),
            },
            lifetime: LifetimeSummary { raw: text("220.25"), charged: text("264.3"), count: 40 },
        },
    }
}
