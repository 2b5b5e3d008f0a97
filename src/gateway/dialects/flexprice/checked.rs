//! The rules of the body's fields, in the order in which the vendor checks them; what passes is a patch.

use std::collections::BTreeMap;

use tallybook_events::command::CustomerPatch;
use tallybook_events::customer::{AddressPatch, IdentityPatch, ProfilePatch};
use tallybook_events::field::{Edit, Field, Patch};
use tallybook_events::ids::{CustomerKey, Provider, Token};
use tallybook_events::json::Json;
use tallybook_events::text::{Country, Email, MetadataKey, Text};

use super::bind::Bound as _;
use super::fields::{CreateBody, CustomerBody, UpdateBody};
use super::named::{Made, Name};
use super::refused::{Code, Refused};
use super::validator::Failures;

/// The only provider that customers can be mapped to.
const STRIPE: &str = "stripe";

/// A body that keeps all rules that can be checked without looking at a customer.
#[derive(Debug)]
pub(super) struct Checked {
    /// What is asked; the parent is not in it yet.
    pub(super) patch: CustomerPatch,
    /// The parent that is asked for.
    pub(super) parent: Patch<Name>,
    /// A rule that is broken, but is checked after the customer and its parent were looked up.
    pub(super) late: Option<Refused>,
}

/// Checks the body of a change.
pub(super) fn update(UpdateBody(body): UpdateBody) -> Result<Checked, Refused> {
    let asked = Asked::of(&body, Made::Known);
    let patch = asked.validated(UpdateBody::NAME)?;
    let parent = parent(&body, Made::Known)?;
    let mappings = mappings(&body);
    supported(&mappings)?;
    let patch = linked(patch, &mappings)?;
    Ok(Checked { patch, parent, late: bytes(&asked) })
}

/// Checks the body that makes a customer.
pub(super) fn create(CreateBody(body): CreateBody) -> Result<Checked, Refused> {
    let asked = Asked::of(&body, Made::New);
    let patch = asked.validated(CreateBody::NAME)?;
    let mappings = mappings(&body);
    mappings.iter().try_for_each(well_formed)?;
    let parent = parent(&body, Made::New)?;
    let late = bytes(&asked).or_else(|| supported(&mappings).err());
    let patch = linked(patch, &mappings)?;
    Ok(Checked { patch, parent, late })
}

/// The texts of a body, where they say something.
#[derive(Debug)]
struct Asked<'a> {
    made: Made,
    external_id: Option<&'a str>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    line1: Option<&'a str>,
    line2: Option<&'a str>,
    city: Option<&'a str>,
    state: Option<&'a str>,
    postal_code: Option<&'a str>,
    country: Option<&'a str>,
    metadata: Option<&'a BTreeMap<String, Option<String>>>,
}

