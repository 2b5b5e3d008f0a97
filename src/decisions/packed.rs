//! States as bytes, for snapshots: compact, and only for the build that wrote them. What is rare or
//! large in variety is kept as JSON, numbers and what there are many of in a few bytes.
//!
//! A field that is left out here is lost over a restart: so each type is taken apart by name, and a new
//! field does not compile before it is packed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tallybook_events::command::{Claim, Command};
use tallybook_events::ids::{CommandId, CustomerId};
use tallybook_events::money::Amount;
use tallybook_events::period::Window;
use tallybook_events::time::Timestamp;
use uuid::Uuid;

use super::{Grant, Held, Record, Slot};

/// Bytes that are no state of this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpackable;

impl fmt::Display for Unpackable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no state of this build")
    }
}

impl std::error::Error for Unpackable {}

/// Bytes that are read from front to back.
#[derive(Debug, Clone, Copy)]
pub struct Unpacking<'a>(&'a [u8]);

impl<'a> Unpacking<'a> {
    /// Begins at the front.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Tells whether all was read.
    pub const fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads so many bytes.
    ///
    /// # Errors
    /// [`Unpackable`] when there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Unpackable> {
        let (read, rest) = self.0.split_at_checked(count).ok_or(Unpackable)?;
        self.0 = rest;
        Ok(read)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`Unpackable`] when the bytes are none.
    pub fn take<T: Packed>(&mut self) -> Result<T, Unpackable> {
        T::unpack(self)
    }

    /// Reads a number of things that take a byte each at least.
    ///
    /// # Errors
    /// [`Unpackable`] when there cannot be so many.
    pub fn count(&mut self) -> Result<usize, Unpackable> {
        let count = usize::try_from(self.take::<u64>()?).map_err(|_| Unpackable)?;
        if count <= self.0.len() { Ok(count) } else { Err(Unpackable) }
    }

    /// Reads a text of a type of its own.
    pub(super) fn text<T: FromStr>(&mut self) -> Result<T, Unpackable> {
        let length = self.count()?;
        let text = std::str::from_utf8(self.bytes(length)?).map_err(|_| Unpackable)?;
        text.parse().map_err(|_| Unpackable)
    }

    /// Reads JSON.
    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Unpackable> {
        let length = self.count()?;
        serde_json::from_slice(self.bytes(length)?).map_err(|_| Unpackable)
    }

    /// Reads what may not be there.
    pub(super) fn maybe<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unpackable>,
    ) -> Result<Option<T>, Unpackable> {
        match self.bytes(1)? {
            [0] => Ok(None),
            [1] => read(self).map(Some),
            _ => Err(Unpackable),
        }
    }

    /// Reads a list.
    pub(super) fn list<T, L: FromIterator<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Unpackable>,
    ) -> Result<L, Unpackable> {
        (0..self.count()?).map(|_| read(self)).collect()
    }
}

/// Something that has a form in bytes.
pub trait Packed: Sized {
    /// Writes it at the end.
    fn pack(&self, out: &mut Vec<u8>);

    /// Reads it.
    ///
    /// # Errors
    /// [`Unpackable`] when the bytes are none.
    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable>;
}

/// Writes how many there are.
pub(super) fn pack_count(count: usize, out: &mut Vec<u8>) {
    u64::try_from(count).expect("a number of things in memory").pack(out);
}

/// Writes a text.
pub(super) fn pack_text(text: &str, out: &mut Vec<u8>) {
    pack_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Writes JSON.
pub(super) fn pack_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let json = serde_json::to_vec(value).expect("writing JSON to memory");
    pack_count(json.len(), out);
    out.extend_from_slice(&json);
}

/// Writes what may not be there.
pub(super) fn pack_maybe<T>(
    value: Option<T>,
    out: &mut Vec<u8>,
    write: impl FnOnce(T, &mut Vec<u8>),
) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, out);
    }
}

/// Writes a list.
pub(super) fn pack_list<T>(
    list: impl ExactSizeIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    pack_count(list.len(), out);
    list.for_each(|item| write(item, out));
}

/// Seven bits in a byte, the lowest first; the highest bit says that more follow.
impl Packed for u128 {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        out.push(low_bits(rest));
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let mut number = 0;
        for shift in (0..Self::BITS).step_by(7) {
            let [byte] = from.bytes(1)? else { return Err(Unpackable) };
            number |= Self::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unpackable)
    }
}

