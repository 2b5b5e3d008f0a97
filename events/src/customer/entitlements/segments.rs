//! How much of a feature was used, and when: as exactly as its grants need it. Usage is summed up
//! in segments within which no window of any grant begins or ends.

use std::collections::BTreeMap;

use super::held::HeldGrant;
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

/// Gives where the segment begins in which a moment lies: the last moment before it, or that moment,
/// at which a grant or a window of one begins or ends.
pub fn segment_start<'a>(grants: impl Iterator<Item = &'a HeldGrant>, at: Timestamp) -> Timestamp {
    let last = |held: &HeldGrant| {
        if at < held.from {
            Timestamp::MIN
        } else if at < held.end() {
            held.counts_from(at)
        } else {
            held.end()
        }
    };
    grants.map(last).max().unwrap_or(Timestamp::MIN)
}

impl Segments {
    /// Sums up what was used at moments, in trillionths, in whatever order.
    pub fn of<'a>(
        moments: impl Iterator<Item = (Timestamp, i128)>,
        grants: impl Iterator<Item = &'a HeldGrant> + Clone,
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

    /// Tells whether each segment still lies between two moments at which a grant or a window begins
    /// or ends. When it does not, the grants changed: usage must be summed up anew.
    pub fn fit<'a>(&self, grants: impl Iterator<Item = &'a HeldGrant> + Clone) -> bool {
        self.0.iter().all(|segment| segment_start(grants.clone(), segment.last) <= segment.start)
    }

    /// Counts what was used at a moment, in trillionths; gives the segment as it is then.
    pub fn add<'a>(
        &mut self,
        at: Timestamp,
        used: i128,
        grants: impl Iterator<Item = &'a HeldGrant>,
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
