//! Between the samples: band-limited interpolation and the true height of a peak.
//!
//! Definition: a sinc under a raised cosine that reaches `depth` samples to either side
//! (fewer at the ends), as in Boersma (1993), "Accurate short-term analysis of the
//! fundamental frequency".
//!
//! Always holds: at a sample the interpolation gives the sample. Curves are symmetric around
//! their middle, as correlations over lags are.

use std::f64::consts::PI;

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

/// Interpolation up to a given depth.
pub(super) struct Sinc {
    depth: usize,
    /// For each step between two samples the weights of `depth` samples to either side;
    /// empty where the depth is seldom to be had.
    tables: Vec<Vec<f64>>,
}

/// Steps of a table between two samples.
const STEPS: usize = 64;

/// Farthest from a guess that a parabola is trusted to lead towards a maximum, in steps.
const FAR: f64 = 12.0;

/// Terms that are computed side by side; even, so that signs alternate within.
const LANES: usize = 8;

impl Sinc {
    /// Up to `depth` samples, with weights from tables where all of them are there.
    pub(super) fn tabulated(depth: usize) -> Self {
        let table = |step: usize| {
            let (left, right) = (step as f64 / STEPS as f64, 1.0 - step as f64 / STEPS as f64);
            let side = |first: f64| {
                (0..depth).map(move |i| weight(first + i as f64, first + depth as f64))
            };
            side(left).rev().chain(side(right)).collect()
        };
        Self { depth, tables: (0..STEPS).map(table).collect() }
    }

    /// Up to `depth` samples, as far as there are any.
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, tables: Vec::new() }
    }

    /// Position and height of the interpolated maximum around the local maximum `y[peak]`.
    pub(super) fn maximum(&self, y: &[f64], peak: usize) -> (f64, f64) {
        maximum(self, y, peak)
    }

    #[inline(always)]
    fn find(&self, y: &[f64], peak: usize) -> (f64, f64) {
        if peak == 0 || peak + 1 >= y.len() {
            return (peak as f64, y[peak]);
        }
        let steps = STEPS as f64;
        let vertex = parabola(y[peak - 1], y[peak], y[peak + 1]).0;
        let mut guess = ((peak as f64 + vertex) * steps).round();
        // Where the curve is as smooth as it looks, parabolas through three close points
        // lead to the maximum: the error falls with the cube of the distance.
        let centre = peak as f64;
        for _ in 0..6 {
            // No closure: it would be compiled without the vectors that this is for.
            let (left, middle) = (self.at_step(y, guess - 1.0), self.at_step(y, guess));
            let right = self.at_step(y, guess + 1.0);
            let (slope, bend) = (0.5 * (right - left), 2.0 * middle - left - right);
            if bend > 0.0 && slope.abs() <= bend {
                let shift = slope / bend;
                return ((guess + shift) / steps, middle + 0.5 * slope * shift);
            }
            guess = (guess + (slope / bend).clamp(-FAR, FAR)).round();
            // Where the curve is not a hill, there may be another one.
            if bend <= 0.0 || (guess - centre * steps).abs() >= steps {
                break;
            }
        }
        brent(|x| between(y, x, self.depth), centre - 1.0, centre + 1.0)
    }

    /// The value of `y` at a whole number of steps.
    #[inline(always)]
    fn at_step(&self, y: &[f64], step: f64) -> f64 {
        let left = (step / STEPS as f64).floor();
        let table = self.tables.get((step - left * STEPS as f64) as usize);
        let (left, depth) = (left as usize, self.depth);
        if let (Some(table), true) = (table, left + 1 >= depth) {
            let first = left + 1 - depth;
            if let Some(y) = y.get(first..first + 2 * depth) {
                return dot(y, table);
            }
        }
        between(y, step / STEPS as f64, depth)
    }
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn maximum(sinc: &Sinc, y: &[f64], peak: usize) -> (f64, f64) {
    sinc.find(y, peak)
}

#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// The value of `y` at position `x` between its samples.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn interpolate(y: &[f64], x: f64, depth: usize) -> f64 {
    between(y, x, depth)
}

#[inline(always)]
fn between(y: &[f64], x: f64, depth: usize) -> f64 {
    let last = y.len() - 1;
    if x <= 0.0 {
        return y[0];
    }
    if x >= last as f64 {
        return y[last];
    }
    let left = x.floor() as usize;
    let fraction = x - left as f64;
    if fraction == 0.0 {
        return y[left];
    }
    let depth = depth.min(left + 1).min(last - left);
    match depth {
        0 => y[(x + 0.5).floor() as usize],
        1 => y[left] + fraction * (y[left + 1] - y[left]),
        2 => cubic(&y[left - 1..left + 3], fraction),
        _ => {
            // Backwards from `left` is forwards in the mirror.
            let mirrored = last - left;
            let sum = half(&y[mirrored..mirrored + depth], fraction)
                + half(&y[left + 1..=left + depth], 1.0 - fraction);
            sum * (PI * fraction).sin() / (2.0 * PI)
        }
    }
}

