//! Entitlements: plans, purchases, grants and flags, and the balances that usage leaves of them.
//!
//! A grant is a balance of one feature, in windows that begin again at zero. A usage report counts
//! against the grants of the feature that its meter names, in the window of its own `occurred_at`.
//! Nothing fires when a window, a plan or a grant ends: balances are a function of the facts, of what
//! was used and of a moment. Tallybook does not charge: who buys records the purchase and its grants.

mod grant;
mod reset;
mod asked;
mod happened;
mod held;
mod segments;
mod spending;
mod balance;
mod answer;
mod limits;

pub use answer::{
    Balance, BalanceBreakdown, Entitlements, Reset, Rollover, Subscription, SubscriptionStatus,
};
pub use asked::{
    Cancellation, FlagAsked, GrantAsked, PlanAsked, PlanPatch, PurchaseAsked, ResetAsked,
};
pub use balance::Spent;
pub use grant::{
    BillingMethod, Flag, Grant, Plan, Price, PriceTier, Purchase, RolloverRule, TierBehavior,
};
pub use happened::{
    AutoTopupTriggered, BalanceGranted, BalanceLimit, BalanceLimitReached, FlagCleared, FlagSet,
    GrantRevoked, PlanAttached, PlanCanceled, PlanChanged, PurchaseRecorded, PurchasesCounted,
    UsageAlertTriggered,
};
pub use held::{EntitlementFacts, HeldFlag, HeldGrant};
pub use limits::{Counted, Cut, LimitStanding};
pub use reset::{MAX_INTERVAL_COUNT, ResetInterval, ResetRule};
pub use segments::{Beginnings, Segment, Segments, segment_start};
pub use spending::horizon;
