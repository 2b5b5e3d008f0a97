//! Usage: which reports are recorded, what each is charged, and what it takes the place of.

use std::sync::LazyLock;

use tallybook_events::customer::{Budget, BudgetKind, Corrected, UsageRecorded, UsageReport};
use tallybook_events::decision::{Rejection, RejectionCode};
use tallybook_events::event::Event;
use tallybook_events::ids::ReportId;
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::address::{self, Address};
use super::claims::Grant;
use super::customer::Customer;
use super::entitlements::levels;
use super::hours::{Hours, Tally, segment_start};
use super::packed::{Packed, Unpackable, Unpacking};
use super::reports::{Layers, ReportHash, Reports};
use super::thresholds::{self, Spending, Thresholds};
use super::{Ask, Record, Verdict, identity};

/// What a customer may use in all, in trillionths of a dollar (or of a unit), is below this. Every
/// sum of some of its reports then has an exact decimal.
const MOST: i128 = 10_i128.pow(28);

/// All that a customer used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// In all.
    pub(super) lifetime: Lifetime,
    /// By hours.
    pub(super) hours: Hours,
    /// The reports.
    pub(super) reports: Reports,
    /// The shares of budgets that were told.
    pub(super) thresholds: Thresholds,
}

/// What was used in all, in trillionths.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Cost, charge, number of reports.
    pub(super) tally: Tally,
    /// Quantity over all meters.
    pub(super) quantity: i128,
}

/// The usage of a customer that never used anything.
pub(super) static NOTHING: LazyLock<Usage> = LazyLock::new(Usage::default);

impl Lifetime {
    fn add(&mut self, quantity: Amount, tally: Tally) {
        self.tally.add(tally);
        self.quantity += quantity.trillionths();
    }

    fn take(&mut self, quantity: Amount, tally: Tally) {
        self.tally.take(tally);
        self.quantity -= quantity.trillionths();
    }
}

/// Gives what one report counts.
fn one(raw: Amount, charged: Amount) -> Tally {
    Tally { raw: raw.trillionths(), charged: charged.trillionths(), count: 1 }
}

impl Usage {
    /// Counts a report, and no longer what it corrects.
    pub(super) fn apply(&mut self, recorded: &UsageRecorded) {
        let segment = segment_start(recorded.occurred_at, recorded.period);
        let mut root = None;
        if let Some(corrected) = &recorded.corrects {
            let named = ReportHash::from(&corrected.report_id);
            let lines = Layers { base: &self.reports, fresh: &self.reports };
            root = lines.root(named);
            if let Some((_, counting)) = lines.counting(named) {
                let taken = one(corrected.raw, corrected.charged);
                self.lifetime.take(corrected.quantity, taken);
                self.hours.take(counting.segment(), taken);
            }
        }
        let added = one(recorded.raw, recorded.charged);
        self.lifetime.add(recorded.quantity, added);
        self.hours.keep(recorded.period);
        self.hours.add(segment, added);
        let id = ReportHash::from(&recorded.report_id);
        self.reports.insert(id, recorded, segment, root);
    }
}

impl Packed for Usage {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { lifetime: Lifetime { tally, quantity }, hours, reports, thresholds } = self;
        tally.pack(out);
        quantity.pack(out);
        hours.pack(out);
        reports.pack(out);
        thresholds.pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Ok(Self {
            lifetime: Lifetime { tally: from.take()?, quantity: from.take()? },
            hours: from.take()?,
            reports: from.take()?,
            thresholds: from.take()?,
        })
    }
}

/// Decides a command that reports usage. A key that nobody has gives birth to a customer.
///
/// # Errors
/// The rejection, for the whole command.
pub(super) fn record(
    record: &Record,
    ask: &Ask<'_>,
    reports: &[UsageReport],
    grants: &[Grant],
) -> Result<Verdict, Rejection> {
    match address::find(record, ask)? {
        Address::Elsewhere(routed) => Ok(Verdict::Forward(routed)),
        Address::Lives(customer) => {
            address::open(customer, ask)?;
            decide(customer, ask, reports, Vec::with_capacity(reports.len()))
        }
        Address::Free(birth) => identity::born(record, ask, birth, grants, |blank, events| {
            decide(blank, ask, reports, events)
        }),
    }
}

