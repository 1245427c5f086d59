//! The values of a spectrum from their Huffman codes.
//!
//! Always holds: as many values come out as there is room for, whatever the bits are.
//! It does not know steps of quantisation: values are raised to the power of 4/3, as all of
//! them are.

use std::sync::LazyLock;

use super::bits::Bits;
use super::codes::{N_LINBITS, PAIRS, QUADS};

/// The greatest value: 15 and 13 bits.
const MOST: usize = 15 + (1 << 13);

/// Bits of a code that are looked up at once; of the longest codes the rest is searched.
const MOST_INDEX_BITS: u32 = 10;

static POWERS: LazyLock<Vec<f32>> =
    LazyLock::new(|| (0..MOST).map(|x| (x as f64).powf(4.0 / 3.0) as f32).collect());

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
    let table = |i: usize| {
        let same = if i < 16 { i } else { 16 + i / 24 * 8 };
        let words = PAIRS.iter().find(|(number, _)| *number == same);
        words.map(|(_, words)| Table::new(words)).unwrap_or_default()
    };
    (0..32).map(table).collect()
});

static FIRST_QUADS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = QUADS.as_bytes().as_chunks::<2>().0;
    let slots = words.iter().flat_map(|&[values, n_bits]| {
        let (values, n_bits) = (digit(values), digit(n_bits));
        std::iter::repeat_n((values << 4 | n_bits) as u8, 64 >> n_bits)
    });
    slots.collect()
});

/// A word of a code for two values.
#[derive(Clone, Copy, Default)]
struct Word(u16);

impl Word {
    fn new(x: u32, y: u32, n_bits: u32) -> Self {
        let n_signs = u32::from(x != 0) + u32::from(y != 0);
        Self((x << 12 | y << 8 | n_signs << 6 | (n_bits + n_signs)) as u16)
    }

    #[inline(always)]
    fn values(self) -> [usize; 2] {
        [usize::from(self.0 >> 12), usize::from(self.0 >> 8 & 15)]
    }

    /// Bits of the word with the signs that follow it.
    #[inline(always)]
    fn n_bits(self) -> u32 {
        u32::from(self.0 & 63)
    }

    #[inline(always)]
    fn n_signs(self) -> u32 {
        u32::from(self.0 >> 6 & 3)
    }
}

/// A code for pairs of values.
#[derive(Default)]
struct Table {
    n_index_bits: u32,
    /// Of each beginning the word; none that is all zeros.
    words: Vec<Word>,
    /// Words longer than the beginnings, each with its bits from the top on, in their order.
    long: Vec<(u32, Word)>,
}

impl Table {
    fn new(words: &str) -> Self {
        let words = words.as_bytes().as_chunks::<3>().0.iter().map(|word| word.map(digit));
        let n_index_bits = words.clone().map(|[.., n]| n).max().unwrap_or(0).min(MOST_INDEX_BITS);
        let (mut table, mut at) = (Self { n_index_bits, ..Self::default() }, 0u32);
        for [x, y, n_bits] in words {
            let word = Word::new(x, y, n_bits);
            if n_bits > n_index_bits {
                table.long.push((at, word));
            } else {
                let first = (at >> (32 - n_index_bits)) as usize;
                table.words.resize(first, Word::default());
                let n = 1 << (n_index_bits - n_bits);
                table.words.extend(std::iter::repeat_n(word, n));
            }
            at = at.wrapping_add(1 << (32 - n_bits));
        }
        table
    }

    #[inline(always)]
    fn next(&self, bits: u64) -> Word {
        let index = (bits >> (64 - self.n_index_bits)) as usize;
        let word = self.words.get(index).copied().unwrap_or_default();
        if word.n_bits() == 0 { self.search((bits >> 32) as u32) } else { word }
    }

    #[cold]
    fn search(&self, bits: u32) -> Word {
        let after = self.long.partition_point(|(first, _)| *first <= bits);
        self.long.get(after.wrapping_sub(1)).map_or(Word::default(), |(_, word)| *word)
    }
}

fn digit(digit: u8) -> u32 {
    char::from(digit).to_digit(36).unwrap_or(0)
}

/// Reads pairs of values by the table with a number, as far as bits go.
pub(super) fn pairs(from: &mut Bits<'_>, end: usize, number: u8, values: &mut [f32]) {
    let (table, powers) = (&TABLES[usize::from(number)], &POWERS[..]);
    if table.words.is_empty() {
        return values.fill(0.0);
    }
    let n_linbits = N_LINBITS.get(usize::from(number).wrapping_sub(16)).copied().unwrap_or(0);
    let mut bits = *from;
    for pair in values.as_chunks_mut::<2>().0 {
        if bits.at() >= end {
            *pair = [0.0; 2];
            continue;
        }
        let start = bits.peek();
        let word = table.next(start);
        let [x, y] = word.values();
        if n_linbits > 0 && (x == 15 || y == 15) {
            bits.skip(word.n_bits() - word.n_signs());
            for (value, x) in pair.iter_mut().zip([x, y]) {
                let x = x + if x == 15 { bits.take(n_linbits) as usize } else { 0 };
                *value = if x > 0 { signed(powers[x], bits.take(1)) } else { 0.0 };
            }
        } else {
            let signs = start << (word.n_bits() - word.n_signs());
            let second = signs << u32::from(x != 0);
            let sign = |signs: u64| (signs >> 63) as u32;
            *pair = [signed(powers[x], sign(signs)), signed(powers[y], sign(second))];
            bits.skip(word.n_bits());
        }
    }
    *from = bits;
}

#[inline(always)]
fn signed(x: f32, sign: u32) -> f32 {
    f32::from_bits(x.to_bits() | sign << 31)
}

/// Reads four values at a time, of -1, 0 and 1, as far as bits go; how many there are.
pub(super) fn quads(bits: &mut Bits<'_>, end: usize, second: bool, values: &mut [f32]) -> usize {
    let (mut n, table) = (0, &FIRST_QUADS[..]);
    for quad in values.as_chunks_mut::<4>().0 {
        if bits.at() >= end {
            break;
        }
        let start = bits.peek();
        let (set, n_bits) = if second {
            (!(start >> 60) as u8 & 15, 4)
        } else {
            let word = table[(start >> 58) as usize];
            (word >> 4, u32::from(word & 15))
        };
        let mut signs = start << n_bits;
        for (i, x) in quad.iter_mut().enumerate() {
            let is_set = set >> (3 - i) & 1;
            *x = signed(f32::from(is_set), (signs >> 63) as u32);
            signs <<= is_set;
        }
        bits.skip(n_bits + set.count_ones());
        // What goes beyond the end are no values, but bits that fill the frame up.
        if bits.at() > end {
            quad.fill(0.0);
            break;
        }
        n += 4;
    }
    n
}
