//! Which lines of a spectrum share a scale factor (ISO/IEC 11172-3, table B.8, 13818-3, table
//! B.2, and what is usual for the lowest rates, which no standard has).
//!
//! Always holds: the bands of a block are all its lines, each once, in order.

use std::ops::Range;
use std::sync::LazyLock;

/// The most bands that a block has.
pub(super) const N_SCALES: usize = 39;

/// Where mixed blocks go over from long to short transforms.
pub(super) const MIXED_LINES: usize = 36;

/// Lines with one scale factor.
pub(super) struct Band {
    pub(super) lines: Range<usize>,
    /// Of a short block: which of its three transforms they are of.
    pub(super) window: Option<usize>,
}

/// How the lines of a block are divided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Long,
    Short,
    /// Short above [`MIXED_LINES`].
    Mixed,
}

/// The bands of a block at one of the rates of [`super::header::Header`].
pub(super) fn bands(rate: usize, shape: Shape) -> &'static [Band] {
    static BANDS: LazyLock<Vec<Vec<Band>>> = LazyLock::new(|| {
        let shapes = [Shape::Long, Shape::Short, Shape::Mixed];
        (0..9).flat_map(|rate| shapes.map(|shape| divide(rate, shape))).collect()
    });
    &BANDS[3 * rate + shape as usize]
}

fn divide(rate: usize, shape: Shape) -> Vec<Band> {
    let (long_end, short_start) = match shape {
        Shape::Long => (576, 576),
        Shape::Short => (0, 0),
        Shape::Mixed => (MIXED_LINES, MIXED_LINES),
    };
    let (long, short) = (&LONG[LONG_OF_RATE[rate]], &SHORT[SHORT_OF_RATE[rate]]);
    let long = long.windows(2).map(|x| Band { lines: x[0]..x[1], window: None });
    let short = short.windows(2).filter(|x| 3 * x[1] > short_start).flat_map(|x| {
        let (start, end) = (x[0].max(short_start / 3), x[1]);
        [0, 1, 2].map(|window| {
            let first = 3 * start + window * (end - start);
            Band { lines: first..first + end - start, window: Some(window) }
        })
    });
    long.take_while(|band| band.lines.end <= long_end).chain(short).collect()
}

const LONG_OF_RATE: [usize; 9] = [0, 1, 2, 3, 4, 3, 3, 3, 5];
const SHORT_OF_RATE: [usize; 9] = [0, 1, 2, 3, 4, 5, 5, 5, 6];

/// Edges of the bands of long blocks: of 44.1, 48, 32, 22.05, 24 and 8 kHz.
#[rustfmt::skip]
const LONG: [[usize; 23]; 6] = [
    [0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 52, 62, 74, 90, 110, 134, 162, 196, 238, 288, 342, 418, 576],
    [0, 4, 8, 12, 16, 20, 24, 30, 36, 42, 50, 60, 72, 88, 106, 128, 156, 190, 230, 276, 330, 384, 576],
    [0, 4, 8, 12, 16, 20, 24, 30, 36, 44, 54, 66, 82, 102, 126, 156, 194, 240, 296, 364, 448, 550, 576],
    [0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 116, 140, 168, 200, 238, 284, 336, 396, 464, 522, 576],
    [0, 6, 12, 18, 24, 30, 36, 44, 54, 66, 80, 96, 114, 136, 162, 194, 232, 278, 332, 394, 464, 540, 576],
    [0, 12, 24, 36, 48, 60, 72, 88, 108, 132, 160, 192, 232, 280, 336, 400, 476, 566, 568, 570, 572, 574, 576],
];

/// Edges of the bands of each short transform: of 44.1, 48, 32, 22.05, 24, 16 and 8 kHz.
#[rustfmt::skip]
const SHORT: [[usize; 14]; 7] = [
    [0, 4, 8, 12, 16, 22, 30, 40, 52, 66, 84, 106, 136, 192],
    [0, 4, 8, 12, 16, 22, 28, 38, 50, 64, 80, 100, 126, 192],
    [0, 4, 8, 12, 16, 22, 30, 42, 58, 78, 104, 138, 180, 192],
    [0, 4, 8, 12, 18, 24, 32, 42, 56, 74, 100, 132, 174, 192],
    [0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 136, 180, 192],
    [0, 4, 8, 12, 18, 26, 36, 48, 62, 80, 104, 134, 174, 192],
    [0, 8, 16, 24, 36, 52, 72, 96, 124, 160, 162, 164, 166, 192],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_all_lines_in_order() {
        for rate in 0..9 {
            for (shape, n) in [(Shape::Long, 22), (Shape::Short, 39), (Shape::Mixed, 39)] {
                let bands = bands(rate, shape);
                assert!(bands.len() <= n);
                let end = bands.iter().fold(0, |end, band| {
                    assert_eq!(band.lines.start, end);
                    band.lines.end
                });
                assert_eq!(end, 576);
            }
        }
    }
}
