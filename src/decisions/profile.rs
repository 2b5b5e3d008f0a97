//! The profile: names, addresses, metadata. What changes is resolved here, field by field.

use std::borrow::Cow;
use std::collections::BTreeMap;

use tallybook_events::customer::{
    Address, AddressPatch, Change, CustomerUpdated, Profile, ProfilePatch,
};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::field::Patch;
use tallybook_events::json::Json;
use tallybook_events::text::{Country, Email, Phone, Text};

/// Most members of the metadata.
pub(super) const MAX_METADATA_MEMBERS: usize = 512;
/// Most bytes of the metadata as JSON.
pub(super) const MAX_METADATA_BYTES: usize = 64 * 1024;

/// Decides a patch of the profile; the differences go into `updated`.
///
/// # Errors
/// `metadata_too_large` when the metadata would be.
pub(super) fn decide(
    now: &Profile,
    asked: &ProfilePatch,
    updated: &mut CustomerUpdated,
) -> Result<(), Rejection> {
    let mut differ = Differ(updated);
    differ.text("profile.name", now.name.as_deref(), &asked.name);
    differ.text("profile.first_name", now.first_name.as_deref(), &asked.first_name);
    differ.text("profile.last_name", now.last_name.as_deref(), &asked.last_name);
    differ.text("profile.email", now.email.as_deref(), &asked.email);
    differ.text("profile.phone", now.phone.as_deref(), &asked.phone);
    differ.text("profile.fingerprint", now.fingerprint.as_deref(), &asked.fingerprint);
    address(&now.address, &asked.address, &mut differ);
    if let Some(send) = asked.send_email_receipts.as_set()
        && *send != now.send_email_receipts
    {
        let change = Change { old: Json::Bool(!send), new: Json::Bool(*send) };
        updated.set.insert("profile.send_email_receipts".into(), change);
    }
    metadata(&now.metadata, asked, updated)
}

fn address(now: &Address, asked: &Patch<AddressPatch>, differ: &mut Differ<'_>) {
    let cleared;
    let asked = match asked {
        Patch::Keep => return,
        Patch::Set(asked) => asked,
        Patch::Clear => {
            cleared = AddressPatch {
                line1: Patch::Clear,
                line2: Patch::Clear,
                city: Patch::Clear,
                state: Patch::Clear,
                postal_code: Patch::Clear,
                country: Patch::Clear,
            };
            &cleared
        }
    };
    differ.text("profile.address.line1", now.line1.as_deref(), &asked.line1);
    differ.text("profile.address.line2", now.line2.as_deref(), &asked.line2);
    differ.text("profile.address.city", now.city.as_deref(), &asked.city);
    differ.text("profile.address.state", now.state.as_deref(), &asked.state);
    differ.text("profile.address.postal_code", now.postal_code.as_deref(), &asked.postal_code);
    differ.text("profile.address.country", now.country.as_deref(), &asked.country);
}

/// Collects the differences of text fields.
struct Differ<'a>(&'a mut CustomerUpdated);

impl Differ<'_> {
    fn text<T: Spelled>(&mut self, path: &str, now: Option<&str>, asked: &Patch<T>) {
        let new = match asked {
            Patch::Keep => return,
            Patch::Clear => None,
            Patch::Set(value) => Some(value.spelled()),
        };
        if new != now {
            let json = |text: Option<&str>| text.map_or(Json::Null, Json::from);
            self.0.set.insert(path.into(), Change { old: json(now), new: json(new) });
        }
    }
}

/// A checked text.
trait Spelled {
    /// Gives it as it was spelled.
    fn spelled(&self) -> &str;
}

impl<const MAX: usize> Spelled for Text<MAX> {
    fn spelled(&self) -> &str {
        self.as_str()
    }
}

impl Spelled for Email {
    fn spelled(&self) -> &str {
        self.as_str()
    }
}

impl Spelled for Phone {
    fn spelled(&self) -> &str {
        self.as_str()
    }
}

impl Spelled for Country {
    fn spelled(&self) -> &str {
        self.as_str()
    }
}

type Metadata = BTreeMap<Box<str>, Json>;

