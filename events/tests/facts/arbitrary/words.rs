//! What commands and events are made of.

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::string::string_regex;
use tallybook_events::command::{Claim, EdgeClaim, KeyClaim, PledgeClaim, RegistrarAnswer};
use tallybook_events::customer::{
    AutoTopup, Interval, LimitAnchor, LimitInterval, LimitType, OverageAllowed, PurchaseLimit,
    SpendLimit, Status, ThresholdType, UsageAlert, UsageFilter, UsageLimit,
};
use tallybook_events::decision::RejectionCode;
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Environment};
use tallybook_events::json::Json;
use tallybook_events::money::Amount;
use tallybook_events::period::{BudgetDuration, Window};
use tallybook_events::text::{Mcc, Text};
use tallybook_events::time::{Date, Timestamp};

use crate::examples::text;

pub(super) fn flag() -> impl Strategy<Value = bool> {
    any::<bool>()
}

pub(super) fn small() -> impl Strategy<Value = u32> {
    any::<u32>()
}

pub(super) fn number() -> impl Strategy<Value = u64> {
    any::<u64>()
}

/// Most items of lists and maps: enough for none, one and several.
pub(super) const FEW: usize = 3;

pub(super) fn word<T>() -> impl Strategy<Value = T>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug,
{
    // Quotes, backslashes, slashes, dots, non-ASCII and astral characters; no control characters.
    let word = string_regex("[a-z\"\\\\/.~# é漢😀]{1,12}").expect("a regular expression");
    word.prop_map(|word| text(&word))
}

pub(super) fn tenant<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug>()
-> impl Strategy<Value = T> {
    string_regex("[A-Za-z0-9_.-]{1,64}").expect("a regular expression").prop_map(|word| text(&word))
}

pub(super) fn free<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    string_regex("[a\"\\\\\n\u{1}é😀]{0,9}").expect("a regular expression").prop_map(|it| text(&it))
}

pub(super) fn boxed(strategy: impl Strategy<Value = String>) -> impl Strategy<Value = Box<str>> {
    strategy.prop_map(Into::into)
}

pub(super) fn any_text() -> impl Strategy<Value = Box<str>> {
    boxed(string_regex("[a\"\\\\\n\u{1}é😀]{0,9}").expect("a regular expression"))
}

pub(super) fn amount() -> impl Strategy<Value = Amount> {
    (0..1_000_000_000_000_u64, 0..1_000_000_000_000_u64, 0..=12_usize).prop_map(
        |(whole, fraction, digits)| {
            let fraction = &format!("{fraction:012}")[..digits];
            text(&if digits == 0 { whole.to_string() } else { format!("{whole}.{fraction}") })
        },
    )
}

pub(super) fn moment() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..=253_402_300_799_999_999_i64).prop_map(Timestamp::from_micros),
        (0..=253_402_300_799_i64).prop_map(|second| Timestamp::from_micros(second * 1_000_000)),
        Just(Timestamp::MIN),
        Just(Timestamp::MAX),
    ]
}

pub(super) fn date() -> impl Strategy<Value = Date> {
    (1970..=9999_u32, 1..=12_u32, 1..=28_u32)
        .prop_map(|(year, month, day)| text(&format!("{year:04}-{month:02}-{day:02}")))
}

pub(super) fn window() -> impl Strategy<Value = Window> {
    (moment(), moment()).prop_map(|(start, end)| Window { start, end })
}

pub(super) fn customer_id() -> impl Strategy<Value = CustomerId> {
    uuid().prop_map(CustomerId)
}

pub(super) fn uuid() -> impl Strategy<Value = uuid::Uuid> {
    any::<u128>().prop_map(uuid::Uuid::from_u128)
}

pub(super) fn command_id() -> impl Strategy<Value = CommandId> {
    uuid().prop_map(CommandId)
}

pub(super) fn customer_ref() -> impl Strategy<Value = CustomerRef> {
    prop_oneof![customer_id().prop_map(CustomerRef::Id), word().prop_map(CustomerRef::Key)]
}

pub(super) fn environment() -> impl Strategy<Value = Environment> {
    prop_oneof![Just(Environment::Live), Just(Environment::Test)]
}

pub(super) fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Active), Just(Status::Suspended)]
}

pub(super) fn duration() -> impl Strategy<Value = BudgetDuration> {
    use BudgetDuration::{Daily, Monthly, Weekly, Yearly};
    prop_oneof![Just(Daily), Just(Weekly), Just(Monthly), Just(Yearly)]
}

