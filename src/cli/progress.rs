//! Progress on stderr, when stderr is a terminal; otherwise nothing.

use std::borrow::Cow;
use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Begins a bar towards `total` (a spinner, when that is not known), counted in `unit`.
pub(super) fn bar(total: Option<u64>, unit: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let (pos, len, rate) = if unit == "bytes" {
        ("{bytes}", "{total_bytes}", "{bytes_per_sec}")
    } else {
        ("{human_pos}", "{human_len}", "{per_sec}")
    };
    let template: Cow<'_, str> = match total {
        Some(_) => format!("{{bar:40}} {pos}/{len} {rate}, {{eta}} left  {{msg}}").into(),
        None => format!("{{spinner}} {pos} {unit} {rate}  {{msg}}").into(),
    };
    let style = ProgressStyle::with_template(&template);
    bar.with_style(style.expect("the templates above are well formed"))
}
