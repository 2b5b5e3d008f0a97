//! A deserializer that takes nothing but an object for a struct. Serde's derived code would also take
//! an array, `["Jane"]` for `{"name":"Jane"}`: a wrong type that nobody means.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// Wraps a deserializer; all that is inside is wrapped too.
pub(super) struct Strict<D>(pub(super) D);

/// Hands the wrapped deserializer a visitor that wraps what it is given.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method($($argument,)* Inside { visitor, object: false })
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    forward! {
        deserialize_any() deserialize_bool() deserialize_char()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64()
        deserialize_str() deserialize_string() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map()
        deserialize_identifier() deserialize_ignored_any()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, Inside { visitor, object: true })
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// A visitor, or a seed, that wraps what it is given.
struct Inside<V> {
    visitor: V,
    /// Whether only an object will do.
    object: bool,
}

/// Hands the wrapped visitor a plain value.
macro_rules! plain {
    ($($method:ident: $type:ty),* $(,)?) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Inside<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.object {
            formatter.write_str("an object")
        } else {
            self.visitor.expecting(formatter)
        }
    }

    plain! {
        visit_bool: bool, visit_char: char,
        visit_i8: i8, visit_i16: i16, visit_i32: i32, visit_i64: i64, visit_i128: i128,
        visit_u8: u8, visit_u16: u16, visit_u32: u32, visit_u64: u64, visit_u128: u128,
        visit_f32: f32, visit_f64: f64,
        visit_str: &str, visit_borrowed_str: &'de str, visit_string: String,
        visit_bytes: &[u8], visit_borrowed_bytes: &'de [u8], visit_byte_buf: Vec<u8>,
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Strict(deserializer))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Strict(deserializer))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        if self.object {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        self.visitor.visit_seq(Access(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Access(members))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(Access(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Inside<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.visitor.deserialize(Strict(deserializer))
    }
}

fn inside<V>(visitor: V) -> Inside<V> {
    Inside { visitor, object: false }
}

/// The members, items or variant of a value, wrapped.
struct Access<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Access<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.0.next_element_seed(inside(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Access<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.0.next_key_seed(inside(seed))
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(inside(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Access<A> {
    type Error = A::Error;
    type Variant = Access<A::Variant>;

    fn variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<(T::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(inside(seed))?;
        Ok((value, Access(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Access<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.newtype_variant_seed(inside(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(length, inside(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Inside { visitor, object: true })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        #[serde(default)]
        number: i64,
    }

    #[derive(Debug, Deserialize)]
    struct Outer<'a> {
        list: Vec<Inner>,
        map: BTreeMap<String, Option<Inner>>,
        choice: Choice,
        pair: (bool, char),
        #[serde(borrow)]
        raw: &'a RawValue,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        Plain,
        Holding(Inner),
        Named { inner: Inner },
    }

    fn strictly<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
        T::deserialize(Strict(&mut serde_json::Deserializer::from_str(text)))
    }

    const GOOD: &str = r#"{"list":[{"number":1},{}],"map":{"a":{"number":2},"b":null},
        "choice":{"Holding":{"number":3}},"pair":[true,"x"],"raw":[ 1e999 ]}"#;

    #[test]
    fn values_are_read_as_they_are_without_it() {
        let read: Outer<'_> = strictly(GOOD).unwrap();
        assert_eq!(read.list, [Inner { number: 1 }, Inner { number: 0 }]);
        let map = [("a".to_owned(), Some(Inner { number: 2 })), ("b".to_owned(), None)];
        assert_eq!(read.map, BTreeMap::from(map));
        assert_eq!(read.choice, Choice::Holding(Inner { number: 3 }));
        assert_eq!((read.pair, read.raw.get()), ((true, 'x'), "[ 1e999 ]"));
        assert_eq!(strictly::<Choice>(r#""Plain""#).unwrap(), Choice::Plain);
        let named = strictly::<Choice>(r#"{"Named":{"inner":{}}}"#).unwrap();
        assert_eq!(named, Choice::Named { inner: Inner { number: 0 } });
    }

    #[test]
    fn an_array_is_no_struct_anywhere() {
        for (from, to) in [
            (r#"{"number":1}"#, "[1]"),
            ("{}", "[]"),
            (r#"{"number":2}"#, "[2]"),
            (r#"{"number":3}"#, "[3]"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert!(serde_json::from_str::<Outer<'_>>(&text).is_ok(), "{text}");
            let error = strictly::<Outer<'_>>(&text).unwrap_err().to_string();
            assert!(error.starts_with("invalid type: sequence, expected an object"), "{error}");
        }
        assert!(strictly::<Choice>(r#"{"Named":[{}]}"#).is_err());
        assert!(strictly::<Outer<'_>>("[[],{},\"Plain\",[true,\"x\"],0]").is_err());
    }
}