/// Decides reports about a customer, after the events that the command has caused already.
fn decide(
    customer: &Customer,
    ask: &Ask<'_>,
    reports: &[UsageReport],
    events: Vec<Event>,
) -> Result<Verdict, Rejection> {
    let mut draft = Draft::new(customer, reports.len(), events);
    let (mut duplicates, mut conflicts) = (Vec::new(), Vec::new());
    for (at, report) in reports.iter().enumerate() {
        match draft.report(at, report)? {
            Heard::New => {}
            Heard::Repeat => duplicates.push(report.report_id.clone()),
            Heard::Conflict => conflicts.push(report.report_id.clone()),
        }
    }
    let mut events = draft.events;
    levels::tell_of_usage(customer, &mut events, ask.decided_at);
    Ok(Verdict::Accepted { events, duplicates, conflicts })
}

/// What a report is to what was recorded.
enum Heard {
    New,
    Repeat,
    Conflict,
}

/// The usage of a customer as it would be after the reports of a command so far.
struct Draft<'a> {
    budget: Budget,
    usage: &'a Usage,
    /// How many reports the command has.
    reports: usize,
    lifetime: Lifetime,
    windows: Windows,
    /// The reports of the command, for those after them.
    fresh: Reports,
    told: Thresholds,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    fn new(customer: &'a Customer, reports: usize, events: Vec<Event>) -> Self {
        let usage = customer.usage();
        Self {
            budget: customer.budget(),
            usage,
            reports,
            lifetime: usage.lifetime,
            windows: Windows::default(),
            fresh: Reports::default(),
            told: Thresholds::default(),
            events,
        }
    }

    /// Decides the report at a place of the command.
    fn report(&mut self, at: usize, asked: &UsageReport) -> Result<Heard, Rejection> {
        let id = ReportHash::from(&asked.report_id);
        let lines = Layers { base: &self.usage.reports, fresh: &self.fresh };
        if let Some((kept, known)) = lines.get(id) {
            let repeat = kept.is_repeat(known, asked);
            return Ok(if repeat { Heard::Repeat } else { Heard::Conflict });
        }
        let mut root = None;
        let mut counted_in = None;
        let mut corrects = None;
        if let Some(named) = &asked.corrects {
            let (kept, counting) =
                lines.counting(named.into()).ok_or_else(|| unknown_report(at, named))?;
            root = lines.root(named.into());
            counted_in = Some(counting.segment());
            corrects = Some(kept.corrected(counting, named));
        }
        let period = self.window_at(asked.occurred_at);
        let charged = asked.cost.marked_up(self.budget.markup_percentage);
        let recorded = UsageRecorded {
            report_id: asked.report_id.clone(),
            occurred_at: asked.occurred_at,
            meter: asked.meter.clone(),
            quantity: asked.quantity,
            raw: asked.cost,
            charged: charged.ok_or_else(|| out_of_range(at, "cost"))?,
            period,
            merchant: asked.merchant.clone(),
            corrects,
        };
        self.count(at, &recorded, counted_in)?;
        if at + 1 < self.reports {
            let segment = segment_start(recorded.occurred_at, period);
            self.fresh.insert(id, &recorded, segment, root);
        }
        self.events.push(Event::UsageRecorded(recorded));
        self.tell(period);
        Ok(Heard::New)
    }

    /// Gives the window of a moment, at hand for most reports.
    fn window_at(&self, at: Timestamp) -> Window {
        let last = self.usage.hours.window();
        if last.contains(at) { last } else { self.budget.schedule().window_at(at) }
    }

    /// Counts a report, and no longer what it corrects, which had counted in a segment.
    fn count(
        &mut self,
        at: usize,
        recorded: &UsageRecorded,
        counted_in: Option<Timestamp>,
    ) -> Result<(), Rejection> {
        let hours = &self.usage.hours;
        if let (Some(corrected), Some(segment)) = (&recorded.corrects, counted_in) {
            let Corrected { quantity, raw, charged, .. } = corrected;
            let taken = one(*raw, *charged);
            self.lifetime.take(*quantity, taken);
            let window = self.window_at(segment);
            self.windows.at(window, hours).take(taken);
        }
        let added = one(recorded.raw, recorded.charged);
        self.lifetime.add(recorded.quantity, added);
        self.windows.at(recorded.period, hours).add(added);
        if self.lifetime.quantity >= MOST {
            return Err(out_of_range(at, "quantity"));
        }
        if self.lifetime.tally.raw.max(self.lifetime.tally.charged) >= MOST {
            return Err(out_of_range(at, "cost"));
        }
        Ok(())
    }

    /// Tells which shares of the budgets of now are reached: in the period in which a report counts,
    /// be it one that has ended, and in all.
    fn tell(&mut self, period: Window) {
        let used = self.windows.at(period, &self.usage.hours).raw;
        let told = &self.usage.thresholds;
        for spending in spendings(&self.budget, period, used, self.lifetime.tally.raw) {
            thresholds::decide(told, &mut self.told, spending, &mut self.events);
        }
    }
}

