//! Decimals as whole trillionths, and the calendar on the text of times: no arithmetic of others.

/// Digits after the point.
const SCALE: usize = 12;

/// Reads a decimal as a whole number of 10^-12.
pub(crate) fn units(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(fraction.len() <= SCALE, "{text} has more digits than are kept");
    let all = format!("{whole}{fraction:0<SCALE$}");
    sign * all.parse::<i128>().expect("a decimal")
}

/// Prints a number of 10^-12 in its shortest form.
pub(crate) fn decimal(units: i128) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", units.unsigned_abs(), width = SCALE + 1);
    let (whole, fraction) = digits.split_at(digits.len() - SCALE);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// Gives a time (RFC 3339, `Z`) with six digits of a second, so that text order is time order.
pub(crate) fn comparable(time: &str) -> String {
    let (seconds, rest) = time.split_at(19);
    let fraction = rest.trim_start_matches('.').trim_end_matches('Z');
    format!("{seconds}.{fraction:0<6}Z")
}

/// Gives the calendar period (`day`, `month`, `year`) in which a time lies: start and end.
pub(crate) fn period(kind: &str, time: &str) -> (String, String) {
    let part = |range: std::ops::Range<usize>| time[range].parse::<u32>().expect("digits");
    let (year, month, day) = (part(0..4), part(5..7), part(8..10));
    let (from, to) = match kind {
        "year" => ((year, 1, 1), (year + 1, 1, 1)),
        "month" => ((year, month, 1), next_month(year, month)),
        "day" if day < days_of(year, month) => ((year, month, day), (year, month, day + 1)),
        "day" => ((year, month, day), next_month(year, month)),
        _ => return ("1970-01-01T00:00:00Z".to_owned(), "9999-12-31T23:59:59.999999Z".to_owned()),
    };
    let midnight = |(year, month, day)| format!("{year:04}-{month:02}-{day:02}T00:00:00Z");
    (midnight(from), midnight(to))
}

fn next_month(year: u32, month: u32) -> (u32, u32, u32) {
    if month == 12 { (year + 1, 1, 1) } else { (year, month + 1, 1) }
}

fn days_of(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
