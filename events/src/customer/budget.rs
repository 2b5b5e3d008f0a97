//! The budget: what may be spent in a period and in all, and when periods begin.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::field::{Edit, Patch};
use crate::money::{Amount, Total};
use crate::period::{BudgetDuration, Schedule, Window};
use crate::time::Timestamp;

/// Asked: budget. `null` takes a limit or a custom date away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetPatch {
    /// USD per period.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub period_budget: Patch<Amount>,
    /// USD in all.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub total_budget: Patch<Amount>,
    /// How long a period lasts.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub duration: Edit<BudgetDuration>,
    /// When periods begin.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub period_start: Patch<Timestamp>,
    /// When the custom period ends.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    pub period_end: Patch<Timestamp>,
    /// Per cent on top of the cost, in reports only.
    #[serde(default, skip_serializing_if = "Edit::is_keep")]
    pub markup_percentage: Edit<Amount>,
}

/// The budget as it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// USD per period.
    pub period_budget: Option<Amount>,
    /// USD in all.
    pub total_budget: Option<Amount>,
    /// How long a period lasts.
    pub duration: BudgetDuration,
    /// When periods begin.
    pub period_start: Option<Timestamp>,
    /// When the custom period ends.
    pub period_end: Option<Timestamp>,
    /// Per cent on top of the cost, in reports only.
    pub markup_percentage: Amount,
}

impl Budget {
    /// Gives when periods begin and end.
    pub fn schedule(&self) -> Schedule {
        Schedule { duration: self.duration, start: self.period_start, end: self.period_end }
    }
}

/// The budget was set; all of it, as it now stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetSet {
    /// USD per period.
    pub period_budget: Option<Amount>,
    /// USD in all.
    pub total_budget: Option<Amount>,
    /// How long a period lasts.
    pub duration: BudgetDuration,
    /// When periods begin.
    pub period_start: Option<Timestamp>,
    /// When the custom period ends.
    pub period_end: Option<Timestamp>,
    /// Per cent on top of the cost, in reports only.
    pub markup_percentage: Amount,
}

impl From<Budget> for BudgetSet {
    fn from(budget: Budget) -> Self {
        let Budget {
            period_budget,
            total_budget,
            duration,
            period_start,
            period_end,
            markup_percentage,
        } = budget;
        Self { period_budget, total_budget, duration, period_start, period_end, markup_percentage }
    }
}

impl From<BudgetSet> for Budget {
    fn from(set: BudgetSet) -> Self {
        let BudgetSet {
            period_budget,
            total_budget,
            duration,
            period_start,
            period_end,
            markup_percentage,
        } = set;
        Self { period_budget, total_budget, duration, period_start, period_end, markup_percentage }
    }
}

/// Which budget a threshold belongs to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// The budget of a period.
    Period,
    /// The budget for all time.
    Total,
}

/// The raw cost reached a share of a budget: told once per period (or lifetime), share and budget value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetThresholdReached {
    /// Which budget.
    pub kind: BudgetKind,
    /// The share, in per cent: 80 or 100.
    pub percentage: u32,
    /// The budget, in USD.
    pub budget: Amount,
    /// The raw cost that reached it.
    pub used: Total,
    /// The period, or all time.
    pub period: Window,
}
