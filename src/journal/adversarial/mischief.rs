//! How often an adversarial journal does what it may.

/// How often it does what: of a million records each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mischief {
    /// Never written; answered as unknown.
    pub lost: u32,
    /// Written up to `max_delay` calls later.
    pub delayed: u32,
    /// Written once more, up to `max_delay` calls later.
    pub repeated: u32,
    /// Written after the record that was handed over next.
    pub swapped: u32,
    /// Answered as unknown although written.
    pub unknown: u32,
    /// Of the delayed records: answered where and when they land. The others are unknown at once.
    pub late_answers: u32,
    /// The longest delay, in calls; at least 1 for the delays above to have any effect.
    pub max_delay: u16,
}

impl Mischief {
    /// Does nothing of the kind.
    pub const NONE: Self = Self {
        lost: 0,
        delayed: 0,
        repeated: 0,
        swapped: 0,
        unknown: 0,
        late_answers: 0,
        max_delay: 0,
    };
    /// Does all of it, now and then: most records come through.
    pub const SOME: Self = Self {
        lost: 5_000,
        delayed: 10_000,
        repeated: 20_000,
        swapped: 5_000,
        unknown: 5_000,
        late_answers: 500_000,
        max_delay: 8,
    };
    /// Does all of it, all the time.
    pub const MUCH: Self = Self {
        lost: 100_000,
        delayed: 300_000,
        repeated: 200_000,
        swapped: 100_000,
        unknown: 100_000,
        late_answers: 500_000,
        max_delay: 20,
    };
}
