//! Sums and extremes over long slices.
//!
//! Always holds: each is computed in lanes, partial results side by side in a fixed
//! order, so that the compiler may use the processor's vectors (which ones, is chosen when
//! the program runs) and the answer is the same on every machine.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

const LANES: usize = 16;

/// The sum of the products of two slices, in single precision.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// The sums of the products of `a` with the slices of `b` that start at 0, 1, 2, ... : as
/// many as `out` has room for, in single precision.
///
/// # Panics
/// If `b` is shorter than `a` and `out` together.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn slide(a: &[f32], b: &[f32], out: &mut [f32]) {
    /// Positions at a time, so that `a` is loaded once for all of them.
    const WIDTH: usize = 4;
    let (chunks, rest) = a.as_chunks::<LANES>();
    let n = a.len() - rest.len();
    let b = &b[..a.len() + out.len()];
    let mut start = 0;
    let mut blocks = out.chunks_exact_mut(WIDTH);
    for block in &mut blocks {
        let mut lanes = [[0.0f32; LANES]; WIDTH];
        for (i, a) in chunks.iter().enumerate() {
            let from = start + i * LANES;
            let b = &b[from..from + LANES + WIDTH - 1];
            for (shift, lanes) in lanes.iter_mut().enumerate() {
                for lane in 0..LANES {
                    lanes[lane] += a[lane] * b[shift + lane];
                }
            }
        }
        for (shift, (out, lanes)) in block.iter_mut().zip(&lanes).enumerate() {
            let rest = rest.iter().zip(&b[start + shift + n..]).map(|(a, b)| a * b);
            *out = lanes.iter().sum::<f32>() + rest.sum::<f32>();
        }
        start += WIDTH;
    }
    for (shift, out) in blocks.into_remainder().iter_mut().enumerate() {
        *out = a.iter().zip(&b[start + shift..]).map(|(a, b)| a * b).sum();
    }
}

/// The sum of the products of two slices, in double precision.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| f64::from(a) * f64::from(b));
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The sum of the values.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn sum(values: &[f32]) -> f64 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += f64::from(chunk[lane]);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}

/// The least and the greatest value; 0 and 0 where there are none.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn range(values: &[f32]) -> (f32, f32) {
    let Some(&first) = values.first() else { return (0.0, 0.0) };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (mut low, mut high) = ([first; LANES], [first; LANES]);
    // One after the other: of both together the compiler makes no vectors.
    for chunk in chunks {
        for lane in 0..LANES {
            low[lane] = chunk[lane].min(low[lane]);
        }
    }
    for chunk in chunks {
        for lane in 0..LANES {
            high[lane] = chunk[lane].max(high[lane]);
        }
    }
    let low = low.iter().chain(rest).copied().fold(first, f32::min);
    (low, high.iter().chain(rest).copied().fold(first, f32::max))
}

/// The greatest magnitude; 0 where there are no values.
pub(crate) fn peak(values: &[f32]) -> f32 {
    let (low, high) = range(values);
    high.max(-low)
}

/// The greatest of `least` and the magnitudes.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(crate) fn peak_f64(values: &[f64], least: f64) -> f64 {
    let mut lanes = [least; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let x = chunk[lane].abs();
            lanes[lane] = if x > lanes[lane] { x } else { lanes[lane] };
        }
    }
    rest.iter().map(|x| x.abs()).chain(lanes).fold(least, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_agree_with_the_plain_way(
            values in prop::collection::vec(-1.0f32..1.0, 0..70),
        ) {
            let shifted: Vec<f32> = values.iter().rev().copied().collect();
            let plain: f64 =
                values.iter().zip(&shifted).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            prop_assert!((dot_f64(&values, &shifted) - plain).abs() < 1e-12);
            prop_assert!((f64::from(dot(&values, &shifted)) - plain).abs() < 1e-5);
            let mut slid = vec![0.0; values.len() / 2];
            let start = &values[..values.len() / 2];
            slide(start, &values, &mut slid);
            for (i, found) in slid.iter().enumerate() {
                prop_assert!((found - dot(start, &values[i..i + start.len()])).abs() < 1e-5);
            }
            let plain: f64 = values.iter().map(|&x| f64::from(x)).sum();
            prop_assert!((sum(&values) - plain).abs() < 1e-12);
            let plain = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            prop_assert_eq!(peak(&values), plain);
        }
    }
}
