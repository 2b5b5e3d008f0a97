//! The contracts as JSON Schemas (2020-12): every event version, every command, the records of the
//! journal, the customer document.
//!
//! Events, records and documents are open: a reader must let members be that it does not know.
//! Commands are closed: a member that we do not know is refused.

use std::collections::BTreeSet;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use crate::chain::Head;
use crate::command::{
    Claim, CommandDraft, CommandType, CustomerPatch, EdgeClaim, KeyClaim, MAX_REPORTS, PledgeClaim,
    RegistrarAnswer,
};
use crate::customer::entitlements::{
    Cancellation, FlagAsked, GrantAsked, PlanAsked, PlanPatch, PurchaseAsked,
};
use crate::customer::{CustomerDocument, UsageReport};
use crate::decision::{Outcome, SourceRef};
use crate::event::Event;
use crate::ids::{CommandId, Meter, Token};
use crate::time::Timestamp;
use crate::versions::{self, EventVersion};

/// The members of [`CommandDraft`] that belong to some types of commands only.
const BODY_MEMBERS: [&str; 14] = [
    "patch",
    "reports",
    "claim",
    "granted",
    "answer",
    "plan",
    "plan_id",
    "change",
    "cancellation",
    "purchase",
    "grant",
    "grant_id",
    "flag",
    "feature_id",
];

/// Gives all schemas with their names: `events/schemas/{name}.json` is the same.
pub fn all() -> Vec<(&'static str, Schema)> {
    let events = versions::ALL.iter().map(|version| (version.name, event(version)));
    let commands = CommandType::ALL.map(|kind| (kind.as_str(), command(kind)));
    let others = [
        ("Customer", open::<CustomerDocument>("Customer", serialized())),
        ("DecisionRecord.v1", open::<DecisionRecord>("DecisionRecord.v1", read())),
        ("ClaimRecord.v1", open::<ClaimRecord>("ClaimRecord.v1", read())),
    ];
    events.chain(commands).chain(others).collect()
}

/// What we write: amounts are strings, what is never left out is required.
fn serialized() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_serialize().into_generator()
}

/// What we read: amounts may be numbers, what has a default may be left out.
fn read() -> SchemaGenerator {
    SchemaSettings::draft2020_12().for_deserialize().into_generator()
}

fn event(version: &EventVersion) -> Schema {
    let mut schema = (version.schema)(serialized());
    set_type(&mut schema, version.name);
    let_unknown_be(&mut schema);
    name(&mut schema, version.name);
    schema
}

fn command(kind: CommandType) -> Schema {
    let mut generator = read();
    let mut schema = asked(kind, &mut generator);
    let dialect = generator.settings().meta_schema.as_deref().map(Value::from);
    schema.insert("$schema".to_owned(), dialect.unwrap_or_default());
    schema.insert("$defs".to_owned(), generator.take_definitions(true).into());
    drop_unused_definitions(&mut schema);
    name(&mut schema, kind.as_str());
    schema
}

/// Gives the schema of the member `claim` of a command of one type.
fn claim_of(kind: CommandType, generator: &mut SchemaGenerator) -> Schema {
    match kind {
        CommandType::ClaimKey | CommandType::ReleaseKey => generator.subschema_for::<KeyClaim>(),
        CommandType::ClaimPledge | CommandType::ReleasePledge => {
            generator.subschema_for::<PledgeClaim>()
        }
        CommandType::ClaimEdge | CommandType::ReleaseEdge => generator.subschema_for::<EdgeClaim>(),
        CommandType::CreateCustomer
        | CommandType::UpdateCustomer
        | CommandType::RecordUsage
        | CommandType::ArchiveCustomer
        | CommandType::SettleClaim
        | CommandType::SettleRelease
        | CommandType::AttachPlan
        | CommandType::UpdatePlan
        | CommandType::CancelPlan
        | CommandType::RecordPurchase
        | CommandType::GrantBalance
        | CommandType::RevokeGrant
        | CommandType::SetFlag
        | CommandType::ClearFlag => generator.subschema_for::<Claim>(),
    }
}

