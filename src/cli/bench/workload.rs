//! Commands to measure with: the same ones, in the same order, for the same seed, on any machine.

use std::collections::BTreeMap;

use tallybook_events::command::{Command, CommandBody, Context, CustomerPatch};
use tallybook_events::customer::{
    BudgetPatch, ContractPatch, PolicyPatch, ProfilePatch, Status, UsageReport,
};
use tallybook_events::field::{Edit, Patch};
use tallybook_events::ids::{CommandId, CustomerId, CustomerRef, Environment, Scope};
use tallybook_events::json::Json;
use tallybook_events::money::Amount;
use tallybook_events::period::BudgetDuration;
use tallybook_events::text::TierName;
use tallybook_events::time::{MICROS_PER_HOUR, Timestamp};
use uuid::Uuid;

/// What is asked of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// All kinds of commands, refused ones and repeats among them.
    Reference,
    /// Usage reports only, one a command.
    Usage,
    /// Updates of the profile only.
    Update,
}

impl Workload {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Usage => "usage",
            Self::Update => "update",
        }
    }
}

/// Moment at which all of it happens: 2026-01-15T12:00:00Z.
pub(crate) const NOW_MICROS: i64 = 1_768_478_400_000_000;
/// Usage lies in so many days before that.
const DAYS: u64 = 90;
/// Share of commands that are sent twice, in thousandths.
const REPEATED: u64 = 10;

/// Gives commands, one after the other.
pub(crate) struct Generator {
    random: SplitMix,
    workload: Workload,
    scope: Scope,
    customers: u64,
    count: u64,
    /// Sent once more later.
    again: Option<Command>,
    tiers: Vec<TierName>,
}

impl Generator {
    pub(crate) fn new(workload: Workload, seed: u64, customers: u64) -> Self {
        let names = ["starter", "growth", "scale", "enterprise", "custom", "unheard-of"];
        Self {
            random: SplitMix(seed),
            workload,
            scope: Scope {
                tenant: "bench".parse().expect("a tenant name"),
                environment: Environment::Test,
            },
            customers: customers.max(1),
            count: 0,
            again: None,
            tiers: names.iter().map(|name| name.parse().expect("a tier name")).collect(),
        }
    }