fn low_bits(number: u128) -> u8 {
    u8::try_from(number & 0x7f).expect("seven bits")
}

impl Packed for u64 {
    fn pack(&self, out: &mut Vec<u8>) {
        u128::from(*self).pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        from.take::<u128>()?.try_into().map_err(|_| Unpackable)
    }
}

impl Packed for u32 {
    fn pack(&self, out: &mut Vec<u8>) {
        u128::from(*self).pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        from.take::<u128>()?.try_into().map_err(|_| Unpackable)
    }
}

/// Numbers near 0 are short, also those below it.
impl Packed for i128 {
    fn pack(&self, out: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 127)).cast_unsigned().pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let folded = from.take::<u128>()?;
        Ok((folded >> 1).cast_signed() ^ -(folded & 1).cast_signed())
    }
}

impl Packed for Timestamp {
    fn pack(&self, out: &mut Vec<u8>) {
        i128::from(self.micros()).pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let micros = i64::try_from(from.take::<i128>()?).map_err(|_| Unpackable)?;
        Ok(Self::from_micros(micros))
    }
}

impl Packed for Window {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { start, end } = self;
        start.pack(out);
        end.pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Ok(Self { start: from.take()?, end: from.take()? })
    }
}

impl Packed for Amount {
    fn pack(&self, out: &mut Vec<u8>) {
        self.trillionths().pack(out);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Self::from_trillionths(from.take()?).ok_or(Unpackable)
    }
}

impl Packed for CustomerId {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Uuid::from_slice(from.bytes(16)?).map(Self).map_err(|_| Unpackable)
    }
}

impl Packed for CommandId {
    fn pack(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.as_bytes());
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        Uuid::from_slice(from.bytes(16)?).map(Self).map_err(|_| Unpackable)
    }
}

impl Packed for Record {
    fn pack(&self, out: &mut Vec<u8>) {
        let Self { customer, slot, ties, held, releasing } = self;
        pack_maybe(customer.as_deref(), out, Packed::pack);
        let Slot { holder, births } = slot;
        pack_maybe(holder.as_ref(), out, Packed::pack);
        births.pack(out);
        ties.pack(out);
        pack_list(held.iter(), out, |(id, held), out| {
            let Held { command, claim, since, granted } = held;
            pack_json(&(id, command, claim, since), out);
            pack_list(granted.iter(), out, |Grant { claim, answer }, out| {
                pack_json(&(claim, answer), out);
            });
        });
        pack_list(releasing.iter(), out, pack_json);
    }

    fn unpack(from: &mut Unpacking<'_>) -> Result<Self, Unpackable> {
        let customer = from.maybe(|from| from.take().map(Box::new))?;
        let slot = Slot { holder: from.maybe(Unpacking::take)?, births: from.take()? };
        let ties = from.take()?;
        let held: BTreeMap<CommandId, Held> = from.list(|from| {
            let (id, command, claim, since): (CommandId, Command, Claim, Timestamp) =
                from.json()?;
            let granted = from.list(|from| {
                let (claim, answer) = from.json()?;
                Ok(Grant { claim, answer })
            })?;
            Ok((id, Held { command, claim, since, granted }))
        })?;
        Ok(Self { customer, slot, ties, held, releasing: from.list(Unpacking::json)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through<T: Packed + PartialEq + fmt::Debug>(value: T) {
        let mut bytes = Vec::new();
        value.pack(&mut bytes);
        for end in 0..bytes.len() {
            assert!(Unpacking::of(&bytes[..end]).take::<T>().is_err(), "cut at {end}");
        }
        let mut from = Unpacking::of(&bytes);
        assert_eq!(from.take::<T>(), Ok(value));
        assert!(from.is_done());
    }

    proptest! {
        #[test]
        fn numbers_come_back(number: i128, unsigned: u128, small: u64) {
            through(number);
            through(unsigned);
            through(small);
        }
    }

    #[test]
    fn the_ends_of_numbers_come_back() {
        for number in [i128::MIN, -1, 0, 1, i128::MAX] {
            through(number);
        }
        through(Window { start: Timestamp::MIN, end: Timestamp::MAX });
    }

    #[test]
    fn a_number_that_does_not_end_is_none() {
        assert_eq!(Unpacking::of(&[0xff; 40]).take::<u128>(), Err(Unpackable));
        assert_eq!(Unpacking::of(&[0xff; 8]).take::<u32>(), Err(Unpackable));
    }
}
