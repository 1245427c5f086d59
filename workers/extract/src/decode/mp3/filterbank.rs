//! From spectra back to samples: an inverse transform in each of 32 sub-bands, and the polyphase
//! filter that puts them together (ISO/IEC 11172-3, 2.4.3.4.10 and 2.4.3.2.2).
//!
//! Both are plain products with small matrices, sub-bands or samples side by side as lanes.
//!
//! Always holds: a granule of spectra gives as many samples; what those depend on beside it is
//! kept here.

use std::array::from_fn;
use std::f64::consts::PI;
use std::sync::LazyLock;

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

use super::bands::{MIXED_LINES, Shape};
use super::side::{Block, Part};
use super::spectrum::Lines;
use super::window::WINDOW;

/// Values of a sub-band in a granule.
const N_SLOTS: usize = 18;

/// Half of the sub-bands, and of the samples of a slot: lanes that are computed together.
const LANES: usize = 16;

type Lanes = [f32; LANES];

/// Of each sub-band its values.
type Bands = [[f32; N_SLOTS]; 2 * LANES];

/// Slots before its own that a sample depends on.
const N_BEFORE: usize = 15;

/// Cosine sums of the slots before a granule and of its own.
type History = [[Lanes; 2]; N_BEFORE + N_SLOTS];

/// What the samples of a channel depend on.
pub(super) struct Filterbank {
    /// What transforms leave for the next granule.
    overlap: Bands,
    /// Those of even samples, and those of odd ones: they never meet.
    histories: [History; 2],
}

/// A transform under its window: of each of 18 lines the weights in 36 values.
type Transform = [[f32; 2 * N_SLOTS]; N_SLOTS];

/// Of even or odd samples: cosines of the polyphase filter and its window.
struct Polyphase {
    cosines: [[Lanes; 2]; LANES],
    window: [Lanes; N_BEFORE + 1],
}

static TRANSFORMS: LazyLock<[Transform; 4]> =
    LazyLock::new(|| [Block::Long, Block::Start, Block::Short, Block::Stop].map(transform));

static POLYPHASE: LazyLock<[Polyphase; 2]> = LazyLock::new(|| [0, 1].map(polyphase));

impl Filterbank {
    pub(super) fn new() -> Self {
        Self {
            overlap: [[0.0; N_SLOTS]; 2 * LANES],
            histories: [[[[0.0; LANES]; 2]; N_BEFORE + N_SLOTS]; 2],
        }
    }

    /// The next 576 samples.
    pub(super) fn push(&mut self, lines: &mut Lines, part: &Part, out: &mut Lines) {
        let bands = lines.as_chunks_mut().0;
        let n_long = if part.shape == Shape::Mixed { MIXED_LINES / N_SLOTS } else { 0 };
        let (long, rest) = self.overlap.split_at_mut(n_long);
        transformed(&TRANSFORMS[Block::Long as usize], &mut bands[..n_long], long);
        transformed(&TRANSFORMS[part.block as usize], &mut bands[n_long..], rest);
        let [even, odd] = &mut self.histories;
        let even = filtered(&POLYPHASE[0], 0, bands, even);
        let odd = filtered(&POLYPHASE[1], 1, bands, odd);
        let pairs = even.as_flattened().iter().zip(odd.as_flattened());
        for (out, (even, odd)) in out.as_chunks_mut().0.iter_mut().zip(pairs) {
            *out = [*even, *odd];
        }
    }
}

/// Makes the lines of each sub-band the values that they complete; keeps what they leave.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn transformed(
    transform: &Transform,
    bands: &mut [[f32; N_SLOTS]],
    overlap: &mut [[f32; N_SLOTS]],
) {
    for (band, overlap) in bands.iter_mut().zip(overlap) {
        let mut values = [0.0f32; 2 * N_SLOTS];
        for (line, weights) in band.iter().zip(transform) {
            for i in 0..2 * N_SLOTS {
                values[i] += line * weights[i];
            }
        }
        for i in 0..N_SLOTS {
            band[i] = overlap[i] + values[i];
            overlap[i] = values[N_SLOTS + i];
        }
    }
}