fn metadata(
    now: &Metadata,
    asked: &ProfilePatch,
    updated: &mut CustomerUpdated,
) -> Result<(), Rejection> {
    if asked.metadata.is_keep() && asked.replace_metadata.is_keep() {
        return Ok(());
    }
    let new = merged(now, asked);
    if new.as_ref() == now {
        return Ok(());
    }
    let too_large = |detail: String| {
        let member = if asked.metadata.is_keep() { "replace_metadata" } else { "metadata" };
        let pointer = format!("/patch/profile/{member}");
        Err(Rejection::at(RejectionCode::MetadataTooLarge, pointer, detail))
    };
    if new.len() > MAX_METADATA_MEMBERS {
        return too_large(format!("would have more than {MAX_METADATA_MEMBERS} members"));
    }
    let bytes = serde_json::to_vec(new.as_ref()).expect("writing JSON to memory").len();
    if bytes > MAX_METADATA_BYTES {
        return too_large(format!("would have more than {MAX_METADATA_BYTES} bytes as JSON"));
    }
    let path = |name: &str| -> Box<str> { format!("{}{name}", CustomerUpdated::METADATA).into() };
    for (name, value) in new.as_ref() {
        let old = now.get(name);
        if old != Some(value) {
            let old = old.cloned().unwrap_or(Json::Null);
            updated.set.insert(path(name), Change { old, new: value.clone() });
        }
    }
    for (name, old) in now.iter().filter(|(name, _)| !new.contains_key(*name)) {
        updated.removed.insert(path(name), old.clone());
    }
    Ok(())
}

