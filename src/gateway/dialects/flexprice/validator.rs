//! Rules of single fields that were broken, in the words of the vendor's validator (go-playground's).

use super::refused::{Code, Refused};

/// The rules that a body breaks.
#[derive(Debug)]
pub(super) struct Failures {
    /// The type of the body.
    of: &'static str,
    /// Field and rule, in the order of the fields.
    found: Vec<(String, &'static str)>,
}

impl Failures {
    /// Begins with none.
    pub(super) const fn of(of: &'static str) -> Self {
        Self { of, found: Vec::new() }
    }

    /// Notes that a field breaks a rule.
    pub(super) fn add(&mut self, field: impl Into<String>, rule: &'static str) {
        self.found.push((field.into(), rule));
    }

    /// Gives the refusal, if a rule is broken.
    pub(super) fn done(self) -> Result<(), Refused> {
        if self.found.is_empty() {
            return Ok(());
        }
        let told = |(field, rule): &(String, &'static str)| {
            let of = self.of;
            format!(
                "Key: '{of}.{field}' Error:Field validation for '{field}' failed on the '{rule}' tag"
            )
        };
        let all: Vec<String> = self.found.iter().map(told).collect();
        let refused =
            Refused::new(Code::ValidationError, "Request validation failed", all.join("\n"));
        let fields = self.found.iter().map(|(field, _)| field);
        Err(fields.zip(&all).fold(refused, |refused, (field, told)| refused.detail(field, told)))
    }
}