/// The samples of one parity of a granule.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn filtered(
    polyphase: &Polyphase,
    parity: usize,
    bands: &[[f32; N_SLOTS]],
    history: &mut History,
) -> [Lanes; N_SLOTS] {
    // Sub-bands and their mirror images have the same cosines, or opposite ones. Every second
    // sub-band comes upside down.
    let mut folded = [[0.0f32; N_SLOTS]; LANES];
    for (k, folded) in folded.iter_mut().enumerate() {
        let (low, high) = (&bands[k], &bands[2 * LANES - 1 - k]);
        let sign = if parity == 0 { 1.0 } else { -1.0 };
        for i in 0..N_SLOTS {
            let turn = if i % 2 == 0 { 1.0 } else { -1.0 };
            folded[i] = match k % 2 {
                0 => low[i] + sign * turn * high[i],
                _ => turn * low[i] + sign * high[i],
            };
        }
    }
    for (i, sums) in history[N_BEFORE..].iter_mut().enumerate() {
        let mut sum = [[0.0f32; LANES]; 2];
        for (folded, cosines) in folded.iter().zip(&polyphase.cosines) {
            for half in 0..2 {
                for lane in 0..LANES {
                    sum[half][lane] += folded[i] * cosines[half][lane];
                }
            }
        }
        *sums = sum;
    }
    let mut samples = [[0.0f32; LANES]; N_SLOTS];
    for (i, samples) in samples.iter_mut().enumerate() {
        let mut sum = [0.0f32; LANES];
        for (back, window) in polyphase.window.iter().enumerate() {
            let sums = &history[N_BEFORE + i - back][back % 2];
            for lane in 0..LANES {
                sum[lane] += sums[lane] * window[lane];
            }
        }
        *samples = sum;
    }
    history.copy_within(N_SLOTS.., 0);
    samples
}

/// ISO/IEC 11172-3, 2.4.3.4.10.2 and 2.4.3.4.10.3.
fn transform(block: Block) -> Transform {
    let rise = |i: usize, n: usize| (PI / (2 * n) as f64 * (i as f64 + 0.5)).sin();
    let cosine = |i: usize, k: usize, n: usize| {
        (PI / (4 * n) as f64 * ((2 * i + 1 + n) * (2 * k + 1)) as f64).cos()
    };
    let start = |i: usize| match i {
        24..30 => rise(i - 18, 6),
        30.. => 0.0,
        _ => 1.0,
    };
    let weight = |line: usize, i: usize| match block {
        // Three transforms of every third line, six values apart.
        Block::Short => match i.checked_sub(6 + 6 * (line % 3)) {
            Some(i @ 0..12) => rise(i, 6) * cosine(i, line / 3, 6),
            _ => 0.0,
        },
        Block::Start if i >= 18 => start(i) * cosine(i, line, 18),
        Block::Stop if i < 18 => start(35 - i) * cosine(i, line, 18),
        _ => rise(i, 18) * cosine(i, line, 18),
    };
    from_fn(|line| from_fn(|i| weight(line, i) as f32))
}

fn polyphase(parity: usize) -> Polyphase {
    let cosine = |k: usize, i: usize| (PI / 64.0 * ((16 + i) * (2 * k + 1)) as f64).cos() as f32;
    let place = |half: usize, lane: usize| 2 * (LANES * half + lane) + parity;
    // The second half of the window mirrors the first.
    let window = |i: usize| {
        let value = if i <= 256 { WINDOW[i] } else { WINDOW[512 - i] };
        let sign = if i > 256 && !i.is_multiple_of(64) { -1.0 } else { 1.0 };
        sign * value as f32 / 65536.0
    };
    Polyphase {
        cosines: from_fn(|k| from_fn(|half| from_fn(|lane| cosine(k, place(half, lane))))),
        window: from_fn(|back| from_fn(|lane| window(2 * LANES * back + place(0, lane)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_blocks_are_long_below_and_short_above() {
        let lines: Lines = from_fn(|i| ((i * i) % 17) as f32 - 8.0);
        let samples = |block: Block, shape: Shape, range: std::ops::Range<usize>| {
            let mut lines: Lines = from_fn(|i| if range.contains(&i) { lines[i] } else { 0.0 });
            let (mut filterbank, mut out) = (Filterbank::new(), [[0.0; 576]; 2]);
            let mut part = Part::none();
            (part.block, part.shape) = (block, shape);
            filterbank.push(&mut lines, &part, &mut out[0]);
            filterbank.push(&mut [0.0; 576], &part, &mut out[1]);
            out.concat()
        };
        let mixed = samples(Block::Short, Shape::Mixed, 0..576);
        let long = samples(Block::Long, Shape::Long, 0..MIXED_LINES);
        let short = samples(Block::Short, Shape::Short, MIXED_LINES..576);
        for (i, (mixed, (long, short))) in mixed.iter().zip(long.iter().zip(&short)).enumerate() {
            assert!((mixed - long - short).abs() < 1e-3, "{i}: {mixed} {long} {short}");
        }
        assert!(long.iter().any(|x| x.abs() > 1.0) && short.iter().any(|x| x.abs() > 1.0));
    }
}
