//! The facts of a customer that a body may have: made, or changed. What is `null` is cleared.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{IdentityPatch, ProfilePatch};
use tallybook_events::field::{Edit, Field, Patch};
use tallybook_events::ids::Token;
use tallybook_events::json::Json;
use tallybook_events::text::{Email, MetadataKey, Name, Text};

use super::super::zod::{Issues, Object, Place};
use super::controls::Controls;
use crate::gateway::metadata::AskedMetadata;

/// Where the vendor's id at its payment provider is kept.
pub(crate) const STRIPE: &str = "stripe";
/// Most characters of a text.
const MAX_TEXT: usize = 255;

/// The facts that a body gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, JsonSchema)]
pub(crate) struct Facts {
    /// Customer's name. `null` clears it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    name: Patch<Name>,
    /// Customer's e-mail address. `null` clears it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    email: Patch<Email>,
    /// What tells devices apart, like a serial number. `null` clears it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    fingerprint: Patch<Text<MAX_TEXT>>,
    /// Merged into the metadata that is there; a member that is `null` is taken away. `null` leaves
    /// all as it is.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schemars(with = "Option<AskedMetadata>")]
    metadata: Patch<BTreeMap<MetadataKey, Option<Json>>>,
    /// Stripe customer id. It is kept, not verified. `null` and an empty string take it away.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schemars(with = "StripeId")]
    stripe_id: Patch<Token>,
    /// Whether to send e-mail receipts to this customer.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    send_email_receipts: Edit<bool>,
    /// Billing controls. A list that is there takes the place of that list; others stay.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    billing_controls: Edit<Controls>,
}

impl Facts {
    /// Reads the members of a body.
    pub(crate) fn read(issues: &mut Issues, body: &Object<'_>) -> Option<Self> {
        let text = |issues: &mut Issues, place: &Place<'_>| {
            let text = issues.string(place)?;
            issues.text(place, text, MAX_TEXT)
        };
        let name = issues.nullish(&body.at("name"), text);
        let email = issues.nullish(&body.at("email"), |issues, place| {
            let email = place.value().and_then(Json::as_str).and_then(|text| text.parse().ok());
            email.or_else(|| issues.add(place, "not a valid email address"))
        });
        let fingerprint = issues.nullish(&body.at("fingerprint"), text);
        let metadata = issues.nullish(&body.at("metadata"), metadata);
        let stripe_id = stripe_id(issues, &body.at("stripe_id"));
        let receipts = issues.optional(&body.at("send_email_receipts"), Issues::boolean);
        let controls = issues.optional(&body.at("billing_controls"), Controls::read);
        Some(Self {
            name: name?.null_clears(),
            email: email?.null_clears(),
            fingerprint: fingerprint?.null_clears(),
            metadata: match metadata? {
                Field::Absent | Field::Null => Patch::Keep,
                Field::Value(members) => Patch::Set(members),
            },
            stripe_id: stripe_id?,
            send_email_receipts: receipts?,
            billing_controls: controls?,
        })
    }

    /// Says what is wrong with the billing controls beyond their own rules, if anything is.
    pub(crate) fn overdrawn(&self) -> Option<String> {
        let (feature, count, limit) = self.billing_controls.as_set()?.overdrawn()?;
        Some(format!(
            "purchase_limit.count ({count}) cannot exceed purchase_limit.limit ({limit}) \
             for feature {feature}"
        ))
    }

    /// Gives them as a patch.
    pub(crate) fn into_patch(self) -> CustomerPatch {
        let stripe = match self.stripe_id {
            Patch::Keep => None,
            Patch::Clear => Some(None),
            Patch::Set(id) => Some(Some(id)),
        };
        let profile = ProfilePatch {
            name: self.name,
            email: self.email,
            fingerprint: self.fingerprint,
            metadata: self.metadata,
            send_email_receipts: self.send_email_receipts,
            ..ProfilePatch::default()
        };
        let untouched = profile == ProfilePatch::default();
        CustomerPatch {
            profile: if untouched { Edit::Keep } else { Edit::Set(profile) },
            billing_controls: match self.billing_controls {
                Edit::Keep => Patch::Keep,
                Edit::Set(controls) => Patch::Set(controls.into_patch()),
            },
            identity: stripe.map_or(Edit::Keep, |link| Edit::Set(stripe_link(link))),
            ..CustomerPatch::default()
        }
    }
}

fn stripe_link(link: Option<Token>) -> IdentityPatch {
    let provider = STRIPE.parse().expect("the word is short and plain");
    IdentityPatch { links: Patch::Set(BTreeMap::from([(provider, link)])), parent: Patch::Keep }
}

/// A Stripe id that is asked for.
struct StripeId;

impl JsonSchema for StripeId {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "StripeId".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "null"],
            "maxLength": MAX_TEXT,
            "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
        })
    }
}

/// Reads an id; `null` and an empty one take it away.
fn stripe_id(issues: &mut Issues, place: &Place<'_>) -> Option<Patch<Token>> {
    match place.value() {
        None => Some(Patch::Keep),
        Some(Json::Null) => Some(Patch::Clear),
        Some(_) => match issues.string(place)? {
            "" => Some(Patch::Clear),
            text => issues.text(place, text, MAX_TEXT).map(Patch::Set),
        },
    }
}

fn metadata(issues: &mut Issues, place: &Place<'_>) -> Option<BTreeMap<MetadataKey, Option<Json>>> {
    let members = issues.record(place)?;
    let before = issues.count();
    let mut read = BTreeMap::new();
    for (name, place) in members.all() {
        let value = place.value().filter(|value| **value != Json::Null).cloned();
        match name.parse::<MetadataKey>() {
            Ok(name) => drop(read.insert(name, value)),
            Err(error) => drop(issues.add::<()>(&place, error)),
        }
    }
    (issues.count() == before).then_some(read)
}
