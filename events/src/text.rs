//! Checked text: the caller's strings become types here, once.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use email_address::{EmailAddress, Options};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a text broke. `Display` is fit to be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(Cow<'static, str>);

impl TextError {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self(message.into())
    }
}

/// Reads a string through `FromStr`, borrowed where the input allows it.
pub(crate) fn deserialize_text<'de, D, T>(
    deserializer: D,
    expecting: &'static str,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text<T>(&'static str, std::marker::PhantomData<T>);
    impl<T> Visitor<'_> for Text<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = T;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(expecting, std::marker::PhantomData))
}

/// Defines a checked text: private content, one way in, serde as a plain string.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $expecting:literal, $schema:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Gives the text as it was spelled.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = TextError;
            fn from_str(text: &str) -> Result<Self, TextError> {
                let check: fn(&str) -> Result<(), TextError> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::text::deserialize_text(deserializer, $expecting)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}
pub(crate) use checked_text;

/// Checks length in characters and that no control character is inside.
pub(crate) fn plain(text: &str, max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::new("must not be empty"));
    }
    if text.chars().count() > max {
        return Err(TextError::new(format!("must have at most {max} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::new("must not contain control characters"));
    }
    Ok(())
}

/// All control characters, in a regular expression.
const CONTROLS: &str = r"\u0000-\u001f\u007f-\u009f";

/// Gives the schema of what [`plain`] takes.
pub(crate) fn plain_schema(max: usize) -> Schema {
    // The schema of a map knows its keys by their pattern alone.
    let pattern = format!("^[^{CONTROLS}]{{1,{max}}}$");
    json_schema!({"type": "string", "minLength": 1, "maxLength": max, "pattern": pattern})
}

/// Free text of at most `MAX` characters, possibly empty, without NUL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(Box<str>);

/// A person's or a company's name.
pub type Name = Text<255>;

impl<const MAX: usize> Text<MAX> {
    /// Gives the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> FromStr for Text<MAX> {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        if text.chars().count() > MAX {
            return Err(TextError::new(format!("must have at most {MAX} characters")));
        }
        if text.contains('\0') {
            return Err(TextError::new("must not contain U+0000"));
        }
        Ok(Self(text.into()))
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, formatter)
    }
}

impl<const MAX: usize> Serialize for Text<MAX> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, "a string")
    }
}

impl<const MAX: usize> JsonSchema for Text<MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text_{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": MAX, "pattern": "^[^\\u0000]*$"})
    }
}

checked_text! {
    /// E-mail address (RFC 5321 addr-spec, no display name, a dot in the domain), case kept.
    Email, "an e-mail address", json_schema!({"type": "string", "format": "idn-email", "maxLength": 254}), |text| {
        let options = Options::default().without_display_text().with_required_tld();
        if text.len() <= 254 && EmailAddress::parse_with_options(text, options).is_ok() {
            Ok(())
        } else {
            Err(TextError::new("is not an e-mail address"))
        }
    }
}

checked_text! {
    /// Telephone number in E.164: `+`, then 7 to 15 digits, the first not 0.
    Phone, "a telephone number", json_schema!({"type": "string", "pattern": "^\\+[1-9][0-9]{6,14}$"}), |text| {
        let digits = text.strip_prefix('+').unwrap_or("");
        let well_formed = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if well_formed {
            Ok(())
        } else {
            Err(TextError::new("is not a telephone number in E.164 form, like +14155550123"))
        }
    }
}

/// ISO 3166-1 alpha-2, officially assigned codes.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ \
BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ \
DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT \
GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY \
KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX \
MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS \
RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN \
TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

checked_text! {
    /// Country: ISO 3166-1 alpha-2, upper case.
    Country, "a country code", json_schema!({"type": "string", "enum": COUNTRIES.split(' ').collect::<Vec<_>>()}), |text| {
        if text.len() == 2 && COUNTRIES.split(' ').any(|code| code == text) {
            Ok(())
        } else {
            Err(TextError::new("is not a country code of ISO 3166-1 alpha-2, like DE"))
        }
    }
}

checked_text! {
    /// Merchant category code: four digits (ISO 18245).
    Mcc, "a merchant category code", json_schema!({"type": "string", "pattern": "^[0-9]{4}$"}), |text| {
        if text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(())
        } else {
            Err(TextError::new("is not a merchant category code of four digits"))
        }
    }
}

checked_text! {
    /// Key of a metadata entry: 1 to 255 characters without control characters.
    MetadataKey, "a metadata key", plain_schema(255),
    |text| plain(text, 255)
}

checked_text! {
    /// Name of a tier as the catalogue spells it: 1 to 64 characters.
    TierName, "a tier name", plain_schema(64),
    |text| plain(text, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_are_checked() {
        for good in ["jane@example.com", "a.b+c@mail.example.co.uk", "jane@exämple.com"] {
            assert!(good.parse::<Email>().is_ok(), "{good}");
        }
        for bad in
            ["", "jane", "jane@", "@example.com", "jane@example", "J <j@example.com>", "a b@c.de"]
        {
            assert!(bad.parse::<Email>().is_err(), "{bad}");
        }
    }

    #[test]
    fn phones_countries_and_merchant_codes_are_checked() {
        assert!("+14155550123".parse::<Phone>().is_ok());
        for bad in ["14155550123", "+0123456789", "+123", "+1 415 555 0123", "+1234567890123456"] {
            assert!(bad.parse::<Phone>().is_err(), "{bad}");
        }
        assert!("DE".parse::<Country>().is_ok());
        assert_eq!(COUNTRIES.split(' ').count(), 249);
        for bad in ["de", "XX", "DEU", "", "D ", "A AE"] {
            assert!(bad.parse::<Country>().is_err(), "{bad}");
        }
        assert!("5411".parse::<Mcc>().is_ok());
        assert!("541".parse::<Mcc>().is_err());
        assert!("54١1".parse::<Mcc>().is_err());
    }

    #[test]
    fn length_counts_characters() {
        assert!("é".repeat(255).parse::<Name>().is_ok());
        assert!("é".repeat(256).parse::<Name>().is_err());
        assert!("a\0b".parse::<Name>().is_err());
    }
}
