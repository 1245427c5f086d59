//! The periods that a correlation curve suggests.
//!
//! Definition: Boersma (1993): the local maxima of the curve, at the position and height
//! of its interpolation; where there are too many the weakest give way.
//!
//! Always holds: a peak's lag is at least two samples, and its candidate lies within one
//! sample of it.

use super::correlate::Correlator;
use super::sinc::{interpolate, parabola};

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

/// Fills `peaks` with the local maxima of the correlator's curve above `least`.
pub(super) fn peaks(plan: &Correlator, least: f64, peaks: &mut Vec<Peak>) {
    let lags = 2..plan.max_lag.min(plan.reach);
    let maxima = lags.zip(plan.lags()[1..].windows(3)).filter_map(|(lag, r)| {
        let is_maximum = r[1] > least && r[1] > r[0] && r[1] >= r[2];
        is_maximum.then_some(Peak { lag, rank: r[1] })
    });
    peaks.clear();
    peaks.extend(maxima);
}

/// Keeps the `most` strongest peaks, an octave upwards being worth `octave_cost`.
pub(super) fn keep_strongest(
    plan: &Correlator,
    peaks: &mut Vec<Peak>,
    most: usize,
    octave_cost: f64,
) {
    if peaks.len() <= most {
        return;
    }
    for peak in peaks.iter_mut() {
        let r = &plan.lags()[peak.lag - 1..=peak.lag + 1];
        let lag = peak.lag as f64 + parabola(r[0], r[1], r[2]).0;
        let strength = interpolate(&plan.curve, plan.reach as f64 + lag, ROUGH_DEPTH);
        peak.rank = reflect(strength) - octave_cost * lag.log2();
    }
    peaks.select_nth_unstable_by(most, |a, b| b.rank.total_cmp(&a.rank));
    peaks.truncate(most);
}

/// The candidate of a peak.
pub(super) fn candidate(plan: &Correlator, peak: Peak, rate_hz: f64) -> Candidate {
    let (position, height) = plan.sinc.maximum(&plan.curve, plan.reach + peak.lag);
    let hz = rate_hz / (position - plan.reach as f64);
    Candidate { hz, strength: reflect(height) }
}

/// An interpolated correlation above 1 is as far from certain as its inverse.
fn reflect(strength: f64) -> f64 {
    if strength > 1.0 { 1.0 / strength } else { strength }
}