/// Gives what counts against the budgets of a period and of all time.
pub(super) fn spendings(
    budget: &Budget,
    period: Window,
    used: i128,
    used_in_all: i128,
) -> [Spending; 2] {
    let &Budget { period_budget, total_budget, .. } = budget;
    let (of_period, of_all) = (BudgetKind::Period, BudgetKind::Total);
    [
        Spending { kind: of_period, budget: period_budget, period, used },
        Spending {
            kind: of_all,
            budget: total_budget,
            period: Window::LIFETIME,
            used: used_in_all,
        },
    ]
}

/// What the windows that a command touches have, once its reports so far are counted. The first
/// takes no memory of its own: most commands touch no other.
#[derive(Default)]
struct Windows {
    first: Option<(Window, Tally)>,
    more: Vec<(Window, Tally)>,
}

impl Windows {
    /// Gives the tally of a window; what was recorded is counted when it is touched first.
    fn at(&mut self, window: Window, hours: &Hours) -> &mut Tally {
        let first = self.first.get_or_insert_with(|| (window, hours.used(window)));
        if first.0 == window {
            return &mut first.1;
        }
        let at = self.more.iter().position(|(other, _)| *other == window).unwrap_or_else(|| {
            self.more.push((window, hours.used(window)));
            self.more.len() - 1
        });
        &mut self.more[at].1
    }
}

fn unknown_report(at: usize, named: &ReportId) -> Rejection {
    let detail = format!("no report {named} of this customer is known");
    Rejection::at(RejectionCode::UnknownReport, format!("/reports/{at}/corrects"), detail)
}

