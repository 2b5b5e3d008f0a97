//! Are two names those of one merchant? Payments spell merchants in their own ways: in capitals, with
//! points and asterisks, with a payment service before the name and a place behind it.

/// Words that say nothing about whose name it is, where another word is left.
const EMPTY_WORDS: [&str; 16] = [
    "www", "http", "https", "com", "net", "org", "io", "ai", "co", "inc", "llc", "ltd", "gmbh",
    "corp", "the", "plc",
];
/// Names of so many letters may differ in one.
const LONG: usize = 6;

/// Tells whether a name that a rule gives means the merchant that a payment names: some words in a row
/// of the other name are those of the rule, but for spaces, and, when the rule is long, but for one
/// letter. Capitals, signs and words such as `www`, `com` and `inc` do not count. A rule without a word
/// means no merchant.
pub(crate) fn alike(rule: &str, merchant: &str) -> bool {
    let (rule, merchant) = (words(rule).concat(), words(merchant));
    let long = rule.chars().count() >= LONG;
    let means = |part: &str| part == rule || (long && one_letter_apart(part, &rule));
    !rule.is_empty()
        && (0..merchant.len()).any(|first| {
            let runs = (first + 1..=merchant.len()).map(|end| merchant[first..end].concat());
            // One letter has four bytes at most; a run that is longer than that is none.
            runs.take_while(|part| part.len() <= rule.len() + 4).any(|part| means(&part))
        })
}

fn words(name: &str) -> Vec<String> {
    let all: Vec<String> = name
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let telling: Vec<String> =
        all.iter().filter(|word| !EMPTY_WORDS.contains(&&***word)).cloned().collect();
    if telling.is_empty() { all } else { telling }
}

/// Tells whether one letter more, less or other makes one text of the other.
fn one_letter_apart(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if long.len() - short.len() > 1 {
        return false;
    }
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let rest = if short.len() == long.len() { short.get(same + 1..) } else { short.get(same..) };
    same == long.len() || rest.unwrap_or_default() == &long[same + 1..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merchant_is_known_by_other_spellings() {
        for (rule, merchant) in [
            ("amazon.com", "AMAZON.COM"),
            ("amazon.com", "Amazon.com*MK1AB2CD3"),
            ("amazon.com", "AMAZON COM SEATTLE WA"),
            ("https://www.amazon.com/", "Amazon"),
            ("Blue Bottle Coffee", "SQ *BLUE BOTTLE COFFEE"),
            ("DoorDash", "DOOR DASH"),
            ("Walmart", "WAL-MART #1234"),
            ("Starbucks", "Starbuck"),
            ("Wallmart", "WALMART"),
            ("ebay", "PAYPAL *EBAY"),
            ("Müller GmbH", "MÜLLER"),
            ("the co", "THE CO"),
        ] {
            assert!(alike(rule, merchant), "{rule}: {merchant}");
        }
    }

    #[test]
    fn another_merchant_is_another() {
        for (rule, merchant) in [
            ("amazon.com", "amazonia.com"),
            ("Target", "Targeted Ads Inc"),
            ("target.com", "walmart.com"),
            ("Visa", "Vista"),
            ("Blue Bottle Coffee", "Blue Coffee"),
            ("Amazon Prime", "Amazon"),
            ("", "Amazon"),
            ("***", "Amazon"),
            ("Amazon", "***"),
            ("com", "amazon.com"),
        ] {
            assert!(!alike(rule, merchant), "{rule}: {merchant}");
        }
    }
}
