//! Cursors: where a page ended. Opaque to whoever gets one; the same in every store.

use std::fmt;

use tallybook_events::ids::CustomerId;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;

use crate::period_usage::RowKind;
use crate::queries::{PeriodKind, ReadError};

/// The last item of a page, as far as the order of the list needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cursor {
    /// A customer: its birth and its id.
    Customer(Timestamp, CustomerId),
    /// An event: its version.
    Version(u64),
    /// A row of the ledger: its span and its kind.
    Period(Window, PeriodKind),
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(born, id) => {
                write!(formatter, "c{:x}.{}", born.micros(), id.0.as_simple())
            }
            Self::Version(version) => write!(formatter, "v{version:x}"),
            Self::Period(window, kind) => {
                let (start, end) = (window.start.micros(), window.end.micros());
                let kind = RowKind::Period(*kind).as_str();
                write!(formatter, "p{start:x}.{end:x}.{kind}")
            }
        }
    }
}

impl Cursor {
    pub(super) fn customer(text: &str) -> Result<(Timestamp, CustomerId), ReadError> {
        let read = || {
            let (born, id) = text.strip_prefix('c')?.split_once('.')?;
            let id = uuid::Uuid::try_parse(id).ok().filter(|_| id.len() == 32)?;
            Some((moment(born)?, CustomerId(id)))
        };
        read().ok_or(ReadError::BadCursor)
    }

    pub(super) fn version(text: &str) -> Result<u64, ReadError> {
        let digits = text.strip_prefix('v').ok_or(ReadError::BadCursor)?;
        u64::try_from(number(digits).ok_or(ReadError::BadCursor)?).map_err(|_| ReadError::BadCursor)
    }

    pub(super) fn period(text: &str) -> Result<(Window, PeriodKind), ReadError> {
        let read = || {
            let (start, rest) = text.strip_prefix('p')?.split_once('.')?;
            let (end, name) = rest.split_once('.')?;
            let kind = PeriodKind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
            Some((Window { start: moment(start)?, end: moment(end)? }, kind))
        };
        read().ok_or(ReadError::BadCursor)
    }
}

fn moment(digits: &str) -> Option<Timestamp> {
    let micros = number(digits)?;
    let moment = Timestamp::from_micros(micros);
    (moment.micros() == micros).then_some(moment)
}

/// Reads a number that is not negative, in hexadecimal.
fn number(digits: &str) -> Option<i64> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back() {
        let at = |micros| Timestamp::from_micros(micros);
        let id = CustomerId(uuid::Uuid::from_u128(7));
        let text = Cursor::Customer(at(1), id).to_string();
        assert_eq!(Cursor::customer(&text).unwrap(), (at(1), id));
        let text = Cursor::Version(42).to_string();
        assert_eq!(Cursor::version(&text).unwrap(), 42);
        let text = Cursor::Period(Window::LIFETIME, PeriodKind::Lifetime).to_string();
        let read = Cursor::period(&text).unwrap();
        assert_eq!(read, (Window::LIFETIME, PeriodKind::Lifetime));
    }

    #[test]
    fn what_was_not_given_out_is_refused() {
        for text in [
            "",
            "v",
            "v-1",
            "vg",
            "v10000000000000000",
            "c1",
            "c1.7",
            "c-1.00000000000000000000000000000007",
            "cffffffffffffffff.00000000000000000000000000000007",
            "p1.2",
            "p1.2.hour",
            "p1.2.budget.3",
        ] {
            assert!(matches!(Cursor::version(text), Err(ReadError::BadCursor)), "{text}");
            assert!(matches!(Cursor::customer(text), Err(ReadError::BadCursor)), "{text}");
            assert!(matches!(Cursor::period(text), Err(ReadError::BadCursor)), "{text}");
        }
    }
}
