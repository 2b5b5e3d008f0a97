//! Which grant does usage count against? Usage of a feature goes through time, segment by segment,
//! and takes from the grants that are in force then.
//!
//! An unlimited grant takes all. Else what was carried over is used first, then each grant in turn:
//! the one whose window (or life) ends first, then the one that started first. What is more than all
//! of them have counts against the first that allows overage; if none does, against the first.
//!
//! The outcome does not depend on the order in which reports came, only on their `occurred_at`.

use std::cmp::Reverse;

use super::held::HeldGrant;
use super::segments::{Segment, Segments, segment_start};
use crate::period::Window;
use crate::time::Timestamp;

/// How often the search for where to begin is repeated before all of history is looked at.
const MAX_STEPS_BACK: usize = 8;

/// A grant in its window of a moment, and what was used of it.
#[derive(Debug, Clone)]
pub struct Line<'a> {
    /// The grant, changes of it included: in the order of time.
    versions: Vec<&'a HeldGrant>,
    /// Which of them is in force.
    current: usize,
    /// The window of now.
    pub window: Window,
    /// What was used of it in that window, in trillionths, overage included.
    pub used: i128,
    /// What was carried over, in the order in which it came.
    pub carried: Vec<Carried>,
    active: bool,
}

/// What was carried over from one window, in trillionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// What was carried over of what was left then, without what was lost to a bound.
    pub granted: i128,
    /// What of it was there when the window of now began.
    pub opening: i128,
    /// What of it is left.
    pub left: i128,
    /// When that is lost.
    pub expires_at: Option<Timestamp>,
}

impl<'a> Line<'a> {
    fn new(versions: Vec<&'a HeldGrant>) -> Self {
        let nowhere = Window { start: Timestamp::MIN, end: Timestamp::MIN };
        Self { versions, current: 0, window: nowhere, used: 0, carried: Vec::new(), active: false }
    }

    /// Gives the grant as it is in force.
    pub fn held(&self) -> &'a HeldGrant {
        self.versions[self.current]
    }

    /// Gives what is left of it, 0 or more, in trillionths, without what was carried over.
    pub fn left(&self) -> i128 {
        (self.held().grant.granted() - self.used).max(0)
    }

    /// Goes on to a moment; the windows in between end and begin.
    fn advance(&mut self, at: Timestamp) {
        loop {
            if !self.active && !self.enter(at) {
                return;
            }
            let held = self.held();
            let end = held.end();
            let stop = self.window.end.min(end);
            if at < stop {
                return;
            }
            if self.window.end == stop {
                self.carry(held);
            }
            if stop < end {
                let skips = held.grant.rollover.is_none() && self.carried.is_empty();
                let next = if skips { at.min(end.plus_micros(-1)) } else { stop };
                self.begin(held.window_at(next));
            } else if self
                .versions
                .get(self.current + 1)
                .is_some_and(|next| next.goes_on_from(held))
            {
                self.current += 1;
                self.begin(self.held().window_at(stop));
            } else {
                self.carried.clear();
                self.active = false;
            }
        }
    }

    /// Begins where the grant is in force at a moment; earlier when something may have been carried
    /// over until then. Tells whether it is in force.
    fn enter(&mut self, at: Timestamp) -> bool {
        let Some(found) = self.versions.iter().position(|held| held.is_active(at)) else {
            return false;
        };
        let first = first_of_chain(&self.versions, found);
        let carries = self.versions[first..=found].iter().any(|held| held.grant.rollover.is_some());
        self.current = if carries { first } else { found };
        let held = self.held();
        self.active = true;
        self.begin(held.window_at(if carries { held.from } else { at }));
        true
    }

    fn begin(&mut self, window: Window) {
        self.window = window;
        self.used = 0;
        self.carried.retain_mut(|carried| {
            carried.opening = carried.left;
            carried.left > 0 && carried.expires_at.is_none_or(|end| window.start < end)
        });
    }

    /// Carries over what is left at the end of the window.
    fn carry(&mut self, held: &HeldGrant) {
        let (Some(rule), false) = (held.grant.rollover, held.grant.unlimited) else { return };
        let left = self.left();
        if left > 0 {
            let expires_at = rule.windows.map(|windows| {
                (0..windows).fold(self.window.end, |end, _| held.window_at(end).end)
            });
            self.carried.push(Carried { granted: left, opening: left, left, expires_at });
        }
        let Some(max) = rule.max else { return };
        let mut over =
            self.carried.iter().map(|carried| carried.left).sum::<i128>() - max.trillionths();
        for carried in &mut self.carried {
            let lost = over.clamp(0, carried.left);
            carried.granted -= lost;
            carried.left -= lost;
            over -= lost;
        }
    }

    /// Gives the order in which usage counts against grants.
    fn order(&self) -> (Reverse<bool>, Timestamp, Timestamp, &str) {
        let grant = &self.held().grant;
        let ends = grant.expires_at.map_or(self.window.end, |end| end.min(self.window.end));
        (Reverse(grant.unlimited), ends, grant.starts_at, grant.grant_id.as_str())
    }
}

