//! How much was used in a window? Usage is kept in segments of an hour at most, so that the usage
//! of any window can be told, also of one that was set later; that of the last window is kept as a
//! sum.

use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use super::packed::{Packed, Unpackable, Unpacking, pack_list};

/// Least number of segments that room is made for.
const LEAST_ROOM: usize = 4;

/// What was used: cost and charge in trillionths of a dollar, number of reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Cost.
    pub(super) raw: i128,
    /// Charge.
    pub(super) charged: i128,
    /// Number of reports.
    pub(super) count: u64,
}

impl Tally {
    /// Adds another tally.
    pub(super) fn add(&mut self, other: Self) {
        self.raw += other.raw;
        self.charged += other.charged;
        self.count += other.count;
    }

    /// Takes another tally away that had been added.
    pub(super) fn take(&mut self, other: Self) {
        self.raw -= other.raw;
        self.charged -= other.charged;
        self.count -= other.count;
    }
}

/// What was used from a moment on, within its hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    start: Timestamp,
    count: u64,
    raw: i128,
    charged: i128,
}

impl Segment {
    fn tally(&self) -> Tally {
        Tally { raw: self.raw, charged: self.charged, count: self.count }
    }

    fn set(&mut self, tally: Tally) {
        let Tally { raw, charged, count } = tally;
        (self.raw, self.charged, self.count) = (raw, charged, count);
    }
}

/// Gives the start of the segment in which a moment counts: its hour, or where a window begins
/// within it.
pub(super) fn segment_start(at: Timestamp, window: Window) -> Timestamp {
    Timestamp::from_hour(at.hour()).max(window.start)
}

/// Usage by segments, and the sum of one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hours {
    /// By their starts. None is empty.
    segments: Vec<Segment>,
    window: Window,
    sum: Tally,
}

impl Default for Hours {
    fn default() -> Self {
        let nowhere = Window { start: Timestamp::MIN, end: Timestamp::MIN };
        Self { segments: Vec::new(), window: nowhere, sum: Tally::default() }
    }
}

impl Hours {
    /// Gives the window whose sum is at hand.
    pub(super) fn window(&self) -> Window {
        self.window
    }

    /// Gives what was used in a window.
    pub(super) fn used(&self, window: Window) -> Tally {
        if window == self.window { self.sum } else { self.summed(window) }
    }

    /// Gives the segments: start and tally.
    pub(super) fn segments(&self) -> impl ExactSizeIterator<Item = (Timestamp, Tally)> {
        self.segments.iter().map(|segment| (segment.start, segment.tally()))
    }

    /// Keeps the sum of a window at hand from now on.
    pub(super) fn keep(&mut self, window: Window) {
        if window != self.window {
            self.sum = self.summed(window);
            self.window = window;
        }
    }

    /// Adds to the segment that starts at a moment.
    pub(super) fn add(&mut self, start: Timestamp, tally: Tally) {
        match self.place(start) {
            Ok(at) => {
                let mut sum = self.segments[at].tally();
                sum.add(tally);
                self.segments[at].set(sum);
            }
            Err(at) => {
                let Tally { raw, charged, count } = tally;
                self.make_room();
                self.segments.insert(at, Segment { start, count, raw, charged });
            }
        }
        if self.window.contains(start) {
            self.sum.add(tally);
        }
    }

    /// Takes from the segment that starts at a moment what had been added to it.
    pub(super) fn take(&mut self, start: Timestamp, tally: Tally) {
        let Ok(at) = self.place(start) else { return };
        let mut rest = self.segments[at].tally();
        rest.take(tally);
        if rest == Tally::default() {
            self.segments.remove(at);
        } else {
            self.segments[at].set(rest);
        }
        if self.window.contains(start) {
            self.sum.take(tally);
        }
    }

    fn summed(&self, window: Window) -> Tally {
        let from = self.segments.partition_point(|segment| segment.start < window.start);
        let within = self.segments[from..].iter().take_while(|segment| segment.start < window.end);
        within.fold(Tally::default(), |mut sum, segment| {
            sum.add(segment.tally());
            sum
        })
    }