    /// Gives the next `count` commands.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Command> {
        (0..count).map(|_| self.command()).collect()
    }

    fn command(&mut self) -> Command {
        if let Some(again) = self.again.take_if(|_| self.random.below(4) == 0) {
            return again;
        }
        self.count += 1;
        // Few customers get much, most get little.
        let number = self.random.below(self.customers).min(self.random.below(self.customers));
        let key = format!("customer-{number}");
        let (customer, body) = match self.workload {
            Workload::Usage => {
                (by_key(&key), CommandBody::RecordUsage(vec![self.report(number, self.count)]))
            }
            Workload::Update if self.count <= self.customers => {
                let key = format!("customer-{}", self.count - 1);
                (by_key(&key), CommandBody::CreateCustomer(Box::default()))
            }
            Workload::Update => {
                (by_key(&key), CommandBody::UpdateCustomer(Box::new(self.profile())))
            }
            Workload::Reference => self.mixed(number, &key),
        };
        let command = Command {
            command_id: CommandId(self.random.uuid()),
            scope: self.scope.clone(),
            customer,
            issued_at: Timestamp::from_micros(NOW_MICROS),
            actor: "bench".parse().expect("an actor"),
            source: "bench".parse().expect("a source"),
            context: Context::default(),
            routed: None,
            body,
        };
        if self.workload == Workload::Reference
            && self.random.below(1_000) < REPEATED
            && self.again.is_none()
        {
            self.again = Some(command.clone());
        }
        command
    }

    fn mixed(&mut self, number: u64, key: &str) -> (CustomerRef, CommandBody) {
        match self.random.below(1_000) {
            0..700 => {
                let count = 1 + self.random.below(3);
                let reports = (0..count).map(|n| self.report(number, self.count * 4 + n)).collect();
                (by_key(key), CommandBody::RecordUsage(reports))
            }
            700..760 => (by_key(key), CommandBody::CreateCustomer(Box::new(self.profile()))),
            760..860 => (by_key(key), CommandBody::UpdateCustomer(Box::new(self.profile()))),
            860..910 => (by_key(key), CommandBody::UpdateCustomer(Box::new(self.contract()))),
            910..960 => (by_key(key), CommandBody::UpdateCustomer(Box::new(self.budget()))),
            960..980 => (by_key(key), CommandBody::UpdateCustomer(Box::new(self.policy()))),
            // Customers without a key, born and archived: what is freed by it is nobody else's.
            980..990 => {
                (Self::short_lived(number), CommandBody::CreateCustomer(Box::new(self.profile())))
            }
            990..995 => (
                Self::short_lived(number),
                CommandBody::RecordUsage(vec![self.report(number, self.count)]),
            ),
            _ => (Self::short_lived(number), CommandBody::ArchiveCustomer),
        }
    }

    fn short_lived(number: u64) -> CustomerRef {
        let millis = u64::try_from(NOW_MICROS / 1_000).unwrap_or(0);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&(number % 1_000).to_be_bytes());
        CustomerRef::Id(CustomerId(
            uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid(),
        ))
    }

    fn report(&mut self, number: u64, n: u64) -> UsageReport {
        // One in a hundred names an earlier report: a repeat, a conflict or a correction.
        let odd = self.random.below(100) == 0;
        let id = if odd { self.random.below(n.max(1)) } else { n };
        let back = self.random.below(DAYS * 24 * 3_600);
        let at = NOW_MICROS - i64::try_from(back).unwrap_or(0) * (MICROS_PER_HOUR / 3_600);
        let meter =
            ["tokens", "requests", "minutes"][usize::try_from(self.random.below(3)).unwrap_or(0)];
        let corrects = (odd && self.random.below(4) == 0).then(|| self.random.below(n.max(1)));
        UsageReport {
            report_id: format!("r-{number}-{id}").parse().expect("a report id"),
            occurred_at: Timestamp::from_micros(at),
            meter: meter.parse().expect("a meter"),
            quantity: self.amount(10_000, 0),
            cost: self.amount(1_000_000, 6),
            merchant: None,
            corrects: corrects.map(|id| format!("r-{number}-{id}c").parse().expect("a report id")),
        }
    }

    fn amount(&mut self, below: u64, scale: usize) -> Amount {
        let digits = format!("{:0>width$}", self.random.below(below), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let text = if scale == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") };
        text.parse().expect("an amount")
    }

    fn profile(&mut self) -> CustomerPatch {
        let n = self.random.below(1_000_000);
        let metadata = BTreeMap::from([
            (
                "plan".parse().expect("a metadata key"),
                Some(Json::from(["a", "b", "c"][usize::try_from(n % 3).unwrap_or(0)])),
            ),
            (
                "note".parse().expect("a metadata key"),
                (!n.is_multiple_of(5)).then(|| Json::from(format!("note {n}").as_str())),
            ),
        ]);
        let profile = ProfilePatch {
            name: Patch::Set(format!("Customer {n}").parse().expect("a name")),
            email: Patch::Set(format!("c{n}@example.com").parse().expect("an e-mail address")),
            metadata: Patch::Set(metadata),
            ..ProfilePatch::default()
        };
        CustomerPatch { profile: Edit::Set(profile), ..CustomerPatch::default() }
    }

    fn contract(&mut self) -> CustomerPatch {
        let tier = self.random.below(u64::try_from(self.tiers.len()).unwrap_or(1));
        let contract = ContractPatch {
            tier: Patch::Set(self.tiers[usize::try_from(tier).unwrap_or(0)].clone()),
            status: Edit::Set(if self.random.below(4) == 0 {
                Status::Suspended
            } else {
                Status::Active
            }),
            ..ContractPatch::default()
        };
        CustomerPatch { contract: Edit::Set(contract), ..CustomerPatch::default() }
    }

    fn budget(&mut self) -> CustomerPatch {
        let durations = [
            BudgetDuration::Daily,
            BudgetDuration::Weekly,
            BudgetDuration::Monthly,
            BudgetDuration::Yearly,
        ];
        let duration = durations[usize::try_from(self.random.below(4)).unwrap_or(0)];
        let start =
            NOW_MICROS - i64::try_from(self.random.below(60 * 24)).unwrap_or(0) * MICROS_PER_HOUR;
        let budget = BudgetPatch {
            period_budget: Patch::Set(self.amount(100, 0)),
            total_budget: if self.random.below(2) == 0 {
                Patch::Clear
            } else {
                Patch::Set(self.amount(1_000, 0))
            },
            duration: Edit::Set(duration),
            period_start: if self.random.below(4) == 0 {
                Patch::Set(Timestamp::from_micros(start))
            } else {
                Patch::Clear
            },
            markup_percentage: Edit::Set(self.amount(50, 0)),
            ..BudgetPatch::default()
        };
        CustomerPatch { budget: Edit::Set(budget), ..CustomerPatch::default() }
    }

    fn policy(&mut self) -> CustomerPatch {
        let policy = PolicyPatch {
            require_approval: Patch::Set(self.random.below(2) == 0),
            auto_approve_below: Patch::Set(self.amount(100, 0)),
            allowed_mccs: Patch::Set(vec!["5411".parse().expect("a merchant category code")]),
            ..PolicyPatch::default()
        };
        CustomerPatch { policy: Patch::Set(policy), ..CustomerPatch::default() }
    }
}

fn by_key(key: &str) -> CustomerRef {
    CustomerRef::Key(key.parse().expect("a customer key"))
}

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    const fn uuid(&mut self) -> Uuid {
        let (high, low) = (self.next(), self.next());
        uuid::Builder::from_random_bytes(((high as u128) << 64 | low as u128).to_be_bytes())
            .into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_commands_again() {
        let take = |seed| Generator::new(Workload::Reference, seed, 100).take(1_000);
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
    }

    #[test]
    fn the_reference_has_every_kind_and_repeats() {
        let commands = Generator::new(Workload::Reference, 7, 100).take(10_000);
        let count = |is: fn(&CommandBody) -> bool| {
            commands.iter().filter(|command| is(&command.body)).count()
        };
        assert!(count(|body| matches!(body, CommandBody::RecordUsage(_))) > 6_000);
        assert!(count(|body| matches!(body, CommandBody::CreateCustomer(_))) > 500);
        assert!(count(|body| matches!(body, CommandBody::UpdateCustomer(_))) > 1_500);
        assert!(count(|body| matches!(body, CommandBody::ArchiveCustomer)) > 20);
        let ids: std::collections::BTreeSet<_> =
            commands.iter().map(|command| command.command_id).collect();
        assert!(ids.len() < 9_950);
    }
}