/// Gives the first version from which on the grant was in force without a gap.
fn first_of_chain(versions: &[&HeldGrant], at: usize) -> usize {
    let gap = |next: &usize| !versions[*next].goes_on_from(versions[next - 1]);
    (1..=at).rev().find(gap).unwrap_or(0)
}

/// Gives each grant of a feature with all its versions.
fn lines<'a>(grants: impl Iterator<Item = &'a HeldGrant>) -> Vec<Line<'a>> {
    let mut all: Vec<&HeldGrant> = grants.collect();
    all.sort_by(|a, b| {
        (a.grant.grant_id.as_str(), a.from).cmp(&(b.grant.grant_id.as_str(), b.from))
    });
    all.chunk_by(|a, b| a.grant.grant_id == b.grant.grant_id)
        .map(|versions| Line::new(versions.to_vec()))
        .collect()
}

/// Gives the moment before which it does not matter for the balance of a moment what was used.
pub fn horizon<'a>(grants: impl Iterator<Item = &'a HeldGrant>, at: Timestamp) -> Timestamp {
    let lines = lines(grants);
    // Where usage matters for the version in force at a moment.
    let begins = |versions: &[&HeldGrant], found: usize, at: Timestamp| {
        let first = first_of_chain(versions, found);
        let chain = &versions[first..=found];
        if chain.iter().any(|held| held.grant.rollover.is_some()) {
            chain[0].from
        } else {
            versions[found].counts_from(at)
        }
    };
    let mut horizon = at;
    for line in &lines {
        if let Some(found) = line.versions.iter().position(|held| held.is_active(at)) {
            horizon = horizon.min(begins(&line.versions, found, at));
        }
    }
    for _ in 0..MAX_STEPS_BACK {
        let mut earlier = horizon;
        for line in &lines {
            for (found, held) in line.versions.iter().enumerate() {
                if held.from <= at && horizon < held.end() {
                    let first = begins(&line.versions, found, horizon.max(held.from));
                    earlier = earlier.min(first);
                }
            }
        }
        if earlier == horizon {
            return horizon;
        }
        horizon = earlier;
    }
    Timestamp::MIN
}

/// Gives the grants of a feature that are in force at a moment, in the order in which usage counts
/// against them, with what was used of each.
pub(super) fn spent<'a>(
    grants: impl Iterator<Item = &'a HeldGrant> + Clone,
    segments: &Segments,
    now: Timestamp,
) -> Vec<Line<'a>> {
    let from = horizon(grants.clone(), now);
    // What is used later, but before anything begins or ends, counts already.
    let until = |segment: &&Segment| {
        segment.start <= now || segment_start(grants.clone(), segment.last) <= now
    };
    let matter = segments.iter().filter(|segment| from <= segment.start).take_while(until);
    spent_in(lines(grants.clone()), matter, now)
}

