//! The periods that a correlation curve suggests.
//!
//! Definition: Boersma (1993): the local maxima of the curve; a higher curve is a stronger
//! candidate, and where there are too many the weakest give way, low frequencies first.
//!
//! Always holds: a candidate's lag is at least two samples.

use super::correlate::Correlator;
use super::sinc::{interpolate, maximum, parabola};

/// A period that a frame may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) hz: f64,
    /// Correlation at this period, at most 1.
    pub(super) strength: f64,
}

/// How to choose among a curve's maxima.
pub(super) struct Choice {
    /// Lower maxima are none.
    pub(super) least_strength: f64,
    /// How many to keep.
    pub(super) most: usize,
    /// Strength that an octave is worth when only some can be kept.
    pub(super) octave_cost: f64,
    /// Interpolation depth in samples.
    pub(super) depth: usize,
}

/// Depth of the interpolation that decides which maxima to keep, in samples.
const ROUGH_DEPTH: usize = 30;

/// Appends the candidates of the correlator's curve to `out`.
pub(super) fn find(plan: &Correlator, rate_hz: f64, choice: &Choice, out: &mut Vec<Candidate>) {
    let (curve, zero) = (&plan.curve, plan.reach);
    let first = out.len();
    let mut lags = Vec::new();
    for lag in 2..plan.max_lag.min(plan.reach) {
        let around = [curve[zero + lag - 1], curve[zero + lag], curve[zero + lag + 1]];
        let [left, middle, right] = around;
        if middle <= choice.least_strength || middle <= left || middle < right {
            continue;
        }
        let exact_lag = lag as f64 + parabola(left, middle, right).0;
        let strength = reflect(interpolate(curve, zero as f64 + exact_lag, ROUGH_DEPTH));
        let candidate = Candidate { hz: rate_hz / exact_lag, strength };
        if lags.len() < choice.most {
            lags.push(lag);
            out.push(candidate);
            continue;
        }
        let worth = |c: &Candidate| c.strength + choice.octave_cost * c.hz.log2();
        let kept = out[first..].iter().enumerate();
        let weakest = kept.min_by(|(_, a), (_, b)| worth(a).total_cmp(&worth(b)));
        if let Some((place, weakest)) = weakest
            && worth(&candidate) > worth(weakest)
        {
            lags[place] = lag;
            out[first + place] = candidate;
        }
    }
    for (candidate, &lag) in out[first..].iter_mut().zip(&lags) {
        let depth = if candidate.hz > 0.3 * rate_hz { 700 } else { choice.depth };
        let (position, height) = maximum(curve, zero + lag, depth);
        *candidate =
            Candidate { hz: rate_hz / (position - zero as f64), strength: reflect(height) };
    }
}

/// An interpolated correlation above 1 is as far from certain as its inverse.
fn reflect(strength: f64) -> f64 {
    if strength > 1.0 { 1.0 / strength } else { strength }
}
