//! Usage: reports asked, reports recorded.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Merchant, Meter, ReportId};
use crate::money::Amount;
use crate::period::Window;
use crate::time::Timestamp;

/// Asked: record that something was used. At least one of `quantity` and `cost` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "UsageReportWire")]
pub struct UsageReport {
    /// The reporter's own id, unique within the customer: a repeat counts once.
    pub report_id: ReportId,
    /// When it was used.
    pub occurred_at: Timestamp,
    /// What was used.
    pub meter: Meter,
    /// How much of it.
    #[serde(default)]
    pub quantity: Amount,
    /// What it cost, in USD.
    #[serde(default)]
    pub cost: Amount,
    /// Where it was bought, for what is bought somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<Merchant>,
    /// The report whose total this one takes the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<ReportId>,
}

/// A report before the rule that it must count something.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {"required": ["quantity"], "properties": {"quantity": {"not": {"type": "null"}}}},
    {"required": ["cost"], "properties": {"cost": {"not": {"type": "null"}}}},
]))]
struct UsageReportWire {
    report_id: ReportId,
    occurred_at: Timestamp,
    meter: Meter,
    quantity: Option<Amount>,
    cost: Option<Amount>,
    merchant: Option<Merchant>,
    corrects: Option<ReportId>,
}

impl TryFrom<UsageReportWire> for UsageReport {
    type Error = &'static str;
    fn try_from(wire: UsageReportWire) -> Result<Self, Self::Error> {
        let UsageReportWire { report_id, occurred_at, meter, quantity, cost, merchant, corrects } =
            wire;
        if quantity.is_none() && cost.is_none() {
            return Err("needs a quantity or a cost");
        }
        if corrects.as_ref() == Some(&report_id) {
            return Err("cannot correct itself");
        }
        let (quantity, cost) = (quantity.unwrap_or_default(), cost.unwrap_or_default());
        Ok(Self { report_id, occurred_at, meter, quantity, cost, merchant, corrects })
    }
}

/// Something was used. `raw` counts against budgets, `charged` has the markup on top.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRecorded {
    /// The reporter's id.
    pub report_id: ReportId,
    /// When it was used.
    pub occurred_at: Timestamp,
    /// What was used.
    pub meter: Meter,
    /// How much of it.
    pub quantity: Amount,
    /// What it cost, in USD.
    pub raw: Amount,
    /// What is charged for it, in USD.
    pub charged: Amount,
    /// The budget period in which it falls.
    pub period: Window,
    /// Where it was bought, where that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merchant: Option<Merchant>,
    /// What this report takes the place of: that no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<Corrected>,
}

/// A report that was corrected, as it had counted until then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Corrected {
    /// The id that the correction named.
    pub report_id: ReportId,
    /// When it had counted as used.
    pub occurred_at: Timestamp,
    /// What it had counted.
    pub meter: Meter,
    /// How much of it.
    pub quantity: Amount,
    /// Its cost.
    pub raw: Amount,
    /// Its charge.
    pub charged: Amount,
    /// Where a budget window began within its hour and it had counted from there on: that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_from: Option<Timestamp>,
}
