//! The periods that a correlation curve suggests.
//!
//! Definition: Boersma (1993): the local maxima of the curve, at the position and height
//! of its interpolation; where there are too many the weakest give way.
//!
//! Always holds: a peak's lag is at least two samples, and its candidate lies within one
//! sample of it.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;

use super::correlate::Curve;
use super::sinc::{Sinc, interpolate, parabola};

/// A period that a frame may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) hz: f64,
    /// Correlation at this period, at most 1.
    pub(super) strength: f64,
}

/// A local maximum among the samples of a curve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    pub(super) lag: usize,
    /// How it stands among the others: its height, unless something better is known.
    pub(super) rank: f64,
}

/// Depth of the interpolation that decides which peaks to keep, in samples.
const ROUGH_DEPTH: usize = 30;

/// Fills `peaks` with the local maxima of the curve above `least`.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
pub(super) fn peaks(curve: &Curve, least: f64, peaks: &mut Vec<Peak>) {
    let r = &curve.lags()[1..=curve.max_lag.min(curve.reach)];
    peaks.clear();
    let mut maxima = [false; CHUNK];
    for first in (1..r.len() - 1).step_by(CHUNK) {
        let n = CHUNK.min(r.len() - 1 - first);
        if are_maxima(&r[first - 1..=first + n], least, &mut maxima) {
            let lags = (0..n).filter(|&i| maxima[i]).map(|i| first + i);
            peaks.extend(lags.map(|i| Peak { lag: i + 1, rank: r[i] }));
        }
    }
}

/// Values that are looked at together: maxima are few and far between.
const CHUNK: usize = 16;

/// Marks which of the inner values are maxima above `least`; whether there are any.
#[inline(always)]
fn are_maxima(r: &[f64], least: f64, maxima: &mut [bool; CHUNK]) -> bool {
    let mut any = false;
    for (maximum, r) in maxima.iter_mut().zip(r.windows(3)) {
        *maximum = (r[1] > least) & (r[1] > r[0]) & (r[1] >= r[2]);
        any |= *maximum;
    }
    any
}

/// Keeps the `most` strongest peaks, an octave upwards being worth `octave_cost`.
pub(super) fn keep_strongest(curve: &Curve, peaks: &mut Vec<Peak>, most: usize, octave_cost: f64) {
    if peaks.len() <= most {
        return;
    }
    for peak in peaks.iter_mut() {
        let r = &curve.lags()[peak.lag - 1..=peak.lag + 1];
        let lag = peak.lag as f64 + parabola(r[0], r[1], r[2]).0;
        let strength = interpolate(&curve.y, curve.reach as f64 + lag, ROUGH_DEPTH);
        peak.rank = reflect(strength) - octave_cost * lag.log2();
    }
    peaks.select_nth_unstable_by(most, |a, b| b.rank.total_cmp(&a.rank));
    peaks.truncate(most);
}

/// The candidate of a peak.
pub(super) fn candidate(curve: &Curve, sinc: &Sinc, peak: Peak, rate_hz: f64) -> Candidate {
    let (position, height) = sinc.maximum(&curve.y, curve.reach + peak.lag);
    let hz = rate_hz / (position - curve.reach as f64);
    Candidate { hz, strength: reflect(height) }
}

/// An interpolated correlation above 1 is as far from certain as its inverse.
fn reflect(strength: f64) -> f64 {
    if strength > 1.0 { 1.0 / strength } else { strength }
}