    /// Finds a segment, looking at the last one first.
    fn place(&self, start: Timestamp) -> Result<usize, usize> {
        match self.segments.last() {
            Some(last) if last.start == start => Ok(self.segments.len() - 1),
            Some(last) if last.start > start => {
                self.segments.binary_search_by_key(&start, |segment| segment.start)
            }
            Some(_) | None => Err(self.segments.len()),
        }
    }

    /// Grows by an eighth, not to double: there is one of these for each customer.
    fn make_room(&mut self) {
        let length = self.segments.len();
        if length == self.segments.capacity() {
            self.segments.reserve_exact((length / 8).max(LEAST_ROOM));
        }
    }
}

impl Packed for Tally {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { raw, charged, count } = self;
        raw.pack(out);
        charged.pack(out);
        count.pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Ok(Self { raw: from.take()?, charged: from.take()?, count: from.take()? })
    }
}

impl Packed for Hours {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { segments, window, sum } = self;
        pack_list(segments.iter(), out, |segment, out| {
            segment.start.pack(out);
            segment.tally().pack(out);
        });
        window.pack(out);
        sum.pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let segments = from.list(|from| {
            let (start, Tally { raw, charged, count }) = (from.take()?, from.take()?);
            Ok(Segment { start, count, raw, charged })
        })?;
        Ok(Self { segments, window: from.take()?, sum: from.take()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn used(raw: i128) -> Tally {
        Tally { raw, charged: 2 * raw, count: 1 }
    }

    fn window(start: &str, end: &str) -> Window {
        Window { start: at(start), end: at(end) }
    }

    const MORNING: (&str, &str) = ("2026-01-10T00:00:00Z", "2026-01-10T12:00:00Z");

    #[test]
    fn any_window_can_be_told_in_whatever_order_usage_came() {
        let mut hours = Hours::default();
        for (hour, raw) in [("11", 3), ("09", 1), ("13", 4), ("10", 2), ("11", 5)] {
            hours.add(at(&format!("2026-01-10T{hour}:00:00Z")), used(raw));
        }
        let morning = window(MORNING.0, MORNING.1);
        assert_eq!(hours.used(morning), Tally { raw: 11, charged: 22, count: 4 });
        hours.keep(morning);
        hours.add(at("2026-01-10T02:00:00Z"), used(6));
        hours.add(at("2026-01-10T12:00:00Z"), used(7));
        assert_eq!(hours.used(morning), Tally { raw: 17, charged: 34, count: 5 });
        assert_eq!(hours.used(morning), hours.summed(morning));
        let day = window("2026-01-10T00:00:00Z", "2026-01-11T00:00:00Z");
        assert_eq!(hours.used(day), Tally { raw: 28, charged: 56, count: 7 });
    }

    #[test]
    fn what_is_taken_away_leaves_no_empty_segment() {
        let mut hours = Hours::default();
        hours.keep(window(MORNING.0, MORNING.1));
        let before = hours.clone();
        hours.add(at("2026-01-10T09:00:00Z"), used(1));
        hours.take(at("2026-01-10T09:00:00Z"), used(1));
        assert_eq!(hours, before);
    }

    #[test]
    fn a_window_that_begins_within_an_hour_has_its_own_segment() {
        let late = window("2026-01-10T09:30:00Z", "2026-01-10T12:00:00Z");
        let moment = at("2026-01-10T09:45:10Z");
        assert_eq!(segment_start(moment, late), at("2026-01-10T09:30:00Z"));
        assert_eq!(segment_start(at("2026-01-10T10:45:10Z"), late), at("2026-01-10T10:00:00Z"));
        let morning = window(MORNING.0, MORNING.1);
        assert_eq!(segment_start(moment, morning), at("2026-01-10T09:00:00Z"));
    }

    #[test]
    fn a_segment_takes_little_room() {
        assert_eq!(size_of::<Segment>(), 48);
    }
}