impl<'a> Asked<'a> {
    /// `null` says nothing; of a new customer the empty text says nothing either.
    fn of(body: &'a CustomerBody, made: Made) -> Self {
        let text = |field: &'a Field<String>| match field {
            Field::Absent | Field::Null => None,
            Field::Value(text) if text.is_empty() && made == Made::New => None,
            Field::Value(text) => Some(&**text),
        };
        Self {
            made,
            external_id: text(&body.external_id),
            name: text(&body.name),
            email: text(&body.email),
            line1: text(&body.address_line1),
            line2: text(&body.address_line2),
            city: text(&body.address_city),
            state: text(&body.address_state),
            postal_code: text(&body.address_postal_code),
            country: text(&body.address_country),
            metadata: match &body.metadata {
                Field::Absent | Field::Null => None,
                Field::Value(members) => Some(members),
            },
        }
    }

    /// Checks each field by its own rule, and makes a patch of them.
    fn validated(&self, of: &'static str) -> Result<CustomerPatch, Refused> {
        let mut failures = Failures::of(of);
        let broken = &mut failures;
        let key = self.external_id(broken);
        let name = field("Name", self.name, broken, |text| {
            let not_empty = if text.is_empty() { Err("min") } else { Ok(()) };
            not_empty.and_then(|()| longest::<255>(text))
        });
        let email =
            field("Email", self.email, broken, |text| text.parse::<Email>().map_err(|_| "email"));
        let address = AddressPatch {
            line1: line("AddressLine1", self.line1, broken),
            line2: line("AddressLine2", self.line2, broken),
            city: line("AddressCity", self.city, broken),
            state: line("AddressState", self.state, broken),
            postal_code: line("AddressPostalCode", self.postal_code, broken),
            country: set(field("AddressCountry", self.country, broken, country)),
        };
        let metadata = self.metadata(broken);
        failures.done()?;
        let address =
            if address == AddressPatch::default() { Patch::Keep } else { Patch::Set(address) };
        let profile = ProfilePatch {
            name: set(name),
            email: set(email),
            address,
            replace_metadata: metadata.map_or(Edit::Keep, Edit::Set),
            ..ProfilePatch::default()
        };
        Ok(CustomerPatch {
            key: key.map_or(Edit::Keep, Edit::Set),
            profile: Edit::Set(profile),
            ..CustomerPatch::default()
        })
    }

    fn external_id(&self, failures: &mut Failures) -> Option<CustomerKey> {
        if self.external_id.is_none() && self.made == Made::New {
            failures.add("ExternalID", "required");
        }
        field("ExternalID", self.external_id, failures, |text| {
            text.parse().map_err(|_| match text.chars().count() {
                0 => "min",
                256.. => "max",
                _ => "excludesall",
            })
        })
    }

    fn metadata(&self, failures: &mut Failures) -> Option<BTreeMap<MetadataKey, Json>> {
        let mut read = BTreeMap::new();
        for (name, value) in self.metadata? {
            let field = || format!("Metadata[{name}]");
            match name.parse::<MetadataKey>() {
                Ok(name) => {
                    read.insert(name, Json::from(value.as_deref().unwrap_or_default()));
                }
                Err(_) if name.is_empty() => failures.add(field(), "min"),
                Err(_) if name.chars().count() > 255 => failures.add(field(), "max"),
                Err(_) => failures.add(field(), "excludesall"),
            }
        }
        Some(read)
    }
}

/// Reads a field that is there; notes the rule that it breaks.
fn field<T>(
    name: &str,
    asked: Option<&str>,
    failures: &mut Failures,
    read: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Option<T> {
    read(asked?).map_err(|rule| failures.add(name, rule)).ok()
}

/// Reads a line of the address; an empty one clears it.
fn line<const MAX: usize>(
    name: &str,
    asked: Option<&str>,
    failures: &mut Failures,
) -> Patch<Text<MAX>> {
    match asked {
        Some("") => Patch::Clear,
        asked => set(field(name, asked, failures, longest)),
    }
}

/// Counts characters, as the validator's `max` does.
fn longest<const MAX: usize>(text: &str) -> Result<Text<MAX>, &'static str> {
    text.parse().map_err(|_| "max")
}

fn country(text: &str) -> Result<Country, &'static str> {
    if text.chars().count() != 2 {
        return Err("len");
    }
    text.parse().map_err(|_| "iso3166_1_alpha2")
}

fn set<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Keep, Patch::Set)
}

/// Counts bytes, as the vendor's second look at the address does.
fn bytes(asked: &Asked<'_>) -> Option<Refused> {
    let lines = [
        (asked.postal_code, 20, "invalid postal code format", "Postal code"),
        (asked.line1, 255, "address line 1 too long", "Address line 1"),
        (asked.line2, 255, "address line 2 too long", "Address line 2"),
        (asked.city, 100, "city name too long", "City name"),
        (asked.state, 100, "state name too long", "State name"),
    ];
    let too_long = |(line, most, ..): &&(Option<&str>, usize, _, _)| {
        line.is_some_and(|text| text.len() > *most)
    };
    let (_, most, internal, what) = lines.iter().find(too_long)?;
    let message = format!("{what} must be less than {most} characters");
    Some(Refused::new(Code::ValidationError, message, *internal))
}

