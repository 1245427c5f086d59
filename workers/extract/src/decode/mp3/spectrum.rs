//! The spectra of a granule, from what its frame says to what is transformed.
//!
//! Always holds: beyond its values a spectrum is 0.
//! It does not know of time.

use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::sync::LazyLock;

use super::bands::{Shape, bands};
use super::bits::Bits;
use super::header::Header;
use super::huffman;
use super::side::Part;

pub(super) type Lines = [f32; 576];

/// What high bands have more.
const EMPHASIS: [u8; 22] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 3, 2, 0];

/// Reads the spectrum of a part, up to a place in the bits; behind how many lines it is 0.
pub(super) fn read(
    bits: &mut Bits<'_>,
    end: usize,
    part: &Part,
    rate: usize,
    lines: &mut Lines,
) -> usize {
    let mut at = 0;
    for (region_end, code) in part.region_ends.into_iter().zip(part.codes) {
        let region_end = region_end.max(at);
        huffman::pairs(bits, end, code, &mut lines[at..region_end]);
        at = region_end;
    }
    lines[at..].fill(0.0);
    let n = at + huffman::quads(bits, end, part.second_quads, &mut lines[at..]);
    let bands = bands(rate, part.shape).iter().enumerate();
    for (i, band) in bands.take_while(|(_, band)| band.lines.start < n) {
        let mut gain = part.gain - i32::from(part.scales[i]) * part.scale_step;
        match band.window {
            Some(window) => gain += part.window_gains[window],
            None if part.is_emphasised => gain -= i32::from(EMPHASIS[i]) * part.scale_step,
            None => {}
        }
        let factor = quarter_octaves(gain);
        lines[band.lines.clone()].iter_mut().for_each(|x| *x *= factor);
    }
    n
}

/// 2 to the power of `n` / 4.
fn quarter_octaves(n: i32) -> f32 {
    const QUARTERS: [f32; 4] = [1.0, 1.189_207_1, SQRT_2, 1.681_792_8];
    let octaves = f32::from_bits((n.div_euclid(4) + 127).cast_unsigned() << 23);
    QUARTERS[n.rem_euclid(4) as usize] * octaves
}

/// Makes left and right of what two channels share, whose values end before line `n`.
pub(super) fn unjoin(header: &Header, second: &Part, n: usize, [a, b]: [&mut Lines; 2]) {
    let bands = bands(header.rate, second.shape);
    // Short transforms, and the long ones, whose second channel has a value further up.
    let mut is_heard = [!header.intensity; 4];
    for (i, band) in bands.iter().enumerate().rev().filter(|(_, band)| band.lines.start < n) {
        let (a, b) = (&mut a[band.lines.clone()], &mut b[band.lines.clone()]);
        if band.window.is_none() {
            is_heard[3] |= is_heard[..3].contains(&true);
        }
        let is_heard = &mut is_heard[band.window.unwrap_or(3)];
        *is_heard |= b.iter().any(|&x| x != 0.0);
        // The last bands have the positions of those before.
        let i = match band.window {
            Some(_) if i + 3 >= bands.len() => i - 3,
            None if i + 1 == bands.len() => i - 1,
            _ => i,
        };
        if !*is_heard && second.scales[i] < second.no_position[i] {
            let [left, right] = second.position(i);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a * left, *a * right);
            }
        } else if header.mid_side {
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = ((*a + *b) * FRAC_1_SQRT_2, (*a - *b) * FRAC_1_SQRT_2);
            }
        }
    }
}

/// Makes a spectrum ready to be transformed.
pub(super) fn finish(part: &Part, rate: usize, n: usize, lines: &mut Lines) {
    match part.shape {
        Shape::Long => unalias(lines, n.div_ceil(18).min(31)),
        Shape::Short => interleave(part, rate, lines),
        Shape::Mixed => {
            interleave(part, rate, lines);
            unalias(lines, 1);
        }
    }
}

/// Puts the lines of short transforms, which come one transform after the other in each band,
/// side by side.
fn interleave(part: &Part, rate: usize, lines: &mut Lines) {
    let mut sorted = *lines;
    for bands in bands(rate, part.shape).chunk_by(|_, next| next.window.unwrap_or(0) > 0) {
        for (i, band) in bands.iter().enumerate() {
            let places = (bands[0].lines.start + i..).step_by(bands.len());
            for (place, from) in places.zip(band.lines.clone()) {
                sorted[place] = lines[from];
            }
        }
    }
    *lines = sorted;
}

/// Takes away what sub-bands have of each other, at the first `n` edges between them.
fn unalias(lines: &mut Lines, n: usize) {
    /// How much of a line goes over into its mirror image beyond the edge.
    const SPILLS: [f64; 8] = [-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037];
    static ROTATIONS: LazyLock<[[f32; 2]; 8]> =
        LazyLock::new(|| SPILLS.map(|spill| [1.0, spill].map(|x| (x / spill.hypot(1.0)) as f32)));
    for edge in (1..=n).map(|i| 18 * i) {
        let (below, above) = lines.split_at_mut(edge);
        let mirrored = below.iter_mut().rev().zip(above);
        for ((below, above), [cos, sin]) in mirrored.zip(*ROTATIONS) {
            (*below, *above) = (*below * cos - *above * sin, *above * cos + *below * sin);
        }
    }
}
