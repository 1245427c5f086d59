//! Bits of a frame, the highest of each byte first.
//!
//! Always holds: beyond the end there are zeros.

#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// The first byte that is not in `word` whole.
    next: usize,
    /// The next bits from its top on, then zeros or bits that follow.
    word: u64,
    n_ready: u32,
}

impl<'a> Bits<'a> {
    /// From the bit `at` on.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        let mut bits = Self { bytes, next: at / 8, word: 0, n_ready: 0 };
        bits.take((at % 8) as u32);
        bits
    }

    /// How many bits lie before the next one.
    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        8 * self.next - self.n_ready as usize
    }

    /// The next 56 bits at least, from the top of the word on.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u64 {
        let rest = self.bytes.get(self.next..).unwrap_or_default();
        let more = rest.first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        self.word |= u64::from_be_bytes(more) >> self.n_ready;
        self.next += (63 - self.n_ready) as usize / 8;
        self.n_ready |= 56;
        self.word
    }

    /// Goes on by `n` of the bits that [`Self::peek`] gave.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        self.word <<= n;
        self.n_ready -= n;
    }

    /// The next `n` bits, 32 at most.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        let value = (self.peek() >> 32 >> (32 - n)) as u32;
        self.skip(n);
        value
    }

    pub(super) fn flag(&mut self) -> bool {
        self.take(1) == 1
    }
}
