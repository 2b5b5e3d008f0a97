//! How much of a feature was used, and when: as exactly as its grants and usage limits need it. Usage is
//! summed up in segments within which no window of any of them begins or ends.

use std::collections::BTreeMap;

use super::held::HeldGrant;
use crate::period::Window;
use crate::time::Timestamp;

/// Usage of one feature, in segments by their starts. A report counts in the last segment that
/// starts at its moment or before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Segments(Vec<Segment>);

/// What was used from a moment on until the next segment starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First moment: the beginning of time, or the beginning or end of a window or grant.
    pub start: Timestamp,
    /// The last moment at which something was used that counts or counted here.
    pub last: Timestamp,
    /// What was used, in trillionths.
    pub used: i128,
}

/// Moments at which something begins or ends that usage is counted for.
pub trait Beginnings {
    /// Gives the last of them before a moment, or that moment.
    fn last_at(&self, at: Timestamp) -> Timestamp;
}

impl Beginnings for HeldGrant {
    fn last_at(&self, at: Timestamp) -> Timestamp {
        if at < self.from {
            Timestamp::MIN
        } else if at < self.end() {
            self.counts_from(at)
        } else {
            self.end()
        }
    }
}

impl<T: Beginnings> Beginnings for &T {
    fn last_at(&self, at: Timestamp) -> Timestamp {
        (*self).last_at(at)
    }
}

/// Gives where the segment begins in which a moment lies: the last moment before it, or that moment,
/// at which a grant or a window begins or ends.
pub fn segment_start(grants: impl Iterator<Item = impl Beginnings>, at: Timestamp) -> Timestamp {
    grants.map(|grant| grant.last_at(at)).max().unwrap_or(Timestamp::MIN)
}

impl Segments {
    /// Sums up what was used at moments, in trillionths, in whatever order.
    pub fn of(
        moments: impl Iterator<Item = (Timestamp, i128)>,
        grants: impl Iterator<Item = impl Beginnings> + Clone,
    ) -> Self {
        let mut segments: BTreeMap<Timestamp, Segment> = BTreeMap::new();
        for (at, used) in moments {
            let start = segment_start(grants.clone(), at);
            let segment =
                segments.entry(start).or_insert(Segment { start, last: Timestamp::MIN, used: 0 });
            segment.used += used;
            segment.last = segment.last.max(at);
        }
        segments.into_values().filter(|segment| segment.used != 0).collect()
    }

    /// Gives the segments in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.0.iter()
    }

    /// Gives what was used in a window that no segment reaches over, in trillionths.
    pub fn used_in(&self, window: Window) -> i128 {
        let within = self.0.iter().filter(|segment| window.contains(segment.last));
        within.map(|segment| segment.used).sum()
    }

    /// Tells whether each segment still lies between two moments at which a grant or a window begins
    /// or ends. When it does not, the grants changed: usage must be summed up anew.
    pub fn fit(&self, grants: impl Iterator<Item = impl Beginnings> + Clone) -> bool {
        self.0.iter().all(|segment| segment_start(grants.clone(), segment.last) <= segment.start)
    }

    /// Counts what was used at a moment, in trillionths; gives the segment as it is then.
    pub fn add(
        &mut self,
        at: Timestamp,
        used: i128,
        grants: impl Iterator<Item = impl Beginnings>,
    ) -> Option<Segment> {
        if used == 0 {
            return None;
        }
        let start = segment_start(grants, at);
        let next = self.0.partition_point(|segment| segment.start <= at);
        if let Some(segment) = next.checked_sub(1).and_then(|last| self.0.get_mut(last))
            && segment.start >= start
        {
            segment.used += used;
            segment.last = segment.last.max(at);
            return Some(*segment);
        }
        let segment = Segment { start, last: at, used };
        self.0.insert(next, segment);
        Some(segment)
    }

    /// Counts no more what was used at a moment; gives the segment as it is then, with nothing used
    /// when it is gone.
    pub fn take(&mut self, at: Timestamp, used: i128) -> Option<Segment> {
        let last = self.0.partition_point(|segment| segment.start <= at).checked_sub(1)?;
        let segment = self.0.get_mut(last)?;
        segment.used = (segment.used - used).max(0);
        let now = *segment;
        if now.used == 0 {
            self.0.remove(last);
        }
        Some(now)
    }
}

impl FromIterator<Segment> for Segments {
    /// Takes segments in the order of their starts.
    fn from_iter<T: IntoIterator<Item = Segment>>(segments: T) -> Self {
        Self(segments.into_iter().collect())
    }
}