/// Gives the metadata after a patch: replaced, then merged.
fn merged<'a>(now: &'a Metadata, asked: &ProfilePatch) -> Cow<'a, Metadata> {
    let mut new = match asked.replace_metadata.as_set() {
        None => Cow::Borrowed(now),
        Some(all) => Cow::Owned(
            all.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect(),
        ),
    };
    match &asked.metadata {
        Patch::Keep => {}
        Patch::Clear => new = Cow::Owned(Metadata::new()),
        Patch::Set(members) => {
            let new = new.to_mut();
            for (name, value) in members {
                match value {
                    Some(value) => new.insert(name.as_str().into(), value.clone()),
                    None => new.remove(name.as_str()),
                };
            }
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{create, given, update};

    fn jane() -> Value {
        json!({"profile": {
            "name": "Acme", "first_name": "Jane", "last_name": "Doe", "email": "jane@example.com",
            "phone": "+14155550123", "fingerprint": "fp", "send_email_receipts": true,
            "metadata": {"a": 1, "b": {"c": [null]}},
            "address": {"line1": "1 Main St", "line2": "Floor 2", "city": "Berlin", "state": "BE",
                "postal_code": "10115", "country": "DE"},
        }})
    }

    fn change(old: Value, new: Value) -> Value {
        json!({"old": old, "new": new})
    }

    #[test]
    fn a_first_profile_is_a_difference_from_nothing() {
        given()
            .when(create(jane()))
            .then_types(["CustomerCreated", "CustomerUpdated"])
            .shows("/profile", {
                let mut profile = jane()["profile"].clone();
                profile["metadata"] = json!({"a": 1, "b": {"c": [null]}});
                profile
            })
            .shows("/version", json!(2));
    }

    #[test]
    fn each_field_that_changes_is_told_with_its_old_and_new_value() {
        let patch = json!({"profile": {
            "name": "Acme Inc", "first_name": "Jane", "email": null, "send_email_receipts": false,
            "address": {"city": "Bonn", "line2": null},
        }});
        given().customer(jane()).when(update(patch)).then(json!([{
            "type": "CustomerUpdated.v1",
            "set": {
                "profile.name": change(json!("Acme"), json!("Acme Inc")),
                "profile.email": change(json!("jane@example.com"), Value::Null),
                "profile.send_email_receipts": change(json!(true), json!(false)),
                "profile.address.city": change(json!("Berlin"), json!("Bonn")),
                "profile.address.line2": change(json!("Floor 2"), Value::Null),
            },
        }]));
    }

    #[test]
    fn absent_null_and_a_value_are_three_things_for_every_field() {
        for field in ["name", "first_name", "last_name", "email", "phone", "fingerprint"] {
            let before = jane()["profile"][field].clone();
            let pointer = format!("/profile/{field}");
            given()
                .customer(jane())
                .when(update(json!({"profile": {}})))
                .then_nothing()
                .shows(&pointer, before.clone())
                .when(update(json!({"profile": {field: before}})))
                .then_nothing()
                .when(update(json!({"profile": {field: null}})))
                .then_types(["CustomerUpdated"])
                .shows(&pointer, Value::Null)
                .when(update(json!({"profile": {field: null}})))
                .then_nothing()
                .when(update(json!({"profile": {field: before}})))
                .then_types(["CustomerUpdated"])
                .shows(&pointer, before);
        }
    }

    #[test]
    fn an_address_is_merged_line_by_line_and_null_clears_all_of_it() {
        let empty = json!({"line1": null, "line2": null, "city": null, "state": null,
            "postal_code": null, "country": null});
        given()
            .customer(jane())
            .updated(json!({"profile": {"address": {"country": "FR"}}}))
            .shows("/profile/address/city", json!("Berlin"))
            .shows("/profile/address/country", json!("FR"))
            .updated(json!({"profile": {"address": null}}))
            .shows("/profile/address", empty)
            .when(update(json!({"profile": {"address": null}})))
            .then_nothing();
    }

    #[test]
    fn metadata_is_merged_and_null_removes_a_member() {
        given()
            .customer(jane())
            .when(update(
                json!({"profile": {"metadata": {"a": 2, "b": null, "c": "x", "d": null}}}),
            ))
            .then(json!([{
                "type": "CustomerUpdated.v1",
                "set": {
                    "profile.metadata.a": change(json!(1), json!(2)),
                    "profile.metadata.c": change(Value::Null, json!("x")),
                },
                "removed": {"profile.metadata.b": {"c": [null]}},
            }]))
            .shows("/profile/metadata", json!({"a": 2, "c": "x"}))
            .when(update(json!({"profile": {"metadata": null}})))
            .then(json!([{
                "type": "CustomerUpdated.v1",
                "removed": {"profile.metadata.a": 2, "profile.metadata.c": "x"},
            }]))
            .shows("/profile/metadata", json!({}));
    }

    #[test]
    fn metadata_is_replaced_before_it_is_merged() {
        given()
            .customer(jane())
            .when(update(json!({"profile": {
                "replace_metadata": {"a": 1, "n": null}, "metadata": {"m": true},
            }})))
            .then(json!([{
                "type": "CustomerUpdated.v1",
                "set": {
                    "profile.metadata.m": change(Value::Null, json!(true)),
                    "profile.metadata.n": change(Value::Null, Value::Null),
                },
                "removed": {"profile.metadata.b": {"c": [null]}},
            }]))
            .shows("/profile/metadata", json!({"a": 1, "m": true, "n": null}))
            .when(update(json!({"profile": {"replace_metadata": {"a": 1, "m": true, "n": null}}})))
            .then_nothing()
            .updated(json!({"profile": {"replace_metadata": {}}}))
            .shows("/profile/metadata", json!({}));
    }

    #[test]
    fn a_members_name_may_be_any_text() {
        given()
            .customer(json!({"profile": {"metadata": {"a.b/c~d": 1, "profile.name": 2}}}))
            .shows("/profile/metadata", json!({"a.b/c~d": 1, "profile.name": 2}))
            .shows("/profile/name", Value::Null);
    }

    #[test]
    fn metadata_has_a_bounded_number_of_members() {
        let members = |range: std::ops::Range<usize>| -> Value {
            range.map(|n| (format!("m{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()
        };
        given()
            .customer(json!({"profile": {"metadata": members(0..512)}}))
            .when(update(json!({"profile": {"metadata": {"one more": 1}}})))
            .rejects("metadata_too_large", Some("/patch/profile/metadata"))
            .when(update(json!({"profile": {"metadata": {"one more": 1, "m0": null}}})))
            .then_types(["CustomerUpdated"])
            .when(update(json!({"profile": {"replace_metadata": members(0..513)}})))
            .rejects("metadata_too_large", Some("/patch/profile/replace_metadata"));
    }

    #[test]
    fn metadata_has_a_bounded_size_as_json() {
        // {"m":"…"} is eight bytes around the text.
        let of_bytes =
            |bytes: usize| json!({"profile": {"metadata": {"m": "x".repeat(bytes - 8)}}});
        given()
            .when(create(of_bytes(64 * 1024 + 1)))
            .rejects("metadata_too_large", Some("/patch/profile/metadata"))
            .when(create(of_bytes(64 * 1024)))
            .then_types(["CustomerCreated", "CustomerUpdated"]);
    }
}
