//! The profile: names, addresses, metadata.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Identity;
use crate::field::{Edit, Patch};
use crate::json::Json;
use crate::text::{Country, Email, MetadataKey, Name, Phone, Text};

/// Asked: profile. `null` clears; `metadata` is merged (a `null` member goes), `replace_metadata`
/// takes the place of all there was, before the merge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfilePatch {
    /// Whole name, of a person or a company.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub name: Patch<Name>,
    /// First name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub first_name: Patch<Name>,
    /// Last name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub last_name: Patch<Name>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub email: Patch<Email>,
    /// Telephone number, E.164.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub phone: Patch<Phone>,
    /// Members to set, and, with `null`, to remove.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub metadata: Patch<BTreeMap<MetadataKey, Option<Json>>>,
    /// The whole metadata from now on.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub replace_metadata: Edit<BTreeMap<MetadataKey, Json>>,
    /// What tells devices or browsers apart.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub fingerprint: Patch<Text<255>>,
    /// Whether receipts go out by e-mail.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub send_email_receipts: Edit<bool>,
    /// Postal address, line by line.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub address: Patch<AddressPatch>,
}

/// Asked: lines of the postal address. `null` clears a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressPatch {
    /// Street and number.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub line1: Patch<Text<255>>,
    /// What does not fit in the first line.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub line2: Patch<Text<255>>,
    /// City.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub city: Patch<Text<100>>,
    /// State, province or region.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub state: Patch<Text<100>>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub postal_code: Patch<Text<20>>,
    /// Country, ISO 3166-1 alpha-2.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub country: Patch<Country>,
}

/// The profile as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// Whole name.
    pub name: Option<Box<str>>,
    /// First name.
    pub first_name: Option<Box<str>>,
    /// Last name.
    pub last_name: Option<Box<str>>,
    /// E-mail address.
    pub email: Option<Box<str>>,
    /// Telephone number.
    pub phone: Option<Box<str>>,
    /// Metadata.
    pub metadata: BTreeMap<Box<str>, Json>,
    /// Fingerprint.
    pub fingerprint: Option<Box<str>>,
    /// Whether receipts go out by e-mail.
    pub send_email_receipts: bool,
    /// Postal address.
    pub address: Address,
}

/// The postal address as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Street and number.
    pub line1: Option<Box<str>>,
    /// What does not fit in the first line.
    pub line2: Option<Box<str>>,
    /// City.
    pub city: Option<Box<str>>,
    /// State, province or region.
    pub state: Option<Box<str>>,
    /// Postal code.
    pub postal_code: Option<Box<str>>,
    /// Country.
    pub country: Option<Box<str>>,
}

/// Facts of the profile or the links changed: the resolved difference, by dotted path of the customer
/// document. A cleared field is in `set` with `new: null`; a metadata member or a link that is gone
/// is in `removed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CustomerUpdated {
    /// What has another value now.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<Box<str>, Change>,
    /// What is not there any more, with its last value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removed: BTreeMap<Box<str>, Json>,
}

/// One value before and after. `old: null` where there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Until now.
    pub old: Json,
    /// From now on.
    pub new: Json,
}

impl CustomerUpdated {
    /// Path prefix of metadata members; the rest of the path is the member's name.
    pub const METADATA: &'static str = "profile.metadata.";
    /// Path prefix of links; the rest of the path is the provider's name.
    pub const LINKS: &'static str = "identity.links.";

    /// Tells whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    /// Makes the change in a profile and its links.
    pub fn apply(&self, profile: &mut Profile, identity: &mut Identity) {
        for path in self.removed.keys() {
            if let Some(name) = path.strip_prefix(Self::METADATA) {
                profile.metadata.remove(name);
            } else if let Some(provider) = path.strip_prefix(Self::LINKS) {
                identity.links.remove(provider);
            }
        }
        for (path, Change { new, .. }) in &self.set {
            if let Some(name) = path.strip_prefix(Self::METADATA) {
                profile.metadata.insert(name.into(), new.clone());
            } else if let Some(provider) = path.strip_prefix(Self::LINKS) {
                identity.links.insert(provider.into(), new.as_str().unwrap_or_default().into());
            } else if &**path == "profile.send_email_receipts" {
                profile.send_email_receipts = *new == Json::Bool(true);
            } else if let Some(field) = profile.text_mut(path) {
                *field = new.as_str().map(Into::into);
            }
        }
    }
}

impl Profile {
    /// Gives the text field at a dotted path of the customer document.
    pub fn text_mut(&mut self, path: &str) -> Option<&mut Option<Box<str>>> {
        Some(match path {
            "profile.name" => &mut self.name,
            "profile.first_name" => &mut self.first_name,
            "profile.last_name" => &mut self.last_name,
            "profile.email" => &mut self.email,
            "profile.phone" => &mut self.phone,
            "profile.fingerprint" => &mut self.fingerprint,
            "profile.address.line1" => &mut self.address.line1,
            "profile.address.line2" => &mut self.address.line2,
            "profile.address.city" => &mut self.address.city,
            "profile.address.state" => &mut self.address.state,
            "profile.address.postal_code" => &mut self.address.postal_code,
            "profile.address.country" => &mut self.address.country,
            _ => return None,
        })
    }
}
