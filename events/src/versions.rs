//! Every event version that was ever written, and how it is read today.
//!
//! A new version of an event gets a line of its own in [`ALL`], a golden file and a schema. The line of
//! the old one stays for ever: it then reads the old shape and converts it to what the event is today
//! (upcasting). Stored bytes are never touched.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

use crate::customer::entitlements::{
    AutoTopupTriggered, BalanceGranted, BalanceLimitReached, FlagCleared, FlagSet, GrantRevoked,
    PlanAttached, PlanCanceled, PlanChanged, PurchaseRecorded, UsageAlertTriggered,
};
use crate::customer::{
    BillingControlsSet, BudgetSet, BudgetThresholdReached, ContractSet, CustomerArchived,
    CustomerCreated, CustomerUpdated, EdgeClaimed, EdgeReleased, KeyChanged, KeyClaimed,
    KeyReleased, ParentChanged, PledgeClaimed, PledgeReleased, PolicyChanged, StatusChanged,
    TierChanged, UsageRecorded,
};
use crate::event::Event;

/// One version of one event.
#[derive(Debug, Clone, Copy)]
pub struct EventVersion {
    /// Type name with its version, as it stands in the journal.
    pub name: &'static str,
    /// Reads the event from its JSON text, as what it is today.
    pub read: fn(&str) -> Result<Event, serde_json::Error>,
    /// Gives the schema of its body, without `type`.
    pub schema: fn(SchemaGenerator) -> Schema,
    /// Gives the same as part of another document; the types that it names go into the generator's
    /// definitions.
    pub part: fn(&mut SchemaGenerator) -> Schema,
}

/// All of them.
pub const ALL: &[EventVersion] = &[
    version::<CustomerCreated>("CustomerCreated.v1", |t| body(t).map(Event::CustomerCreated)),
    version::<CustomerUpdated>("CustomerUpdated.v1", |t| body(t).map(Event::CustomerUpdated)),
    version::<TierChanged>("TierChanged.v1", |t| body(t).map(Event::TierChanged)),
    version::<StatusChanged>("StatusChanged.v1", |t| body(t).map(Event::StatusChanged)),
    version::<ContractSet>("ContractSet.v1", |t| body(t).map(Event::ContractSet)),
    version::<BudgetSet>("BudgetSet.v1", |t| body(t).map(Event::BudgetSet)),
    version::<PolicyChanged>("PolicyChanged.v1", |t| body(t).map(Event::PolicyChanged)),
    version::<BillingControlsSet>("BillingControlsSet.v1", |t| {
        body(t).map(Event::BillingControlsSet)
    }),
    version::<KeyChanged>("KeyChanged.v1", |t| body(t).map(Event::KeyChanged)),
    version::<ParentChanged>("ParentChanged.v1", |t| body(t).map(Event::ParentChanged)),
    version::<UsageRecorded>("UsageRecorded.v1", |t| body(t).map(Event::UsageRecorded)),
    version::<BudgetThresholdReached>("BudgetThresholdReached.v1", |t| {
        body(t).map(Event::BudgetThresholdReached)
    }),
    version::<CustomerArchived>("CustomerArchived.v1", |t| body(t).map(Event::CustomerArchived)),
    version::<PlanAttached>("PlanAttached.v1", |t| body(t).map(Event::PlanAttached)),
    version::<PlanChanged>("PlanChanged.v1", |t| body(t).map(Event::PlanChanged)),
    version::<PlanCanceled>("PlanCanceled.v1", |t| body(t).map(Event::PlanCanceled)),
    version::<PurchaseRecorded>("PurchaseRecorded.v1", |t| body(t).map(Event::PurchaseRecorded)),
    version::<BalanceGranted>("BalanceGranted.v1", |t| body(t).map(Event::BalanceGranted)),
    version::<GrantRevoked>("GrantRevoked.v1", |t| body(t).map(Event::GrantRevoked)),
    version::<FlagSet>("FlagSet.v1", |t| body(t).map(Event::FlagSet)),
    version::<FlagCleared>("FlagCleared.v1", |t| body(t).map(Event::FlagCleared)),
    version::<AutoTopupTriggered>("AutoTopupTriggered.v1", |t| {
        body(t).map(Event::AutoTopupTriggered)
    }),
    version::<UsageAlertTriggered>("UsageAlertTriggered.v1", |t| {
        body(t).map(Event::UsageAlertTriggered)
    }),
    version::<BalanceLimitReached>("BalanceLimitReached.v1", |t| {
        body(t).map(Event::BalanceLimitReached)
    }),
    version::<KeyClaimed>("KeyClaimed.v1", |t| body(t).map(Event::KeyClaimed)),
    version::<KeyReleased>("KeyReleased.v1", |t| body(t).map(Event::KeyReleased)),
    version::<PledgeClaimed>("PledgeClaimed.v1", |t| body(t).map(Event::PledgeClaimed)),
    version::<PledgeReleased>("PledgeReleased.v1", |t| body(t).map(Event::PledgeReleased)),
    version::<EdgeClaimed>("EdgeClaimed.v1", |t| body(t).map(Event::EdgeClaimed)),
    version::<EdgeReleased>("EdgeReleased.v1", |t| body(t).map(Event::EdgeReleased)),
];

const fn version<Body: JsonSchema>(
    name: &'static str,
    read: fn(&str) -> Result<Event, serde_json::Error>,
) -> EventVersion {
    let schema = SchemaGenerator::into_root_schema_for::<Body>;
    EventVersion { name, read, schema, part: Body::json_schema }
}

fn body<'a, Body: Deserialize<'a>>(text: &'a str) -> Result<Body, serde_json::Error> {
    serde_json::from_str(text)
}

/// Reads an event by its type name.
///
/// # Errors
/// `None` when the table has no such version, `Some` when the text does not fit it.
pub(crate) fn read(
    table: &[EventVersion],
    type_name: &str,
    text: &str,
) -> Result<Event, Option<serde_json::Error>> {
    let version = table.iter().find(|version| version.name == type_name).ok_or(None)?;
    (version.read)(text).map_err(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::customer::Status;

    /// A version that never was: the status was a switch, and only the new one was told.
    #[derive(Deserialize, JsonSchema)]
    struct StatusChangedV0 {
        suspended: bool,
    }

    fn upcast(old: StatusChangedV0) -> Event {
        let (from, to) = if old.suspended {
            (Status::Active, Status::Suspended)
        } else {
            (Status::Suspended, Status::Active)
        };
        Event::StatusChanged(StatusChanged { from, to })
    }

    #[test]
    fn an_older_version_is_read_as_what_the_event_is_today() {
        let old = version::<StatusChangedV0>("StatusChanged.v0", |t| body(t).map(upcast));
        let table = [ALL, &[old]].concat();
        let today = r#"{"type":"StatusChanged.v1","from":"active","to":"suspended"}"#;
        let stored = r#"{"type":"StatusChanged.v0","suspended":true}"#;
        assert_eq!(
            read(&table, "StatusChanged.v0", stored).unwrap(),
            read(&table, "StatusChanged.v1", today).unwrap()
        );
        // Without its line the old version would be lost to us; with it, a wrong body still is no event.
        assert!(read(ALL, "StatusChanged.v0", stored).unwrap_err().is_none());
        assert!(read(&table, "StatusChanged.v0", today).unwrap_err().is_some());
    }

    #[test]
    fn no_version_is_there_twice() {
        let mut names: Vec<_> = ALL.iter().map(|version| version.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
