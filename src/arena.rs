//! Bytes of many small texts in few pieces of memory: written one after the other, handed on one by one.

use bytes::{Bytes, BytesMut};

/// Bytes of one piece. It is given back when nobody has a part of it any more.
const PIECE: usize = 64 << 10;

/// Room for texts that live about as long as each other.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    piece: BytesMut,
    /// Where a text is written whose length is not known before.
    draft: Vec<u8>,
}

impl Arena {
    /// Keeps a copy of a text.
    pub(crate) fn keep(&mut self, text: &[u8]) -> Bytes {
        if self.piece.capacity() < text.len() {
            self.piece = BytesMut::with_capacity(PIECE.max(text.len()));
        }
        self.piece.extend_from_slice(text);
        self.piece.split().freeze()
    }

    /// Writes a text and keeps it; gives what the writing gave, too.
    pub(crate) fn write<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> (Bytes, T) {
        let mut draft = std::mem::take(&mut self.draft);
        draft.clear();
        let given = write(&mut draft);
        let kept = self.keep(&draft);
        self.draft = draft;
        (kept, given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_as_it_was_whatever_is_kept_later() {
        let mut arena = Arena::default();
        let texts: Vec<Vec<u8>> =
            (0..2_000_usize).map(|n| vec![n.to_le_bytes()[0]; n % 300]).collect();
        let kept: Vec<Bytes> = texts.iter().map(|text| arena.keep(text)).collect();
        let large = arena.keep(&vec![7; 3 * PIECE]);
        assert_eq!(kept, texts);
        assert_eq!(large, vec![7; 3 * PIECE]);
        let (written, length) = arena.write(|text| {
            text.extend_from_slice(b"text");
            text.len()
        });
        assert_eq!((&written[..], length), (&b"text"[..], 4));
        assert_eq!(arena.write(|_| ()).0, Bytes::new());
    }
}