/// The windowed sum of alternating samples over their distances `first`, `first + 1`, ...:
/// one side of the interpolation, but for the sine that all terms share.
#[inline(always)]
fn half(samples: &[f64], first: f64) -> f64 {
    const HALF: usize = LANES / 2;
    let reach = PI / (first + samples.len() as f64);
    // cos((n + 1) r) = 2 cos(r) cos(n r) - cos((n - 1) r), and the same with LANES for 1.
    let (sin, cos) = sin_cos(reach);
    let (sin_first, cos_first) = sin_cos(first * reach);
    let mut windows = [0.0; 2 * LANES];
    (windows[0], windows[1]) = (cos_first, cos_first * cos - sin_first * sin);
    for i in 2..2 * LANES {
        windows[i] = 2.0 * cos * windows[i - 1] - windows[i - 2];
    }
    let (window, next) = windows.split_at_mut(LANES);
    // cos(8 r) by doubling the angle three times.
    let turn = 2.0 * (0..3).fold(cos, |cos, _| 2.0 * cos * cos - 1.0);
    let mut distance: [f64; LANES] = std::array::from_fn(|lane| first + lane as f64);
    let mut sums = [0.0; HALF];
    let (chunks, rest) = samples.as_chunks::<LANES>();
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    for i in 0..=chunks.len() {
        let chunk = chunks.get(i).unwrap_or(&last);
        for lane in 0..HALF {
            // Two terms of the same sign over one division.
            let other = lane + HALF;
            let a = chunk[lane] * (1.0 + window[lane]);
            let b = chunk[other] * (1.0 + window[other]);
            let (d, e) = (distance[lane], distance[other]);
            sums[lane] += (a * e + b * d) / (d * e);
        }
        for lane in 0..LANES {
            (window[lane], next[lane]) = (next[lane], turn * next[lane] - window[lane]);
            distance[lane] += LANES as f64;
        }
    }
    sums[0] - sums[1] + sums[2] - sums[3]
}

/// Sine and cosine of an angle of at most a third of pi, by their series.
#[inline(always)]
fn sin_cos(x: f64) -> (f64, f64) {
    let z = x * x;
    let (mut sin, mut cos) = (1.0, 1.0);
    for i in (1..9).rev() {
        let n = f64::from(2 * i);
        cos = 1.0 - z / (n * (n - 1.0)) * cos;
        sin = 1.0 - z / (n * (n + 1.0)) * sin;
    }
    (x * sin, cos)
}

/// Samples to either side that [`Halfway`] looks at.
const HALFWAY_DEPTH: usize = 16;

/// Interpolation exactly between two samples, with the weights at hand.
pub(super) struct Halfway([f64; 2 * HALFWAY_DEPTH]);

impl Halfway {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|i| {
            let distance = i as f64 + 0.5 - HALFWAY_DEPTH as f64;
            weight(distance, HALFWAY_DEPTH as f64 + 0.5)
        }))
    }

    /// About the value of `y` between samples `left` and `left + 1`, if there are enough.
    pub(super) fn at(&self, y: &[f64], left: usize) -> Option<f64> {
        let first = (left + 1).checked_sub(HALFWAY_DEPTH)?;
        Some(dot(y.get(first..first + 2 * HALFWAY_DEPTH)?, &self.0))
    }
}

/// A sinc under a raised cosine of the given reach.
fn weight(distance: f64, reach: f64) -> f64 {
    if distance == 0.0 {
        return 1.0;
    }
    let window = 0.5 + 0.5 * (PI * distance / reach).cos();
    window * (PI * distance).sin() / (PI * distance)
}

/// Through four samples, at `fraction` between the middle two.
fn cubic(y: &[f64], fraction: f64) -> f64 {
    let rest = 1.0 - fraction;
    let slope_left = 0.5 * (y[2] - y[0]);
    let slope_right = 0.5 * (y[3] - y[1]);
    let bend = slope_left + slope_right - 2.0 * (y[2] - y[1]);
    y[1] * rest + y[2] * fraction
        - rest * fraction * (0.5 * (slope_right - slope_left) + (fraction - 0.5) * bend)
}

