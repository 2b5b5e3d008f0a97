//! The form of a partition's state in bytes.

use std::io::{self, Write};

use tallybook_events::ids::CustomerId;
use tallybook_events::time::Timestamp;

use crate::decisions::{Packed as _, Record, Unpackable, Unpacking};
use crate::processor::PartitionState;
use crate::processor::memory::Memory;

/// Bytes that are collected before they are written.
const CHUNK: usize = 1 << 20;

/// Writes a state, record by record.
pub(super) fn pack(state: &PartitionState, to: &mut impl Write) -> io::Result<()> {
    let mut out = Vec::with_capacity(2 * CHUNK);
    let count = |count: usize| u64::try_from(count).expect("a number of things in memory");
    for known in
        [state.decided_at.map(|at| i128::from(at.micros())), state.last_source.map(i128::from)]
    {
        out.push(u8::from(known.is_some()));
        known.unwrap_or_default().pack(&mut out);
    }
    count(state.len()).pack(&mut out);
    for (id, record) in state.records() {
        id.pack(&mut out);
        record.pack(&mut out);
        written(&mut out, to)?;
    }
    count(state.memory.generations().len()).pack(&mut out);
    for (since, places) in state.memory.generations() {
        since.pack(&mut out);
        count(places.len()).pack(&mut out);
        for (key, offset) in places {
            out.extend_from_slice(&key.to_le_bytes());
            offset.pack(&mut out);
            written(&mut out, to)?;
        }
    }
    to.write_all(&out)
}

/// Writes what was collected, once it is enough.
fn written(out: &mut Vec<u8>, to: &mut impl Write) -> io::Result<()> {
    if out.len() >= CHUNK {
        to.write_all(out)?;
        out.clear();
    }
    Ok(())
}

/// Reads a state.
pub(super) fn unpack(bytes: &[u8]) -> Result<PartitionState, Unpackable> {
    let mut from = Unpacking::of(bytes);
    let mut known = || -> Result<Option<i128>, Unpackable> {
        let is_known = from.bytes(1)? == [1];
        let number = from.take()?;
        Ok(is_known.then_some(number))
    };
    let (decided_at, last_source) = (known()?, known()?);
    let micros = decided_at.map(|micros| i64::try_from(micros).map_err(|_| Unpackable));
    let decided_at = micros.transpose()?.map(Timestamp::from_micros);
    let last_source = last_source.map(|offset| u64::try_from(offset).map_err(|_| Unpackable));
    let count = from.count()?;
    let mut state = PartitionState::with_room(count);
    for _ in 0..count {
        let (id, record): (CustomerId, Record) = (from.take()?, from.take()?);
        state.put(id, record);
    }
    state.decided_at = decided_at;
    state.last_source = last_source.transpose()?;
    let mut memory = Memory::default();
    for _ in 0..from.count()? {
        let since: Timestamp = from.take()?;
        let places = from.count()?;
        memory.begin(since, places);
        for _ in 0..places {
            let key = from.bytes(8)?.try_into().map(u64::from_le_bytes).map_err(|_| Unpackable)?;
            memory.put(key, from.take()?);
        }
    }
    state.memory = memory;
    if from.is_done() { Ok(state) } else { Err(Unpackable) }
}
