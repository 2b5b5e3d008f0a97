//! Members of JSON objects that are there twice. Parsers differ in which one they take, so that two
//! readers of one command could disagree on what was asked: such a text is refused.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::json::escape_pointer;

/// Up to so many members are compared each with each; more are sorted.
const FEW: usize = 12;

/// Room for the names of a usual command.
const USUAL_NAMES: usize = 24;
/// Room for the levels of a usual command.
const USUAL_LEVELS: usize = 8;

/// A member's name, and what tells most names apart at a glance.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a> {
    glance: u64,
    text: Cow<'a, str>,
}

impl<'a> Name<'a> {
    /// Reads a string in quotes. Two spellings of one name are one name.
    fn of(quoted: &'a str) -> Self {
        let text = unescaped(quoted);
        Self { glance: glance(text.as_bytes()), text }
    }
}

/// Gives the length and the ends of a name as one number: the first bytes, and the last ones.
fn glance(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    if let (Some(first), Some(last)) = (name.first_chunk::<4>(), name.last_chunk::<3>()) {
        bytes[..4].copy_from_slice(first);
        bytes[4..7].copy_from_slice(last);
    } else {
        bytes[..name.len()].copy_from_slice(name);
    }
    // Cut short it still says the same of equal names.
    bytes[7] = name.len().to_le_bytes()[0];
    u64::from_le_bytes(bytes)
}

/// An object or array around the place of the scan.
enum Level {
    /// An object; its names begin there in the list of all names.
    Object { first_name: usize },
    /// An array; so many items lie before the place.
    Array { index: usize },
}

/// Gives the JSON pointer of a member whose name its object has already had. The text is JSON.
pub(super) fn first_repeated(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    // Names of all open objects, one object after the other.
    let mut names: Vec<Name<'_>> = Vec::with_capacity(USUAL_NAMES);
    let mut levels: Vec<Level> = Vec::with_capacity(USUAL_LEVELS);
    let mut name_is_next = false;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                if std::mem::take(&mut name_is_next) {
                    names.push(Name::of(&text[at..=end]));
                }
                at = end;
            }
            b'{' => {
                levels.push(Level::Object { first_name: names.len() });
                name_is_next = true;
            }
            b'[' => levels.push(Level::Array { index: 0 }),
            b'}' => {
                name_is_next = false;
                if let Some(Level::Object { first_name }) = levels.pop() {
                    if let Some(name) = repeated(&mut names[first_name..]) {
                        return Some(pointer(&levels, &names[..first_name], &name));
                    }
                    names.truncate(first_name);
                }
            }
            b']' => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Array { index }) => *index += 1,
                Some(Level::Object { .. }) => name_is_next = true,
                None => {}
            },
            _ => {}
        }
        at += 1;
    }
    None
}

/// Gives the place of the quote that ends the string which begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(byte) = bytes.get(end) {
        match byte {
            b'"' => return end,
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
    bytes.len() - 1
}

/// Gives the text of a string in quotes.
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let plain = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match plain {
        Some(plain) if !plain.as_bytes().contains(&b'\\') => plain.into(),
        Some(_) | None => serde_json::from_str::<String>(quoted).unwrap_or_default().into(),
    }
}

/// Gives a name that is there twice. May sort the names.
fn repeated<'a>(names: &mut [Name<'a>]) -> Option<Cow<'a, str>> {
    if names.len() <= FEW {
        let again = |(at, name)| names.get(..at).is_some_and(|before| before.contains(name));
        let found = names.iter().enumerate().find(|pair| again(*pair));
        return found.map(|(_, name)| name.text.clone());
    }
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0].text.clone())
}

/// Gives the pointer of a member of the object inside `levels`; `names` are those of the levels.
fn pointer(levels: &[Level], names: &[Name<'_>], member: &str) -> String {
    let mut pointer = String::new();
    for (at, level) in levels.iter().enumerate() {
        match level {
            Level::Array { index } => {
                write!(pointer, "/{index}").expect("writing to a string");
            }
            Level::Object { .. } => {
                // The last name before those of the next object inside is the member that it is in.
                let next = levels[at + 1..].iter().find_map(|inner| match inner {
                    Level::Object { first_name } => Some(*first_name),
                    Level::Array { .. } => None,
                });
                let before = &names[..next.unwrap_or(names.len())];
                let name = before.last().expect("a value in an object has a name");
                pointer.push('/');
                pointer.push_str(&escape_pointer(&name.text));
            }
        }
    }
    pointer.push('/');
    pointer.push_str(&escape_pointer(member));
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_again_is_found_with_its_place() {
        for (text, place) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"a":{"b":[0,{"x/y":1,"z":{},"x/y":2}]}}"#, "/a/b/1/x~1y"),
            (r#"[[],[{"k":[{"m":1,"m":1}]}]]"#, "/1/0/k/0/m"),
            (r#"{"ab":1,"a\u0062":2}"#, "/ab"),
            (r#"{"":1,"":2}"#, "/"),
            (r#"{"a":{"b":{}},"c":{"d":1},"c":{}}"#, "/c"),
        ] {
            assert_eq!(first_repeated(text).as_deref(), Some(place), "{text}");
        }
        let many: Vec<String> = (0..1_000).map(|at| format!(r#""k{at}":0"#)).collect();
        let wide = format!(r#"{{"o":{{{},"k7":1}}}}"#, many.join(","));
        assert_eq!(first_repeated(&wide).as_deref(), Some("/o/k7"));
        assert_eq!(first_repeated(&format!("{{{}}}", many.join(","))), None);
    }

    #[test]
    fn one_name_in_different_objects_is_no_repeat() {
        for text in [
            r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":"a"}]}"#,
            r#"{"a":"b","b":"a","c":"\"a\":\\"}"#,
            r#"["a","a"]"#,
            "7",
            "\"x\"",
        ] {
            assert_eq!(first_repeated(text), None, "{text}");
        }
    }
}