pub(super) fn json() -> impl Strategy<Value = Json> {
    let number = string_regex("-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?");
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        boxed(number.expect("a regular expression")).prop_map(Json::Number),
        any_text().prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..FEW).prop_map(Json::Array),
            btree_map(any_text(), inner, 0..FEW).prop_map(Json::Object),
        ]
    })
}

pub(super) fn mccs() -> impl Strategy<Value = Vec<Mcc>> {
    vec((0..10_000_u32).prop_map(|code| text(&format!("{code:04}"))), 0..FEW)
}

/// Any claim.
pub(super) fn claim() -> BoxedStrategy<Claim> {
    prop_oneof![
        key_claim().prop_map(Claim::Key),
        (customer_ref(), customer_id(), command_id()).prop_map(|(pledge, child, held)| {
            Claim::Pledge(PledgeClaim { pledge, child, held })
        }),
        (customer_id(), customer_id(), command_id())
            .prop_map(|(parent, child, held)| Claim::Edge(EdgeClaim { parent, child, held })),
    ]
    .boxed()
}

fn key_claim() -> impl Strategy<Value = KeyClaim> {
    (word(), customer_id(), command_id(), flag(), of(command_id()))
        .prop_map(|(key, holder, held, birth, under)| KeyClaim { key, holder, held, birth, under })
}

/// Any answer of a registrar.
pub(super) fn registrar_answer() -> impl Strategy<Value = RegistrarAnswer> {
    let code = prop_oneof![Just(RejectionCode::ParentUnknown), Just(RejectionCode::KeyTaken)];
    (of(code), of(customer_id()), of(command_id()))
        .prop_map(|(refusal, pledged, under)| RegistrarAnswer { refusal, pledged, under })
}

pub(super) fn topup() -> impl Strategy<Value = AutoTopup> {
    let interval = prop_oneof![
        Just(Interval::Hour),
        Just(Interval::Day),
        Just(Interval::Week),
        Just(Interval::Month),
    ];
    let purchase = (interval, small(), small(), of(small())).prop_map(
        |(interval, interval_count, limit, count)| PurchaseLimit {
            interval,
            interval_count,
            limit,
            count,
        },
    );
    (word(), flag(), amount(), amount(), of(purchase), of(flag())).prop_map(
        |(feature_id, enabled, threshold, quantity, purchase_limit, invoice_mode)| AutoTopup {
            feature_id,
            enabled,
            threshold,
            quantity,
            purchase_limit,
            invoice_mode,
        },
    )
}

pub(super) fn spend_limit() -> impl Strategy<Value = SpendLimit> {
    let kind = prop_oneof![Just(LimitType::Absolute), Just(LimitType::UsagePercentage)];
    (of(word()), flag(), of(kind), of(amount()), of(flag())).prop_map(
        |(feature_id, enabled, limit_type, overage_limit, skip_overage_billing)| SpendLimit {
            feature_id,
            enabled,
            limit_type,
            overage_limit,
            skip_overage_billing,
        },
    )
}

pub(super) fn usage_limit() -> impl Strategy<Value = UsageLimit> {
    use LimitInterval::{Day, Month, Week, Year};
    let interval = prop_oneof![Just(Day), Just(Week), Just(Month), Just(Year)];
    let anchor = prop_oneof![Just(LimitAnchor::BillingCycle), Just(LimitAnchor::Utc)];
    let filter =
        btree_map(any_text(), json(), 0..FEW).prop_map(|properties| UsageFilter { properties });
    (word(), flag(), amount(), interval, of(anchor), of(filter)).prop_map(
        |(feature_id, enabled, limit, interval, anchor, filter)| UsageLimit {
            feature_id,
            enabled,
            limit,
            interval,
            anchor,
            filter,
        },
    )
}

pub(super) fn usage_alert() -> impl Strategy<Value = UsageAlert> {
    use ThresholdType::{Remaining, RemainingPercentage, Usage, UsagePercentage};
    let kind = prop_oneof![
        Just(Usage),
        Just(UsagePercentage),
        Just(Remaining),
        Just(RemainingPercentage),
    ];
    (of(word()), flag(), amount(), kind, of(free())).prop_map(
        |(feature_id, enabled, threshold, threshold_type, name)| UsageAlert {
            feature_id,
            enabled,
            threshold,
            threshold_type,
            name,
        },
    )
}

pub(super) fn overage() -> impl Strategy<Value = OverageAllowed> {
    (word(), flag()).prop_map(|(feature_id, enabled)| OverageAllowed { feature_id, enabled })
}