fn parent(body: &CustomerBody, made: Made) -> Result<Patch<Name>, Refused> {
    match (&body.parent_customer_id, &body.parent_customer_external_id) {
        (Field::Value(_), Field::Value(_)) => Err(Refused::new(
            Code::ValidationError,
            "Send either parent_customer_id or parent_customer_external_id, but not both",
            "only one of parent_customer_id or parent_customer_external_id may be provided",
        )),
        // A new customer's parent is looked up whatever it is.
        (Field::Value(id), _) if made == Made::New => Ok(Patch::Set(Name::Id(id.clone()))),
        (_, Field::Value(key)) if made == Made::New => Ok(Patch::Set(Name::External(key.clone()))),
        (Field::Value(id), _) => Ok(match id.trim() {
            "" => Patch::Clear,
            id => Patch::Set(Name::Id(id.to_owned())),
        }),
        (_, Field::Value(key)) if key.is_empty() => Ok(Patch::Clear),
        (_, Field::Value(key)) => Ok(Patch::Set(Name::External(key.clone()))),
        (Field::Absent | Field::Null, Field::Absent | Field::Null) => Ok(Patch::Keep),
    }
}

/// Gives the mappings; `null` in their place is one without members.
fn mappings(body: &CustomerBody) -> Vec<(&str, &str)> {
    match &body.integration_entity_mapping {
        Field::Absent | Field::Null => Vec::new(),
        Field::Value(mappings) => mappings
            .iter()
            .map(|mapping| {
                mapping.as_ref().map_or(("", ""), |mapping| (mapping.provider(), mapping.id()))
            })
            .collect(),
    }
}

/// Checks a mapping by the rules of its fields, which the vendor does only for new customers.
fn well_formed(&(provider, id): &(&str, &str)) -> Result<(), Refused> {
    let mut failures = Failures::of("IntegrationEntityMapping");
    match provider {
        "" => failures.add("Provider", "required"),
        STRIPE | "razorpay" | "paypal" => {}
        _ => failures.add("Provider", "oneof"),
    }
    if id.is_empty() {
        failures.add("ID", "required");
    }
    failures.done()
}

/// Checks that the mappings can be made.
fn supported(mappings: &[(&str, &str)]) -> Result<(), Refused> {
    let refused =
        |message: &str, internal: &str| Err(Refused::new(Code::ValidationError, message, internal));
    for (provider, id) in mappings {
        if *provider != STRIPE {
            let message = "Only Stripe provider is currently supported";
            return refused(message, "unsupported provider type");
        }
        if id.is_empty() {
            let message = "Provider entity ID must be provided for integration mapping";
            return refused(message, "provider entity ID is required");
        }
    }
    Ok(())
}

/// Adds the mappings: a link for each provider, and a member of the metadata that shows it.
fn linked(mut patch: CustomerPatch, mappings: &[(&str, &str)]) -> Result<CustomerPatch, Refused> {
    let mut links: BTreeMap<Provider, Option<Token>> = BTreeMap::new();
    let mut members: BTreeMap<MetadataKey, Option<Json>> = BTreeMap::new();
    for (provider, id) in mappings {
        let (Ok(name), Ok(member)) = (provider.parse(), format!("{provider}_customer_id").parse())
        else {
            continue;
        };
        let Ok(link) = id.parse() else {
            let mut failures = Failures::of("IntegrationEntityMapping");
            failures.add("ID", if id.chars().count() > 255 { "max" } else { "excludesall" });
            failures.done()?;
            continue;
        };
        links.insert(name, Some(link));
        members.insert(member, Some(Json::from(*id)));
    }
    if !links.is_empty() {
        let links = Patch::Set(links);
        patch.identity = Edit::Set(IdentityPatch { links, ..IdentityPatch::default() });
        if let Edit::Set(profile) = &mut patch.profile {
            profile.metadata = Patch::Set(members);
        }
    }
    Ok(patch)
}