/// Gives the schema of a command of one type, as part of another document; the types that it names
/// go into the generator's definitions.
pub fn asked(kind: CommandType, generator: &mut SchemaGenerator) -> Schema {
    let patch = generator.subschema_for::<CustomerPatch>();
    let claim = claim_of(kind, generator);
    let mut reports = generator.subschema_for::<Vec<UsageReport>>();
    reports.insert("minItems".to_owned(), json!(1));
    reports.insert("maxItems".to_owned(), json!(MAX_REPORTS));
    let granted = generator.subschema_for::<bool>();
    let answer = generator.subschema_for::<RegistrarAnswer>();
    let body: Vec<(&str, Schema)> = match kind {
        CommandType::CreateCustomer | CommandType::UpdateCustomer => vec![("patch", patch)],
        CommandType::RecordUsage => vec![("reports", reports)],
        CommandType::ArchiveCustomer => vec![],
        CommandType::ClaimKey
        | CommandType::ClaimPledge
        | CommandType::ClaimEdge
        | CommandType::ReleaseKey
        | CommandType::ReleasePledge
        | CommandType::ReleaseEdge
        | CommandType::SettleRelease => vec![("claim", claim)],
        CommandType::SettleClaim => {
            vec![("claim", claim), ("granted", granted), ("answer", answer)]
        }
        CommandType::AttachPlan => vec![("plan", generator.subschema_for::<PlanAsked>())],
        CommandType::UpdatePlan => vec![
            ("plan_id", generator.subschema_for::<Token>()),
            ("change", generator.subschema_for::<PlanPatch>()),
        ],
        CommandType::CancelPlan => vec![
            ("plan_id", generator.subschema_for::<Token>()),
            ("cancellation", generator.subschema_for::<Cancellation>()),
        ],
        CommandType::RecordPurchase => {
            vec![("purchase", generator.subschema_for::<PurchaseAsked>())]
        }
        CommandType::GrantBalance => vec![("grant", generator.subschema_for::<GrantAsked>())],
        CommandType::RevokeGrant => vec![("grant_id", generator.subschema_for::<Token>())],
        CommandType::SetFlag => vec![("flag", generator.subschema_for::<FlagAsked>())],
        CommandType::ClearFlag => vec![("feature_id", generator.subschema_for::<Meter>())],
    };
    let mut schema = CommandDraft::json_schema(generator);
    for member in BODY_MEMBERS {
        member_of(&mut schema, "properties").remove(member);
    }
    for (member, member_schema) in body {
        member_of(&mut schema, "properties").insert(member.to_owned(), member_schema.to_value());
        let may_be_absent = ["cancellation", "answer"].contains(&member);
        if kind != CommandType::CreateCustomer && !may_be_absent {
            require(&mut schema, member);
        }
    }
    schema.insert("description".to_owned(), asks(kind).into());
    set_type(&mut schema, kind.as_str());
    schema
}

/// Gives the schema of an event as part of another document, like [`asked`].
pub fn happened(version: &EventVersion, generator: &mut SchemaGenerator) -> Schema {
    let mut schema = (version.part)(generator);
    set_type(&mut schema, version.name);
    let_unknown_be(&mut schema);
    schema
}

/// Gives the schemas of the records of the journal as parts of another document, like [`asked`].
pub fn recorded(generator: &mut SchemaGenerator) -> [(&'static str, Schema); 2] {
    let decision = DecisionRecord::json_schema(generator);
    let claim = ClaimRecord::json_schema(generator);
    [("DecisionRecord.v1", decision), ("ClaimRecord.v1", claim)].map(|(name, mut schema)| {
        let_unknown_be(&mut schema);
        (name, schema)
    })
}

fn asks(kind: CommandType) -> &'static str {
    match kind {
        CommandType::CreateCustomer => "Make a customer, with these facts.",
        CommandType::UpdateCustomer => "Change facts of a customer: a JSON merge patch (RFC 7396).",
        CommandType::RecordUsage => "Record what a customer used; one that is not known is made.",
        CommandType::ArchiveCustomer => "Take no changes of a customer any more.",
        CommandType::ClaimKey => "Sent by Tallybook itself, to a slot: give the key to the holder.",
        CommandType::ClaimPledge => {
            "Sent by Tallybook itself, to a parent: stay until the child has you."
        }
        CommandType::ClaimEdge => {
            "Sent by Tallybook itself, to a hierarchy: give the child that parent."
        }
        CommandType::SettleClaim => "Sent by Tallybook itself: a registrar's answer to a claim.",
        CommandType::ReleaseKey => {
            "Sent by Tallybook itself, to a slot: a holder gives a key back."
        }
        CommandType::ReleasePledge => {
            "Sent by Tallybook itself, to a parent: a child gives a pledge back."
        }
        CommandType::ReleaseEdge => {
            "Sent by Tallybook itself, to a hierarchy: a child gives its parent back."
        }
        CommandType::SettleRelease => {
            "Sent by Tallybook itself: a registrar has back what was given back."
        }
        CommandType::AttachPlan => "Attach a plan, with the grants and flags that come with it.",
        CommandType::UpdatePlan => "Change facts of an attached plan: a JSON merge patch.",
        CommandType::CancelPlan => "Cancel an attached plan; what came with it ends with it.",
        CommandType::RecordPurchase => "Record a purchase, with what comes with it.",
        CommandType::GrantBalance => "Grant a balance of a feature, or change it.",
        CommandType::RevokeGrant => "Take a grant back.",
        CommandType::SetFlag => "Switch a feature on.",
        CommandType::ClearFlag => "Switch a feature off.",
    }
}

