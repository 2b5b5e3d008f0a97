//! What is the hash of a text? `SipHash` with 128 bits: the same on every machine and in every
//! build, and spread well whatever the callers choose as ids.

/// Rounds after each word.
const ROUNDS: usize = 1;
/// Rounds at the end.
const LAST_ROUNDS: usize = 3;
/// The key. It is fixed: a hash must be the same in every process.
const KEY: (u64, u64) = (0x7461_6c6c_7962_6f6f, 0x6b2e_7265_706f_7274);

/// Gives the hash of bytes.
pub(super) fn hash(bytes: &[u8]) -> (u64, u64) {
    sip128::<ROUNDS, LAST_ROUNDS>(KEY, bytes)
}

/// SipHash-c-d with 128 bits, as its authors published it.
fn sip128<const C: usize, const D: usize>(key: (u64, u64), bytes: &[u8]) -> (u64, u64) {
    let mut state = State([
        key.0 ^ 0x736f_6d65_7073_6575,
        key.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        key.0 ^ 0x6c79_6765_6e65_7261,
        key.1 ^ 0x7465_6462_7974_6573,
    ]);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
        state.take::<C>(word);
    }
    let mut last = [0; 8];
    let tail = words.remainder();
    last[..tail.len()].copy_from_slice(tail);
    last[7] = bytes.len().to_le_bytes()[0];
    state.take::<C>(u64::from_le_bytes(last));
    state.0[2] ^= 0xee;
    let first = state.give::<D>();
    state.0[1] ^= 0xdd;
    (first, state.give::<D>())
}

struct State([u64; 4]);

impl State {
    fn take<const C: usize>(&mut self, word: u64) {
        self.0[3] ^= word;
        (0..C).for_each(|_| self.round());
        self.0[0] ^= word;
    }

    fn give<const D: usize>(&mut self) -> u64 {
        (0..D).for_each(|_| self.round());
        self.0.iter().fold(0, |hash, word| hash ^ word)
    }

    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_vectors_of_its_authors() {
        // vectors_sip128 of the reference implementation (SipHash-2-4): inputs 00, 00 01, ...
        let key = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let bytes: Vec<u8> = (0..64).collect();
        for (length, expected) in [
            (0, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (2, "8177228da4a45dc7fca38bdef60affe4"),
        ] {
            let (first, second) = sip128::<2, 4>(key, &bytes[..length]);
            let text = format!("{:016x}{:016x}", first.swap_bytes(), second.swap_bytes());
            assert_eq!(text, expected, "of {length} bytes");
        }
    }

    #[test]
    fn it_never_changes() {
        assert_eq!(hash(b"report-1"), hash(b"report-1"));
        assert_ne!(hash(b"report-1"), hash(b"report-2"));
    }
}