fn out_of_range(at: usize, member: &'static str) -> Rejection {
    let detail = "all that the customer used would be more than can be kept exactly";
    Rejection::at(RejectionCode::AmountOutOfRange, format!("/reports/{at}/{member}"), detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::given::{
        KEY, archive, by_id, by_key, correction, given, nth, report, usage, with,
    };

    const MORNING: &str = "2026-01-10T08:15:00Z";
    const MOST: &str = "999999999999.999999999999";

    fn recorded(id: &str, at: &str, raw: &str, charged: &str) -> Value {
        json!({"type": "UsageRecorded.v1", "report_id": id, "occurred_at": at, "meter": "tokens",
            "quantity": "10", "raw": raw, "charged": charged,
            "period": {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}})
    }

    fn corrected(id: &str, at: &str, raw: &str, charged: &str) -> Value {
        json!({"report_id": id, "occurred_at": at, "meter": "tokens", "quantity": "10", "raw": raw,
            "charged": charged})
    }

    fn one(report: Value) -> Value {
        usage(json!([report]))
    }

    #[test]
    fn a_report_is_recorded_with_its_charge_and_period() {
        given()
            .customer(json!({}))
            .when(one(report("r1", MORNING, "0.25")))
            .then(json!([recorded("r1", MORNING, "0.25", "0.25")]))
            .shows("/usage/lifetime", json!({"raw": "0.25", "charged": "0.25", "count": 1}))
            .shows("/version", json!(2));
    }

    #[test]
    fn a_markup_is_charged_from_when_it_is_set() {
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "10")])
            .updated(json!({"budget": {"period_budget": "100", "markup_percentage": "20"}}))
            .when(one(report("r2", MORNING, "45.67")))
            .then(json!([recorded("r2", MORNING, "45.67", "54.804")]))
            .shows(
                "/usage/period",
                json!({"start": "2026-01-01T00:00:00Z",
                "end": "2026-02-01T00:00:00Z", "raw": "55.67", "charged": "64.804", "count": 2,
                "budget": "100", "remaining": "44.33"}),
            );
    }

    #[test]
    fn a_quantity_or_a_cost_alone_is_a_report() {
        let mut quantity = report("r1", MORNING, "0");
        quantity.as_object_mut().unwrap().remove("cost");
        given()
            .customer(json!({}))
            .when(one(quantity))
            .then(json!([recorded("r1", MORNING, "0", "0")]));
    }

    #[test]
    fn the_same_report_again_changes_nothing() {
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "1")])
            .when(one(report("r1", MORNING, "1.00")))
            .repeats(&["r1"], &[])
            .then_nothing()
            .updated(json!({"budget": {"markup_percentage": "50", "duration": "daily"}}))
            .when(one(report("r1", MORNING, "1")))
            .repeats(&["r1"], &[])
            .then_nothing()
            .shows("/usage/lifetime", json!({"raw": "1", "charged": "1", "count": 1}));
    }

    #[test]
    fn a_merchant_is_recorded_where_it_is_told_and_is_part_of_the_report() {
        let told = with("merchant", json!("amazon.com"), report("r1", MORNING, "1"));
        let other = with("merchant", json!("amazon.de"), report("r1", MORNING, "1"));
        given()
            .customer(json!({}))
            .when(one(told.clone()))
            .then(json!([with("merchant", json!("amazon.com"), recorded("r1", MORNING, "1", "1"))]))
            .when(one(told))
            .repeats(&["r1"], &[])
            .then_nothing()
            .when(one(other))
            .repeats(&[], &["r1"])
            .then_nothing();
    }

    #[test]
    fn a_report_id_with_other_content_is_a_conflict() {
        let other =
            |member: &str, value: &str| with(member, json!(value), report("r1", MORNING, "1"));
        for changed in [
            other("cost", "1.000000000001"),
            other("quantity", "11"),
            other("meter", "calls"),
            other("merchant", "amazon.com"),
            other("occurred_at", "2026-01-10T08:15:00.000001Z"),
            other("corrects", "r0"),
        ] {
            given()
                .customer(json!({}))
                .used([report("r0", MORNING, "5"), report("r1", MORNING, "1")])
                .when(one(changed))
                .repeats(&[], &["r1"])
                .then_nothing()
                .shows("/usage/lifetime/raw", json!("6"));
        }
    }

    #[test]
    fn repeats_within_a_command_are_told_apart_from_conflicts_and_the_rest_is_recorded() {
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "1")])
            .when(usage(json!([
                report("r1", MORNING, "1"),
                report("r2", MORNING, "2"),
                report("r2", MORNING, "2"),
                report("r1", MORNING, "7"),
                report("r2", MORNING, "7"),
                report("r3", MORNING, "3"),
            ])))
            .repeats(&["r1", "r2"], &["r1", "r2"])
            .then(json!([recorded("r2", MORNING, "2", "2"), recorded("r3", MORNING, "3", "3")]));
    }

    #[test]
    fn a_late_report_counts_in_the_period_in_which_it_occurred() {
        let mut late = recorded("r1", "2025-12-31T23:59:59Z", "1", "1");
        late["period"] = json!({"start": "2025-12-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"});
        given()
            .customer(json!({}))
            .when(one(report("r1", "2025-12-31T23:59:59Z", "1")))
            .then(json!([late]))
            .shows("/usage/period/raw", json!("0"))
            .at("2025-12-15T00:00:00Z")
            .shows("/usage/period/raw", json!("1"));
    }

    #[test]
    fn a_correction_counts_in_place_of_what_it_corrects() {
        let mut event = recorded("r2", "2026-01-10T09:00:00Z", "3", "3");
        event["corrects"] = corrected("r1", MORNING, "5", "5");
        given()
            .customer(json!({}))
            .used([report("r0", MORNING, "1"), report("r1", MORNING, "5")])
            .when(one(correction("r2", "r1", "2026-01-10T09:00:00Z", "3")))
            .then(json!([event]))
            .shows("/usage/lifetime", json!({"raw": "4", "charged": "4", "count": 2}))
            .shows("/usage/period/raw", json!("4"))
            .when(one(correction("r2", "r1", "2026-01-10T09:00:00Z", "3")))
            .repeats(&["r2"], &[])
            .then_nothing()
            .when(one(correction("r2", "r0", "2026-01-10T09:00:00Z", "3")))
            .repeats(&[], &["r2"])
            .then_nothing();
    }

    #[test]
    fn whichever_report_of_the_line_is_named_the_last_total_is_taken_back() {
        let event = |id: &str, raw: &str, named: &str, old: &str| {
            let mut event = recorded(id, MORNING, raw, raw);
            event["corrects"] = corrected(named, MORNING, old, old);
            json!([event])
        };
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "5")])
            .when(one(correction("r2", "r1", MORNING, "3")))
            .then(event("r2", "3", "r1", "5"))
            .when(one(correction("r3", "r1", MORNING, "8")))
            .then(event("r3", "8", "r1", "3"))
            .when(one(correction("r4", "r2", MORNING, "1")))
            .then(event("r4", "1", "r2", "8"))
            .when(one(correction("r5", "r1", MORNING, "2")))
            .then(event("r5", "2", "r1", "1"))
            .shows("/usage/lifetime", json!({"raw": "2", "charged": "2", "count": 1}));
    }

    #[test]
    fn a_correction_may_move_usage_to_another_period() {
        given()
            .customer(json!({}))
            .used([
                report("r1", "2025-12-31T00:00:00Z", "5"),
                correction("r2", "r1", "2026-01-01T00:00:00Z", "4"),
            ])
            .shows("/usage/period/raw", json!("4"))
            .shows("/usage/period/count", json!(1))
            .at("2025-12-31T00:00:00Z")
            .shows("/usage/period/raw", json!("0"))
            .shows("/usage/period/count", json!(0));
    }

    #[test]
    fn a_correction_finds_the_hour_in_which_its_report_counted_though_windows_moved() {
        given()
            .customer(json!({}))
            .used([report("r1", "2026-01-15T10:45:00Z", "5")])
            .updated(json!({"budget": {"period_start": "2026-01-15T10:30:00Z"}}))
            .at("2026-01-15T11:00:00Z")
            .used([report("r2", "2026-01-15T10:50:00Z", "2")])
            .shows("/usage/period/raw", json!("2"))
            .used([correction("r3", "r1", "2026-01-15T10:46:00Z", "1")])
            .shows("/usage/period/raw", json!("3"))
            .at("2026-01-15T10:29:59Z")
            .shows("/usage/period/raw", json!("0"))
            .shows("/usage/lifetime/raw", json!("3"));
    }

    #[test]
    fn a_correction_is_charged_with_the_markup_of_its_own_time() {
        let mut event = recorded("r2", MORNING, "10", "12");
        event["corrects"] = corrected("r1", MORNING, "10", "10");
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "10")])
            .updated(json!({"budget": {"markup_percentage": "20"}}))
            .when(one(correction("r2", "r1", MORNING, "10")))
            .then(json!([event]))
            .shows("/usage/lifetime", json!({"raw": "10", "charged": "12", "count": 1}));
    }

    #[test]
    fn corrections_within_one_command_follow_each_other() {
        given()
            .customer(json!({}))
            .used([report("r0", MORNING, "100")])
            .accepted(usage(json!([
                report("r1", MORNING, "5"),
                correction("r2", "r1", MORNING, "3"),
                correction("r3", "r0", "2026-02-01T00:00:00Z", "50"),
                correction("r4", "r3", MORNING, "20"),
                correction("r5", "r2", MORNING, "7"),
                correction("r6", "r1", MORNING, "1"),
            ])))
            .shows("/usage/lifetime", json!({"raw": "21", "charged": "21", "count": 2}))
            .shows("/usage/period/raw", json!("21"));
    }

    #[test]
    fn a_correction_of_nothing_known_refuses_the_whole_command() {
        given()
            .customer(json!({}))
            .when(usage(json!([
                report("r1", MORNING, "5"),
                correction("r2", "r1", MORNING, "5"),
                correction("r3", "r9", MORNING, "1"),
            ])))
            .rejects("unknown_report", Some("/reports/2/corrects"))
            .shows("/usage/lifetime/count", json!(0))
            .when(usage(json!([correction("r2", "r1", MORNING, "1"), report("r1", MORNING, "5")])))
            .rejects("unknown_report", Some("/reports/0/corrects"));
    }

    #[test]
    fn report_ids_belong_to_their_customer() {
        given()
            .customer(json!({}))
            .used([report("r1", MORNING, "1")])
            .when(by_key("other", one(report("r1", MORNING, "2"))))
            .then_types(["CustomerCreated", "UsageRecorded"]);
    }

    #[test]
    fn what_cannot_be_added_up_exactly_is_refused() {
        let many = |from: u32, member: &str| -> Value {
            let report = |n: u32| {
                let report = report(&format!("r{n}"), MORNING, "0");
                with(member, json!(MOST), with("quantity", json!("0"), report))
            };
            (from..from + 1_000).map(report).collect::<Vec<_>>().into()
        };
        for member in ["cost", "quantity"] {
            let full = (0..10).fold(given().customer(json!({})), |given, n| {
                given.accepted(usage(many(n * 1_000, member)))
            });
            full.when(one(with(member, json!("0.01"), report("one more", MORNING, "0"))))
                .rejects("amount_out_of_range", Some(&format!("/reports/0/{member}")))
                .when(one(correction("less", "r0", MORNING, "0")))
                .then_types(["UsageRecorded"]);
        }
    }

    #[test]
    fn a_charge_that_is_no_amount_is_refused() {
        given()
            .customer(json!({"budget": {"markup_percentage": "100"}}))
            .when(usage(json!([report("r1", MORNING, "1"), report("r2", MORNING, "500000000000")])))
            .rejects("amount_out_of_range", Some("/reports/1/cost"));
    }

    #[test]
    fn a_suspended_customers_usage_is_recorded() {
        given()
            .customer(json!({"contract": {"status": "suspended"}}))
            .when(one(report("r1", MORNING, "1")))
            .then_types(["UsageRecorded"]);
    }

    #[test]
    fn an_unknown_key_is_born_with_its_first_usage() {
        given()
            .when(one(report("r1", MORNING, "1")))
            .then(json!([
                {"type": "CustomerCreated.v1", "customer_id": nth(KEY, 0).to_string(),
                    "tenant": "t", "environment": "live", "key": KEY, "birth": 0},
                recorded("r1", MORNING, "1", "1"),
            ]))
            .shows("/version", json!(2))
            .shows("/created_at", json!("2026-01-15T10:00:00Z"));
    }

    #[test]
    fn a_refused_first_usage_bears_nobody() {
        let world = given()
            .when(one(correction("r1", "r0", MORNING, "1")))
            .rejects("unknown_report", Some("/reports/0/corrects"))
            .when(with("expected_version", json!(1), one(report("r1", MORNING, "1"))))
            .rejects("version_mismatch", None)
            .world();
        assert_eq!(world.record(nth(KEY, 0)), super::Record::default());
    }

    #[test]
    fn an_unknown_id_is_born_by_no_usage() {
        given()
            .when(by_id(nth("nobody", 0), one(report("r1", MORNING, "1"))))
            .rejects("unknown_customer", None);
    }

    #[test]
    fn an_archived_customer_takes_no_usage() {
        given()
            .customer(json!({}))
            .accepted(archive())
            .when(by_id(nth(KEY, 0), one(report("r1", MORNING, "1"))))
            .rejects("customer_archived", None);
    }

    #[test]
    fn usage_may_expect_a_version() {
        given()
            .customer(json!({}))
            .when(with("expected_version", json!(2), one(report("r1", MORNING, "1"))))
            .rejects("version_mismatch", None)
            .when(with("expected_version", json!(1), one(report("r1", MORNING, "1"))))
            .then_types(["UsageRecorded"]);
    }
}