fn open<T: JsonSchema>(title: &'static str, generator: SchemaGenerator) -> Schema {
    let mut schema = generator.into_root_schema_for::<T>();
    let_unknown_be(&mut schema);
    name(&mut schema, title);
    schema
}

/// One decision record as JSON; read by [`crate::codec`].
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is wanted")]
struct DecisionRecord {
    /// Format of the record: 1.
    v: u32,
    /// Term of the owner that decided.
    term: u64,
    /// Place in the partition.
    seq: u64,
    /// Rolling head before this record.
    prev: Head,
    /// When it was decided.
    decided_at: Timestamp,
    /// Version of the rules that decided.
    rules: String,
    /// Where the command came from.
    source: SourceRef,
    /// The command as asked; `null` beside a note of what was no command.
    command: Option<CommandDraft>,
    /// What became of it.
    outcome: Outcome,
    /// The releases that follow from it, by their command ids; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gives_back: Vec<CommandId>,
    /// The facts, in order.
    events: Vec<Event>,
}

/// One claim record as JSON: an owner begins.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is wanted")]
struct ClaimRecord {
    /// Format of the record: 1.
    v: u32,
    /// The term that begins.
    term: u64,
    /// Who begins it, and when.
    claimed: ClaimBody,
}

/// Who claims a partition.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is wanted")]
struct ClaimBody {
    /// Who.
    owner: String,
    /// When.
    at: Timestamp,
}

fn name(schema: &mut Schema, title: &str) {
    schema.insert("$id".to_owned(), format!("urn:tallybook:schema:{title}").into());
    schema.insert("title".to_owned(), title.into());
}

fn set_type(schema: &mut Schema, type_name: &str) {
    let constant = json!({"type": "string", "const": type_name});
    member_of(schema, "properties").insert("type".to_owned(), constant);
    require(schema, "type");
}

/// Gives a member that is an object, made where it is missing.
fn member_of<'a>(schema: &'a mut Schema, member: &str) -> &'a mut Map<String, Value> {
    let value = schema.ensure_object().entry(member).or_insert_with(|| json!({}));
    value.as_object_mut().expect("schemars writes objects here")
}

/// Makes a member one that must be there.
pub fn require(schema: &mut Schema, member: &str) {
    let required = schema.ensure_object().entry("required").or_insert_with(|| json!([]));
    let required = required.as_array_mut().expect("schemars writes an array here");
    if !required.iter().any(|name| name == member) {
        required.push(member.into());
    }
}

/// Takes `additionalProperties: false` away, at every depth.
pub fn let_unknown_be(schema: &mut Schema) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.remove("additionalProperties");
    }
    transform_subschemas(&mut let_unknown_be, schema);
}

/// Takes definitions away that nothing leads to.
fn drop_unused_definitions(schema: &mut Schema) {
    let mut root = schema.as_value().clone();
    let definitions = root.as_object_mut().and_then(|root| root.remove("$defs"));
    let mut used = BTreeSet::new();
    references(&root, definitions.as_ref().unwrap_or(&Value::Null), &mut used);
    member_of(schema, "$defs").retain(|name, _| used.contains(name));
}

/// Collects the names of definitions that a value leads to, through other definitions too.
fn references(value: &Value, definitions: &Value, used: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = value.as_str().and_then(|text| text.strip_prefix("#/$defs/"));
                if let (true, Some(name)) = (member == "$ref", name) {
                    if used.insert(name.to_owned()) {
                        references(&definitions[name], definitions, used);
                    }
                } else {
                    references(value, definitions, used);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                references(item, definitions, used);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