fn spent_in<'a, 's>(
    mut lines: Vec<Line<'a>>,
    segments: impl Iterator<Item = &'s Segment>,
    now: Timestamp,
) -> Vec<Line<'a>> {
    for segment in segments {
        for line in &mut lines {
            line.advance(segment.last);
        }
        let mut active: Vec<&mut Line<'a>> = lines.iter_mut().filter(|line| line.active).collect();
        active.sort_by(|a, b| a.order().cmp(&b.order()));
        take(&mut active, segment.used);
    }
    for line in &mut lines {
        line.advance(now);
    }
    lines.retain(|line| line.active);
    lines.sort_by(|a, b| a.order().cmp(&b.order()));
    lines
}

/// Counts usage against grants that are in force.
fn take(lines: &mut [&mut Line<'_>], used: i128) {
    let Some(first) = lines.first_mut() else { return };
    if first.held().grant.unlimited {
        first.used += used;
        return;
    }
    let mut rest = used;
    let mut carried: Vec<&mut Carried> =
        lines.iter_mut().flat_map(|line| line.carried.iter_mut()).collect();
    carried.sort_by_key(|carried| carried.expires_at.unwrap_or(Timestamp::MAX));
    for carried in carried {
        let taken = rest.min(carried.left);
        carried.left -= taken;
        rest -= taken;
    }
    for line in &mut *lines {
        let taken = rest.min(line.left());
        line.used += taken;
        rest -= taken;
    }
    let over = lines.iter().position(|line| line.held().grant.overage_allowed).unwrap_or(0);
    if let Some(line) = lines.get_mut(over) {
        line.used += rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option::weighted;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::grant::{Grant, RolloverRule};
    use super::super::happened::{BalanceGranted, GrantRevoked};
    use super::super::held::EntitlementFacts;
    use super::super::reset::{ResetInterval, ResetRule};
    use super::*;
    use crate::ids::Meter;
    use crate::time::MICROS_PER_HOUR;

    const UNIT: i128 = 1_000_000_000_000;

    fn feature() -> Meter {
        "messages".parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn grant(more: Value) -> Grant {
        let mut grant = json!({"grant_id": "g", "feature_id": "messages", "plan_id": null,
            "included": "100", "prepaid": "0", "unlimited": false, "overage_allowed": false,
            "max_purchase": null, "reset": null, "rollover": null, "price": null,
            "starts_at": "2026-01-10T00:00:00Z", "expires_at": null});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_str(&grant.to_string()).unwrap()
    }

    fn monthly(more: Value) -> Value {
        let mut grant = json!({"reset": {"interval": "month", "interval_count": 1,
            "anchor": "2026-01-10T00:00:00Z"}});
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        grant
    }

    fn held(grants: &[Value]) -> Vec<HeldGrant> {
        let held = |more: &Value| {
            let grant = grant(more.clone());
            HeldGrant { from: grant.starts_at, grant, until: None, follows: false }
        };
        grants.iter().map(held).collect()
    }

    /// What is left of grants, and what of each was used, and what was carried over.
    type Told = (Vec<(String, i128)>, Vec<(i128, i128)>);

    fn told(grants: &[HeldGrant], used: &[(&str, i128)], now: &str) -> Told {
        let moments = used.iter().map(|(moment, used)| (at(moment), used * UNIT));
        let segments = Segments::of(moments, grants.iter());
        let lines = spent(grants.iter(), &segments, at(now));
        let name = |line: &Line<'_>| line.held().grant.grant_id.to_string();
        let carried = lines.iter().flat_map(|line| &line.carried);
        let carried = carried.map(|carried| (carried.granted / UNIT, carried.left / UNIT));
        (lines.iter().map(|line| (name(line), line.used / UNIT)).collect(), carried.collect())
    }

    fn of(grants: &[(&str, i128)]) -> Told {
        (grants.iter().map(|(name, used)| ((*name).to_owned(), *used)).collect(), Vec::new())
    }

    #[test]
    fn a_window_counts_what_was_used_in_it_and_begins_again_at_zero() {
        let grants = held(&[monthly(json!({}))]);
        let used = [
            ("2026-01-09T23:59:59.999999Z", 1),
            ("2026-01-10T00:00:00Z", 10),
            ("2026-02-09T23:59:59.999999Z", 20),
            ("2026-02-10T00:00:00Z", 40),
        ];
        assert_eq!(told(&grants, &used, "2026-01-09T00:00:00Z"), of(&[]));
        assert_eq!(told(&grants, &used, "2026-01-10T00:00:00Z"), of(&[("g", 30)]));
        assert_eq!(told(&grants, &used, "2026-02-10T00:00:00Z"), of(&[("g", 40)]));
        assert_eq!(told(&grants, &used, "2026-03-10T00:00:00Z"), of(&[("g", 0)]));
    }

    #[test]
    fn what_ends_first_is_used_first() {
        let grants = held(&[
            json!({"grant_id": "forever", "included": "50"}),
            monthly(json!({"grant_id": "monthly"})),
            json!({"grant_id": "gift", "included": "5", "expires_at": "2026-01-20T00:00:00Z"}),
        ]);
        let used = [
            ("2026-01-15T00:00:00Z", 50),
            ("2026-01-25T00:00:00Z", 75),
            ("2026-02-15T00:00:00Z", 110),
        ];
        let january = of(&[("gift", 5), ("monthly", 45), ("forever", 0)]);
        assert_eq!(told(&grants, &used[..1], "2026-01-19T00:00:00Z"), january);
        let spilled = of(&[("monthly", 100), ("forever", 20)]);
        assert_eq!(told(&grants, &used[..2], "2026-02-09T00:00:00Z"), spilled);
        let february = of(&[("monthly", 100), ("forever", 30)]);
        assert_eq!(told(&grants, &used, "2026-02-20T00:00:00Z"), february);
        assert_eq!(
            told(&grants, &used, "2026-03-20T00:00:00Z"),
            of(&[("monthly", 0), ("forever", 30)])
        );
    }

    #[test]
    fn what_is_more_than_all_have_goes_over_where_it_may() {
        let used = [("2026-01-15T00:00:00Z", 170)];
        let now = "2026-01-16T00:00:00Z";
        let over = |monthly_allows: bool, forever_allows: bool| {
            let grants = held(&[
                monthly(json!({"grant_id": "monthly", "overage_allowed": monthly_allows})),
                json!({"grant_id": "forever", "included": "50", "overage_allowed": forever_allows}),
            ]);
            told(&grants, &used, now)
        };
        assert_eq!(over(false, false), of(&[("monthly", 120), ("forever", 50)]));
        assert_eq!(over(true, false), of(&[("monthly", 120), ("forever", 50)]));
        assert_eq!(over(false, true), of(&[("monthly", 100), ("forever", 70)]));
    }

    #[test]
    fn an_unlimited_grant_takes_all() {
        let grants = held(&[
            json!({"grant_id": "bounded"}),
            monthly(json!({"grant_id": "unbounded", "unlimited": true, "included": "0"})),
        ]);
        let used = [("2026-01-15T00:00:00Z", 5_000)];
        let expected = of(&[("unbounded", 5_000), ("bounded", 0)]);
        assert_eq!(told(&grants, &used, "2026-01-16T00:00:00Z"), expected);
    }

    #[test]
    fn what_is_left_is_carried_over_and_used_first_and_lost_in_the_end() {
        let rule = json!({"rollover": {"max": "90", "windows": 2}});
        let grants = held(&[monthly(rule)]);
        let used = [("2026-01-15T00:00:00Z", 40), ("2026-02-15T00:00:00Z", 50)];
        let told = |now: &str| {
            let (used, carried) = told(&grants, &used, now);
            (used[0].1, carried)
        };
        assert_eq!(told("2026-02-09T00:00:00Z"), (40, vec![]));
        assert_eq!(told("2026-02-10T00:00:00Z"), (0, vec![(60, 10)]));
        // 10 and 100 are more than 90: the older is lost first, then of the newer.
        assert_eq!(told("2026-03-10T00:00:00Z"), (0, vec![(90, 90)]));
        assert_eq!(told("2026-04-10T00:00:00Z"), (0, vec![(90, 90)]));
    }

    #[test]
    fn a_changed_grant_keeps_what_was_used_and_what_was_carried_over() {
        let rule = json!({"rollover": {"windows": 3}});
        let mut grants = held(&[monthly(rule.clone()), monthly(rule)]);
        grants[1].grant.included = 500_u32.into();
        grants[1].from = at("2026-03-10T00:00:00Z");
        grants[1].follows = true;
        grants[0].until = Some(grants[1].from);
        let used = [("2026-02-15T00:00:00Z", 150), ("2026-03-15T00:00:00Z", 80)];
        let now = "2026-03-20T00:00:00Z";
        assert_eq!(told(&grants, &used, now), (vec![("g".to_owned(), 30)], vec![(50, 0)]));
    }

    /// One step of a history.
    #[derive(Debug, Clone)]
    enum Step {
        /// Hours go by.
        Wait(i64),
        /// So much was used, so many hours before or after now.
        Use(i64, i128),
        /// A grant is made or changed: which, its windows, amount, life in hours, what rolls over.
        Grant(usize, Option<(ResetInterval, i64)>, u32, Option<i64>, Option<u32>, bool),
        /// A grant is taken back.
        Revoke(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let interval = prop_oneof![
            Just(ResetInterval::Hour),
            Just(ResetInterval::Day),
            Just(ResetInterval::Week),
            Just(ResetInterval::Month),
        ];
        let rule = (interval, -50..50_i64);
        prop_oneof![
            2 => (0..400_i64).prop_map(Step::Wait),
            6 => (-600..40_i64, 0..60_i128).prop_map(|(hours, used)| Step::Use(hours, used)),
            2 => (0..4_usize, weighted(0.7, rule), 0..80_u32, of_life(), weighted(0.3, 1..4_u32), any::<bool>())
                .prop_map(|(which, rule, amount, life, rolls, over)| {
                    // Rules let nothing roll over from windows shorter than a day.
                    let long = rule.is_some_and(|(interval, _)| interval != ResetInterval::Hour);
                    Step::Grant(which, rule, amount, life, rolls.filter(|_| long), over)
                }),
            1 => (0..4_usize).prop_map(Step::Revoke),
        ]
    }

    fn of_life() -> impl Strategy<Value = Option<i64>> {
        weighted(0.3, 1..900_i64)
    }

    fn hours(at: Timestamp, hours: i64) -> Timestamp {
        at.plus_micros(hours * MICROS_PER_HOUR)
    }

    /// The facts as they are kept, all grants that ever were, and every report.
    struct History {
        now: Timestamp,
        facts: EntitlementFacts,
        all: Vec<HeldGrant>,
        segments: Segments,
        reports: Vec<(Timestamp, i128)>,
    }

    impl History {
        fn end(&mut self, id: &str, ends_at: Timestamp) -> bool {
            let mut follows = false;
            let now = self.now;
            let same = |held: &HeldGrant| held.grant.grant_id.as_str() == id && now < held.end();
            for held in self.all.iter_mut().filter(|held| same(held)) {
                held.until = Some(held.end().min(ends_at));
                follows |= held.from < held.end() || held.follows;
            }
            self.all.retain(|held| held.from < held.end());
            follows
        }

        fn play(&mut self, step: Step) {
            let now = self.now;
            match step {
                Step::Wait(more) => self.now = hours(now, more),
                Step::Use(when, used) => {
                    let moment = hours(now, when);
                    self.reports.push((moment, used * UNIT));
                    let grants = self.facts.grants.iter();
                    self.segments.add(moment, used * UNIT, grants);
                }
                Step::Revoke(which) => {
                    let id = format!("g{which}");
                    let Some(held) = self.facts.grant(&id.parse().unwrap(), now) else { return };
                    let revoked = GrantRevoked { grant: held.grant.clone(), ends_at: now };
                    self.end(&id, now);
                    revoked.apply(&mut self.facts, now);
                }
                Step::Grant(which, rule, amount, life, rolls, over) => {
                    let id = format!("g{which}");
                    let mut grant = grant(json!({"grant_id": id, "overage_allowed": over}));
                    grant.included = amount.into();
                    grant.starts_at = now;
                    grant.expires_at = life.map(|life| hours(now, life));
                    grant.rollover = rolls.map(|n| RolloverRule { max: None, windows: Some(n) });
                    grant.reset = rule.map(|(interval, anchor)| ResetRule {
                        interval,
                        interval_count: 1,
                        anchor: hours(now, anchor),
                    });
                    let window =
                        HeldGrant { grant: grant.clone(), from: now, until: None, follows: false };
                    let before = self.facts.grant(&grant.grant_id, now);
                    let from = before
                        .map_or(now, |held| held.counts_from(now).max(window.window_at(now).start));
                    let follows = self.end(&id, from);
                    self.all.push(HeldGrant { grant: grant.clone(), from, until: None, follows });
                    let granted = BalanceGranted { grant, counts_from: from, instead_of: None };
                    granted.apply(&mut self.facts, now);
                }
            }
            if !self.segments.fit(self.facts.grants.iter()) {
                let reports = self.reports.iter().copied();
                self.segments = Segments::of(reports, self.facts.grants.iter());
            }
        }

        /// Usage report by report, over all grants and from the beginning of time.
        fn plainly(&self) -> Vec<(String, i128, Vec<Carried>)> {
            let mut reports = self.reports.clone();
            reports.sort_unstable();
            let one = |(at, used): (Timestamp, i128)| Segment { start: at, last: at, used };
            // Within one moment all counts at once.
            let mut each: Vec<Segment> = Vec::new();
            for segment in reports.into_iter().map(one) {
                match each.last_mut() {
                    Some(last) if last.start == segment.start => last.used += segment.used,
                    Some(_) | None => each.push(segment),
                }
            }
            // What is used later, but before anything begins or ends, counts already.
            let grants = self.facts.grants.iter();
            each.retain(|segment| {
                segment.start <= self.now
                    || segment_start(grants.clone(), segment.start) <= self.now
            });
            show(&spent_in(lines(self.all.iter()), each.iter(), self.now))
        }
    }

    fn show(lines: &[Line<'_>]) -> Vec<(String, i128, Vec<Carried>)> {
        let one = |line: &Line<'_>| {
            (line.held().grant.grant_id.to_string(), line.used, line.carried.clone())
        };
        lines.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn segments_and_what_is_kept_tell_the_same_as_every_report_and_every_grant(
            steps in vec(step(), 1..60),
        ) {
            let mut history = History {
                now: at("2026-01-10T00:00:00Z"),
                facts: EntitlementFacts::default(),
                all: Vec::new(),
                segments: Segments::default(),
                reports: Vec::new(),
            };
            for step in steps {
                history.play(step);
                let feature = feature();
                let kept = spent(history.facts.grants_of(&feature), &history.segments, history.now);
                prop_assert_eq!(show(&kept), history.plainly());
                let again = Segments::of(history.reports.iter().copied(), history.facts.grants.iter());
                let anew = spent(history.facts.grants_of(&feature), &again, history.now);
                prop_assert_eq!(show(&kept), show(&anew));
            }
        }
    }
}
