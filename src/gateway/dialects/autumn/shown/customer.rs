//! A customer, as each call about one answers.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tallybook_events::customer::CustomerDocument;
use tallybook_events::customer::entitlements::Entitlements;
use tallybook_events::ids::CustomerKey;
use tallybook_events::json::Json;
use tallybook_events::time::Timestamp;

use super::super::asked::facts::STRIPE;
use super::super::refused::Env;
use super::super::version::ApiVersion;
use super::controls::Controls;
use super::entitlements::{Balance, Flag, Purchase, Subscription};

/// A customer.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Customer<'a> {
    /// Your unique identifier for the customer.
    id: Option<&'a str>,
    /// The name of the customer.
    name: Option<&'a str>,
    /// The e-mail address of the customer.
    email: Option<&'a str>,
    /// When the customer was made, in milliseconds.
    created_at: i64,
    /// What tells devices apart.
    fingerprint: Option<&'a str>,
    /// Stripe customer id.
    stripe_id: Option<&'a str>,
    /// The environment that the customer was made in.
    env: Env,
    /// The metadata of the customer.
    metadata: &'a BTreeMap<Box<str>, Json>,
    /// Whether to send e-mail receipts to the customer.
    send_email_receipts: bool,
    /// Billing controls; a list that was never set is not there.
    billing_controls: Controls<'a>,
    /// Plans that are attached and in force, or scheduled.
    subscriptions: Vec<Subscription<'a>>,
    /// Purchases made once.
    purchases: Vec<Purchase<'a>>,
    /// Licences, after version 2.1. There are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "[Json; 0]")]
    licenses: Option<[Json; 0]>,
    /// Balances by feature.
    balances: BTreeMap<&'a str, Balance<'a>>,
    /// Features that are switched on, by feature.
    flags: BTreeMap<&'a str, Flag<'a>>,
    /// Settings, after version 2.1. There are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, bool>")]
    config: Option<BTreeMap<String, bool>>,
}

impl<'a> Customer<'a> {
    /// Shows a customer as a version has it.
    pub(crate) fn of(
        document: &'a CustomerDocument,
        entitlements: &'a Entitlements,
        version: ApiVersion,
    ) -> Self {
        let later = version > ApiVersion::DEFAULT;
        let profile = &document.profile;
        let subscriptions = entitlements.subscriptions.iter();
        Self {
            id: document.key.as_ref().map(CustomerKey::as_str),
            name: profile.name.as_deref(),
            email: profile.email.as_deref(),
            created_at: millis(document.created_at),
            fingerprint: profile.fingerprint.as_deref(),
            stripe_id: document.identity.links.get(STRIPE).map(|id| &**id),
            env: document.environment.into(),
            metadata: &profile.metadata,
            send_email_receipts: profile.send_email_receipts,
            billing_controls: Controls::of(
                &document.billing_controls,
                &entitlements.usage_limits,
                version,
            ),
            subscriptions: subscriptions.map(|plan| Subscription::of(plan, version)).collect(),
            purchases: entitlements.purchases.iter().map(Purchase::of).collect(),
            licenses: later.then_some([]),
            balances: entitlements
                .balances
                .iter()
                .map(|(feature, balance)| (feature.as_str(), Balance::of(balance)))
                .collect(),
            flags: entitlements
                .flags
                .iter()
                .map(|(feature, flag)| (feature.as_str(), Flag::of(flag)))
                .collect(),
            config: later.then(BTreeMap::new),
        }
    }
}

/// Gives milliseconds since 1970.
pub(crate) const fn millis(moment: Timestamp) -> i64 {
    moment.micros() / 1_000
}