/// Offset and height of the vertex of the parabola through three neighbours, the middle
/// one being the greatest.
pub(super) fn parabola(left: f64, middle: f64, right: f64) -> (f64, f64) {
    let slope = 0.5 * (right - left);
    let curvature = 2.0 * middle - left - right;
    if curvature > 0.0 {
        (slope / curvature, middle + 0.5 * slope * slope / curvature)
    } else {
        (0.0, middle)
    }
}

/// The maximum of `f` between `low` and `high`: golden sections and parabolas in turn
/// (Brent 1973, as in Forsythe, Malcolm and Moler 1977).
fn brent(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> (f64, f64) {
    const TOLERANCE: f64 = 1e-10;
    let golden = (3.0 - 5.0f64.sqrt()) / 2.0;
    let first = low + golden * (high - low);
    // The best point, the second best and the one before.
    let mut best = (first, f(first));
    let (mut second, mut third) = (best, best);
    for _ in 0..60 {
        let (x, fx) = best;
        let middle = 0.5 * (low + high);
        let near = f64::EPSILON.sqrt() * x.abs() + TOLERANCE / 3.0;
        if (x - middle).abs() + 0.5 * (high - low) <= 2.0 * near {
            break;
        }
        let mut step = golden * if x < middle { high - x } else { low - x };
        if (x - second.0).abs() >= near {
            // The parabola through the three points, where it leads inwards and is short.
            let r = (x - second.0) * (fx - third.1);
            let q = (x - third.0) * (fx - second.1);
            let (p, q) = ((x - third.0) * q - (x - second.0) * r, 2.0 * (q - r));
            let (p, q) = if q > 0.0 { (-p, q) } else { (p, -q) };
            let inside = p > q * (low - x + 2.0 * near) && p < q * (high - x - 2.0 * near);
            if p.abs() < (q * step).abs() && inside {
                step = p / q;
            }
        }
        if step.abs() < near {
            step = near.copysign(step);
        }
        let new = (x + step, f(x + step));
        if new.1 >= fx {
            if new.0 < x {
                high = x;
            } else {
                low = x;
            }
            (third, second, best) = (second, best, new);
        } else {
            if new.0 < x {
                low = new.0;
            } else {
                high = new.0;
            }
            if new.1 >= second.1 || second.0 == x {
                (third, second) = (second, new);
            } else if new.1 >= third.1 || third.0 == x || third.0 == second.0 {
                third = new;
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cosine_is_found_between_its_samples(
            top in 90.0f64..110.0,
            radians in 0.1f64..1.5,
            depth in prop_oneof![Just(70usize), Just(700)],
        ) {
            let lag = |i: i32| f64::from((i - 190).abs());
            let y: Vec<f64> = (0..=380).map(|i| ((lag(i) - top) * radians).cos()).collect();
            let (peak, top) = (190 + top.round() as usize, 190.0 + top);
            let sincs = [Sinc::new(depth), Sinc::tabulated(depth)];
            for (position, height) in sincs.map(|sinc| sinc.maximum(&y, peak)) {
                // The flatter it is, the less its place is known: the angle is as good anywhere.
                prop_assert!((position - top).abs() * radians < 3e-4, "{position} for {top}");
                prop_assert!((height - 1.0).abs() < 1e-3, "{height}");
            }
            let between = interpolate(&y, top + 0.3, depth);
            prop_assert!((between - (0.3 * radians).cos()).abs() < 1e-3);
        }
    }

    #[test]
    fn samples_stay_and_ends_are_held() {
        let y = [1.0, -2.0, 3.0, -2.0, 1.0];
        for (i, &sample) in y.iter().enumerate() {
            assert_eq!(interpolate(&y, i as f64, 70), sample);
        }
        assert_eq!(interpolate(&y, -1.0, 70), 1.0);
        assert_eq!(interpolate(&y, 9.0, 70), 1.0);
        assert_eq!(interpolate(&y, 0.5, 70), -0.5);
    }

    #[test]
    fn short_angles_have_the_right_sine() {
        for i in 0..1000 {
            let x = PI / 3.0 * f64::from(i) / 1000.0;
            let ((sin, cos), expected) = (sin_cos(x), x.sin_cos());
            assert!((sin - expected.0).abs() < 1e-15 && (cos - expected.1).abs() < 1e-15);
        }
    }

    #[test]
    fn brent_finds_what_parabolas_miss() {
        let (position, height) = brent(|x| -(x - 0.7).abs(), -1.0, 1.0);
        assert!((position - 0.7).abs() < 1e-6 && height > -1e-6);
    }
}
