//! Does an answer look as it was recorded? Placeholders stand for what no recording can know.

use std::collections::BTreeMap;

use super::ordered::Ordered;

/// Values that were kept of answers before, by name.
pub(crate) type Kept = BTreeMap<String, String>;

/// Puts the kept values into a text. Placeholders that have no kept value stay.
pub(crate) fn fill(text: &str, kept: &Kept) -> String {
    kept.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}

/// Compares an answer with a recorded one; says where they differ first.
pub(crate) fn compare(recorded: &Ordered, answer: &Ordered, kept: &Kept) -> Result<(), String> {
    let differ = || Err(format!(": recorded {recorded}, answered {answer}"));
    match (recorded, answer) {
        (Ordered::Plain(recorded), Ordered::Plain(answer)) if recorded == answer => Ok(()),
        (Ordered::Text(recorded), Ordered::Plain(answer)) => match &**recorded {
            "{{millis}}" if is_millis(answer) => Ok(()),
            "{{any}}" => Ok(()),
            // A kept value alone stands for what it was: a number, too.
            _ if recorded.starts_with("{{") && fill(recorded, kept) == *answer => Ok(()),
            _ => differ(),
        },
        (Ordered::Text(recorded), _) if recorded == "{{any}}" => Ok(()),
        (Ordered::Text(recorded), Ordered::Text(answer)) => {
            if matches(&fill(recorded, kept), answer) { Ok(()) } else { differ() }
        }
        (Ordered::Array(recorded), Ordered::Array(answer)) if recorded.len() == answer.len() => {
            for (place, (recorded, answer)) in recorded.iter().zip(answer).enumerate() {
                compare(recorded, answer, kept).map_err(|what| format!("/{place}{what}"))?;
            }
            Ok(())
        }
        (Ordered::Object(recorded), Ordered::Object(answer)) => {
            let names = |members: &[(String, Ordered)]| -> Vec<String> {
                members.iter().map(|(name, _)| fill(name, kept)).collect()
            };
            if names(recorded) != names(answer) {
                return differ();
            }
            for ((name, recorded), (_, answer)) in recorded.iter().zip(answer) {
                compare(recorded, answer, kept).map_err(|what| format!("/{name}{what}"))?;
            }
            Ok(())
        }
        _ => differ(),
    }
}

/// Tells whether a text is as a pattern says: literally the same, but for `{{time}}`, `{{time_ms}}` and
/// `{{any}}`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((before, rest)) = pattern.split_once("{{") else { return pattern == text };
    let Some((placeholder, after)) = rest.split_once("}}") else { return pattern == text };
    let Some(text) = text.strip_prefix(before) else { return false };
    let is: fn(&str) -> bool = match placeholder {
        "time" => is_time,
        "time_ms" => |text| text.len() == 24 && text.as_bytes()[19] == b'.' && is_time(text),
        "any" => |_| true,
        _ => return false,
    };
    let ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
    ends.into_iter().any(|end| is(&text[..end]) && matches(after, &text[end..]))
}

/// Tells whether a text is a moment of RFC 3339 in UTC, like `2026-03-15T12:00:00Z`, fractions allowed.
fn is_time(text: &str) -> bool {
    text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

/// Tells whether a text is a number of milliseconds of our time.
fn is_millis(text: &str) -> bool {
    text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[test]
fn only_what_was_recorded_matches() {
    for (pattern, text, expected) in [
        ("a", "a", true),
        ("a", "b", false),
        ("{{time}}", "2026-03-15T12:00:00Z", true),
        ("{{time}}", "2026-03-15T12:00:00.5Z", true),
        ("{{time}}", "2026-03-15T12:00:00+01:00", false),
        ("{{time}}", "2026-13-15T12:00:00Z", false),
        ("{{time_ms}}", "2026-03-15T12:00:00.123Z", true),
        ("{{time_ms}}", "2026-03-15T12:00:00.12Z", false),
        ("{{time_ms}}", "2026-03-15T12:00:00Z", false),
        ("a {{any}} c", "a b c", true),
        ("a {{any}} c", "a b d", false),
        ("{{unknown}}", "{{unknown}}", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn members_count_in_their_order_and_numbers_by_their_text() {
    let kept = Kept::from([("id".to_owned(), "x1".to_owned())]);
    let differs = |recorded: &str, answer: &str| {
        let [recorded, answer] =
            [recorded, answer].map(|text| Ordered::read(text).expect("valid JSON"));
        compare(&recorded, &answer, &kept).err()
    };
    assert_eq!(differs(r#"{"a":1,"b":["{{id}}"]}"#, r#"{"a":1, "b":["x1"]}"#), None);
    assert_eq!(differs(r#"{"at":"{{millis}}"}"#, r#"{"at":1771409161016}"#), None);
    for (recorded, answer, expected) in [
        (
            r#"{"a":1,"b":2}"#,
            r#"{"b":2,"a":1}"#,
            r#": recorded {"a":1,"b":2}, answered {"b":2,"a":1}"#,
        ),
        (r#"{"a":10}"#, r#"{"a":10.0}"#, "/a: recorded 10, answered 10.0"),
        (r#"{"a":[1]}"#, r#"{"a":[1,2]}"#, "/a: recorded [1], answered [1,2]"),
        (r#"{"a":null}"#, r#"{"a":"null"}"#, r#"/a: recorded null, answered "null""#),
        (r#"["{{id}}"]"#, r#"["x2"]"#, r#"/0: recorded "{{id}}", answered "x2""#),
        (r#"["{{millis}}"]"#, "[17]", r#"/0: recorded "{{millis}}", answered 17"#),
    ] {
        assert_eq!(differs(recorded, answer).as_deref(), Some(expected));
    }
}
