//! Any command, as JSON: for properties. Small sets of names and round numbers, so that commands
//! meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use tallybook_events::ids::CustomerId;

use super::entitlements::arbitrary::entitle;
use super::given::nth;
use super::world::scope;

/// The keys in play. The last two have the ids of further customers of the first as their slots.
pub(crate) const KEYS: [&str; 5] = ["a", "b", "c", "a#1", "a#2"];
/// An id that a caller may choose.
const OWN_ID: &str = "019bb0c0-0000-7000-8000-000000000001";

pub(crate) fn key() -> BoxedStrategy<&'static str> {
    select(&KEYS[..]).boxed()
}

/// The ids at which something may live.
pub(crate) fn id() -> BoxedStrategy<String> {
    let births = (key(), 0..3_u32).prop_map(|(key, n)| nth(key, n).to_string());
    prop_oneof![5 => births, 1 => Just(OWN_ID.to_owned())].boxed()
}

/// The ids at which something may live, and that of the hierarchy.
fn any_id() -> BoxedStrategy<String> {
    let hierarchy = Just(CustomerId::hierarchy(&scope()).to_string());
    prop_oneof![9 => id(), 1 => hierarchy].boxed()
}

fn customer() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => key().prop_map(|key| json!({"key": key})),
        1 => any_id().prop_map(|id| json!({"id": id})),
    ]
    .boxed()
}

pub(crate) fn amount() -> BoxedStrategy<Value> {
    let edges = ["0", "0.000000000001", "1", "12.5", "80", "100", "999999999999.999999999999"];
    prop_oneof![
        select(edges.to_vec()).prop_map(|it| json!(it)),
        (0..200_u32).prop_map(|it| json!(it))
    ]
    .boxed()
}

/// A moment on the hour, around the start of 2026; sometimes far from it.
pub(crate) fn hour() -> BoxedStrategy<String> {
    let near = (0..120_u32, 0..24_u32).prop_map(|(day, hour)| {
        let start = 1_764_547_200 + i64::from(day) * 86_400 + i64::from(hour) * 3_600;
        tallybook_events::time::Timestamp::from_micros(start * 1_000_000).to_string()
    });
    let far = select(vec!["1970-01-01T00:00:00Z", "2024-02-29T00:00:00Z", "9999-12-31T23:00:00Z"]);
    prop_oneof![15 => near, 1 => far.prop_map(str::to_owned)].boxed()
}

/// A moment within an hour.
pub(crate) fn moment() -> BoxedStrategy<String> {
    (hour(), 0..60_u32)
        .prop_map(|(hour, minute)| hour.replace(":00:00Z", &format!(":{minute:02}:07.5Z")))
        .boxed()
}

fn with(mut value: Value, member: &str, is: Value) -> Value {
    value[member] = is;
    value
}

