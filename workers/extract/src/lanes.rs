//! Sums and extremes over long slices.
//!
//! Always holds: each is computed in lanes, partial results side by side in a fixed
//! order, so that the compiler may use the processor's vectors and the answer is the same
//! on every machine.

const LANES: usize = 16;

/// The sum of the products of two slices, in single precision.
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

/// The sum of the products of two slices, in double precision.
pub(crate) fn dot_f64(a: &[f32], b: &[f32]) -> f64 {
    let product = |a: f32, b: f32| f64::from(a) * f64::from(b);
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += product(a[lane], b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(&a, &b)| product(a, b));
    lanes.iter().sum::<f64>() + rest.sum::<f64>()
}

/// The sum of the values.
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
pub(crate) fn range(values: &[f32]) -> (f32, f32) {
    let Some(&first) = values.first() else { return (0.0, 0.0) };
    let (chunks, rest) = values.as_chunks::<LANES>();
    let (mut low, mut high) = ([first; LANES], [first; LANES]);
    for chunk in chunks {
        for lane in 0..LANES {
            low[lane] = low[lane].min(chunk[lane]);
        }
        for lane in 0..LANES {
            high[lane] = high[lane].max(chunk[lane]);
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
            let plain: f64 = values.iter().map(|&x| f64::from(x)).sum();
            prop_assert!((sum(&values) - plain).abs() < 1e-12);
            let plain = values.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
            prop_assert_eq!(peak(&values), plain);
        }
    }
}
