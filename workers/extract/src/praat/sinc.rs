//! Between the samples: band-limited interpolation and the true height of a peak.
//!
//! Definition: a sinc under a raised cosine that reaches `depth` samples to either side
//! (fewer at the ends), as in Boersma (1993), "Accurate short-term analysis of the
//! fundamental frequency".
//!
//! Always holds: at a sample the interpolation gives the sample.

/// The value of `y` at position `x` between its samples.
pub(super) fn interpolate(y: &[f64], x: f64, depth: usize) -> f64 {
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
            let before = y[left + 1 - depth..=left].iter().rev();
            let after = &y[left + 1..=left + depth];
            half_sinc(before, fraction, depth) + half_sinc(after.iter(), 1.0 - fraction, depth)
        }
    }
}

/// The sum over samples at distances `first`, `first + 1`, ...: one side of the peak.
fn half_sinc<'a>(samples: impl Iterator<Item = &'a f64>, first: f64, depth: usize) -> f64 {
    use std::f64::consts::PI;
    let reach = PI / (first + depth as f64);
    let step = 2.0 * reach.cos();
    // cos((n + 1) r) = 2 cos(r) cos(n r) - cos((n - 1) r)
    let (mut previous, mut window) = (((first - 1.0) * reach).cos(), (first * reach).cos());
    let (mut sum, mut distance, mut sign) = (0.0, first, 1.0);
    for sample in samples {
        sum += sign * sample * (1.0 + window) / distance;
        (previous, window) = (window, step * window - previous);
        distance += 1.0;
        sign = -sign;
    }
    sum * (PI * first).sin() / (2.0 * PI)
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

/// Position and height of the interpolated maximum around the local maximum `y[peak]`.
pub(super) fn maximum(y: &[f64], peak: usize, depth: usize) -> (f64, f64) {
    if peak == 0 || peak + 1 >= y.len() {
        return (peak as f64, y[peak]);
    }
    let centre = peak as f64;
    brent(|x| interpolate(y, x, depth), centre - 1.0, centre + 1.0)
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
            if new.0 < x { high = x } else { low = x }
            (third, second, best) = (second, best, new);
        } else {
            if new.0 < x { low = new.0 } else { high = new.0 }
            if new.1 >= second.1 || second.0 == x {
                (third, second) = (second, new);
            } else if new.1 >= third.1 || third.0 == x || third.0 == second.0 {
                third = new;
            }
        }
    }
    best
}