type Members = Vec<(&'static str, BoxedStrategy<Value>)>;

/// An object in which each member may be absent.
fn object(members: Members) -> BoxedStrategy<Value> {
    let members: Vec<_> = members
        .into_iter()
        .map(|(name, value)| option::weighted(0.3, value.prop_map(move |it| (name, it))))
        .collect();
    members
        .prop_map(|members| {
            let members = members.into_iter().flatten();
            members.map(|(name, value)| (name.to_owned(), value)).collect::<serde_json::Map<_, _>>()
        })
        .prop_map(Value::from)
        .boxed()
}

fn nullable(value: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    prop_oneof![1 => Just(Value::Null), 4 => value].boxed()
}

fn one_of(values: &[Value]) -> BoxedStrategy<Value> {
    select(values.to_vec()).boxed()
}

fn text() -> BoxedStrategy<Value> {
    one_of(&[json!(""), json!("x"), json!("Jane"), json!("ü 漢")])
}

fn profile() -> BoxedStrategy<Value> {
    let member = || one_of(&[json!("m"), json!("n.o/p"), json!("name")]);
    let value = || one_of(&[json!(1), json!(null), json!({"a": [1, null]}), json!("x")]);
    let metadata = move || {
        vec((member(), value()), 0..3)
            .prop_map(|members| {
                let name = |name: Value| name.as_str().unwrap_or_default().to_owned();
                members.into_iter().map(|(it, value)| (name(it), value)).collect()
            })
            .prop_map(Value::Object)
            .boxed()
    };
    object(vec![
        ("name", nullable(text())),
        ("first_name", nullable(text())),
        ("last_name", nullable(text())),
        ("email", nullable(one_of(&[json!("a@b.cd"), json!("x@y.zz")]))),
        ("phone", nullable(one_of(&[json!("+14155550123")]))),
        ("fingerprint", nullable(text())),
        ("send_email_receipts", one_of(&[json!(true), json!(false)])),
        ("metadata", nullable(metadata())),
        ("replace_metadata", metadata()),
        (
            "address",
            nullable(object(vec![
                ("line1", nullable(text())),
                ("city", nullable(text())),
                ("country", nullable(one_of(&[json!("DE"), json!("FR")]))),
            ])),
        ),
    ])
}

fn contract() -> BoxedStrategy<Value> {
    let date =
        || nullable(one_of(&[json!("2026-01-01"), json!("2026-06-30"), json!("9999-12-31")]));
    let number = || nullable(one_of(&[json!(0), json!(5), json!(u64::MAX)]));
    object(vec![
        ("tier", nullable(one_of(&[json!("growth"), json!("scale"), json!("none")]))),
        ("status", one_of(&[json!("active"), json!("suspended")])),
        ("start", date()),
        ("end", date()),
        ("annual_commitment", nullable(amount())),
        ("annual_limit", number()),
        ("rate_per_second", number()),
        ("burst", number()),
    ])
}

fn budget() -> BoxedStrategy<Value> {
    let hour = || hour().prop_map(|it| json!(it)).boxed();
    let durations = [json!("daily"), json!("weekly"), json!("monthly"), json!("yearly")];
    object(vec![
        ("period_budget", nullable(amount())),
        ("total_budget", nullable(amount())),
        ("duration", one_of(&durations)),
        ("period_start", nullable(hour())),
        ("period_end", nullable(hour())),
        ("markup_percentage", amount()),
    ])
}

fn policy() -> BoxedStrategy<Value> {
    let limits = object(vec![("per_auth", nullable(amount())), ("per_day", nullable(amount()))]);
    object(vec![
        ("require_intent", nullable(one_of(&[json!(true)]))),
        ("auto_approve_below", nullable(amount())),
        ("ttl_days", nullable(one_of(&[json!(0), json!(7)]))),
        ("limits", nullable(limits)),
        ("allowed_mccs", nullable(one_of(&[json!([]), json!(["5411"])]))),
    ])
}

fn controls() -> BoxedStrategy<Value> {
    let topup = |feature: &str, quantity: u32| json!({"feature_id": feature, "threshold": 1, "quantity": quantity});
    let limit = |properties: Value| {
        let filter = json!({"properties": properties});
        json!({"feature_id": "f", "limit": 1, "interval": "day", "filter": filter})
    };
    let alert =
        |threshold: u32| json!({"threshold": threshold, "threshold_type": "usage_percentage"});
    object(vec![
        (
            "auto_topups",
            nullable(one_of(&[
                json!([]),
                json!([topup("f", 1), topup("g", 1)]),
                json!([topup("f", 1), topup("f", 2)]),
                json!([topup("f", 0)]),
                json!([merged(topup("tokens", 1), json!({"enabled": true, "threshold": 50}))]),
            ])),
        ),
        ("spend_limits", nullable(one_of(&[json!([{}]), json!([{"overage_limit": 1}])]))),
        (
            "usage_limits",
            nullable(one_of(&[json!([limit(json!({"m": 1.50}))]), json!([limit(json!({}))])])),
        ),
        ("usage_alerts", nullable(one_of(&[json!([alert(100), alert(50)]), json!([alert(101)])]))),
        ("overage_allowed", nullable(one_of(&[json!([{"feature_id": "f"}])]))),
    ])
}

fn merged(mut value: Value, more: Value) -> Value {
    let members = more.as_object().expect("an object").clone();
    value.as_object_mut().expect("an object").extend(members);
    value
}

/// A parent, by key or by id; often one that there is.
fn parent() -> BoxedStrategy<Value> {
    prop_oneof![
        2 => key().prop_map(|key| json!({"key": key})),
        1 => any_id().prop_map(|id| json!(id)),
    ]
    .boxed()
}

/// Facts, but for the key.
pub(crate) fn patch() -> BoxedStrategy<Value> {
    let links = vec((select(vec!["stripe", "paypal"]), option::of(select(vec!["1", "2"]))), 0..3)
        .prop_map(|links| json!(links.into_iter().collect::<std::collections::BTreeMap<_, _>>()));
    let parent = nullable(parent());
    let identity = object(vec![("links", nullable(links.boxed())), ("parent", parent)]);
    object(vec![
        ("profile", profile()),
        ("contract", contract()),
        ("budget", budget()),
        ("policy", nullable(policy())),
        ("billing_controls", nullable(controls())),
        ("identity", identity),
    ])
}

/// A report; with few ids, so that some are repeats, and some correct others.
pub(crate) fn report() -> BoxedStrategy<Value> {
    let report_id = || (0..12_u32).prop_map(|n| format!("r{n}"));
    let meter = select(vec!["tokens", "calls"]);
    let merchant = option::weighted(0.2, select(vec!["amazon.com", "Corner Shop"]));
    let told = (merchant, option::weighted(0.2, report_id()));
    (report_id(), moment(), meter, amount(), amount(), told)
        .prop_map(|(id, occurred_at, meter, quantity, cost, (merchant, corrects))| {
            let mut report = json!({"report_id": id, "occurred_at": occurred_at, "meter": meter,
                "quantity": quantity, "cost": cost});
            if let Some(merchant) = merchant {
                report["merchant"] = json!(merchant);
            }
            if let Some(corrects) = corrects.filter(|corrects| *corrects != id) {
                report["corrects"] = json!(corrects);
            }
            report
        })
        .boxed()
}

/// A command of a caller.
pub(crate) fn asked() -> BoxedStrategy<Value> {
    let with_key = |patch: BoxedStrategy<Value>, share: f64| {
        (patch, option::weighted(share, key())).prop_map(|(mut patch, key)| {
            if let Some(key) = key {
                patch["key"] = json!(key);
            }
            patch
        })
    };
    let body = prop_oneof![
        3 => with_key(patch(), 0.1).prop_map(|it| json!({"type": "CreateCustomer", "patch": it})),
        3 => with_key(patch(), 0.4).prop_map(|it| json!({"type": "UpdateCustomer", "patch": it})),
        3 => vec(report(), 1..5).prop_map(|it| json!({"type": "RecordUsage", "reports": it})),
        2 => Just(json!({"type": "ArchiveCustomer"})),
        4 => entitle(),
    ];
    (body, customer(), option::weighted(0.1, 0..5_u64))
        .prop_map(|(mut command, customer, expected_version)| {
            command["customer"] = customer;
            if let Some(expected) = expected_version {
                command["expected_version"] = json!(expected);
            }
            command
        })
        .boxed()
}

/// A command that is about keys and parents: a birth, a rename, another parent, an end.
pub(crate) fn about_claims() -> BoxedStrategy<Value> {
    let rename = key().prop_map(|it| json!({"key": it}));
    let move_below = || nullable(parent()).prop_map(|it| json!({"identity": {"parent": it}}));
    let both = (key(), move_below()).prop_map(|(key, patch)| with(patch, "key", json!(key)));
    let update = |patch| json!({"type": "UpdateCustomer", "patch": patch});
    let body = prop_oneof![
        2 => Just(json!({"type": "CreateCustomer", "patch": {}})),
        1 => move_below().prop_map(|it| json!({"type": "CreateCustomer", "patch": it})),
        3 => rename.prop_map(update),
        4 => move_below().prop_map(update),
        1 => both.prop_map(update),
        1 => report().prop_map(|it| json!({"type": "RecordUsage", "reports": [it]})),
        2 => Just(json!({"type": "ArchiveCustomer"})),
    ];
    (body, customer())
        .prop_map(|(mut command, customer)| {
            command["customer"] = customer;
            command
        })
        .boxed()
}

/// Any command at all, follow-ups and ones that were sent on by nobody included.
pub(crate) fn anything() -> BoxedStrategy<Value> {
    let held = || (0..9_u32).prop_map(|held| format!("00000000-0000-4000-8000-{held:012}"));
    let key = (key(), id(), held(), any::<bool>(), option::of(held())).prop_map(
        |(key, holder, held, birth, under)| {
            let claim = json!({"key": key, "holder": holder, "held": held, "birth": birth});
            under.map_or(claim.clone(), |under| with(claim, "under", json!(under)))
        },
    );
    let pledge = (customer(), id(), held())
        .prop_map(|(pledge, child, held)| json!({"pledge": pledge, "child": child, "held": held}));
    let edge = (id(), id(), held())
        .prop_map(|(parent, child, held)| json!({"parent": parent, "child": child, "held": held}));
    let about = prop_oneof![
        key.prop_map(|claim| ("Key", claim)),
        pledge.prop_map(|claim| ("Pledge", claim)),
        edge.prop_map(|claim| ("Edge", claim)),
    ];
    let verbs = select(vec!["Claim", "Release", "SettleClaim", "SettleRelease"]);
    let answer = (any::<bool>(), id(), held());
    let follow_up = (verbs, about, answer, customer()).prop_map(
        |(verb, (kind, claim), (granted, pledged, under), customer)| {
            let settles = verb.starts_with("Settle");
            let kind = if settles { verb.to_owned() } else { format!("{verb}{kind}") };
            let mut command = json!({"type": kind, "claim": claim, "customer": customer});
            if verb == "SettleClaim" {
                command["granted"] = json!(granted);
                command["answer"] = json!({"pledged": pledged, "under": under});
            }
            command
        },
    );
    let routed = (id(), option::of(0..3_u32)).prop_map(|(id, birth)| match birth {
        Some(birth) => json!({"customer_id": id, "birth": birth}),
        None => json!({"customer_id": id}),
    });
    let tenant = select(vec!["t", "t", "t", "other"]);
    (prop_oneof![2 => asked(), 1 => follow_up], option::weighted(0.2, routed), tenant)
        .prop_map(|(mut command, routed, tenant)| {
            if let Some(routed) = routed {
                command["routed"] = routed;
            }
            command["tenant"] = json!(tenant);
            command
        })
        .boxed()
}
