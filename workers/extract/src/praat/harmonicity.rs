//! The harmonics-to-noise ratio.
//!
//! Definition: Praat's "To Harmonicity (cc)" (0.01 s, 75 Hz, 0.1, 1.0): in each frame the
//! highest normalised cross-correlation r gives 10 log10(r / (1 - r)) dB, silence -200 dB;
//! the mean of all frames.
//!
//! Always holds: no path is sought: with all costs zero each frame is on its own.

use super::candidates::{Peak, candidate, peaks};
use super::correlate::Correlator;
use super::pitch::FLOOR_HZ;
use super::sinc::{Halfway, parabola};
use super::sound::{Sound, frames};

const STEP_S: f64 = 0.01;
const SILENCE_THRESHOLD: f64 = 0.1;
/// Longest periods in a window.
const PERIODS: f64 = 1.0;
/// What the estimated height of a peak may be off, beside what its bend tells.
const MARGIN: f64 = 0.03;
/// The level of a frame without voice.
const UNVOICED_DB: f64 = -200.0;

/// A plan to measure harmonicity at one sample rate.
pub(super) struct Harmonicity {
    correlator: Correlator,
    halfway: Halfway,
    peaks: Vec<Peak>,
}

impl Harmonicity {
    /// None if the sample rate is too low.
    pub(super) fn new(rate_hz: f64) -> Option<Self> {
        let correlator = Correlator::cross(rate_hz, FLOOR_HZ, PERIODS)?;
        Some(Self { correlator, halfway: Halfway::new(), peaks: Vec::new() })
    }

    /// The mean over all frames in dB; none if the sound is shorter than a window.
    pub(super) fn mean_db(&mut self, sound: Sound<'_>) -> Option<f64> {
        let window_s = (1.0 + PERIODS) / FLOOR_HZ;
        let (n, first_s) = frames(sound, window_s, STEP_S)?;
        let global_peak = sound.peak_around_mean();
        let sum: f64 =
            (0..n).map(|i| self.frame_db(sound, first_s + i as f64 * STEP_S, global_peak)).sum();
        Some(sum / n as f64)
    }

    fn frame_db(&mut self, sound: Sound<'_>, time: f64, global_peak: f64) -> f64 {
        let peak = self.correlator.prepare(sound, time);
        let intensity = if peak > global_peak { 1.0 } else { peak / global_peak };
        let unvoiced_strength = (2.0 - intensity / SILENCE_THRESHOLD).max(0.0);
        // Nothing is stronger than 1: a frame as silent as this is unvoiced in any case.
        if peak == 0.0 || unvoiced_strength >= 1.0 {
            return UNVOICED_DB;
        }
        self.correlator.correlate(sound, time);
        peaks(&self.correlator, 0.0, &mut self.peaks);
        // The highest first: most of the others cannot reach what it gives.
        self.peaks.sort_unstable_by(|a, b| b.rank.total_cmp(&a.rank));
        let mut r = unvoiced_strength;
        for &peak in &self.peaks {
            if self.may_exceed(peak, r) {
                let candidate = candidate(&self.correlator, peak, sound.rate_hz);
                if candidate.hz < 0.5 * sound.rate_hz {
                    r = r.max(candidate.strength);
                }
            }
        }
        if r <= unvoiced_strength {
            UNVOICED_DB
        } else if r <= 1e-15 {
            -150.0
        } else if r > 1.0 - 1e-15 {
            150.0
        } else {
            10.0 * (r / (1.0 - r)).log10()
        }
    }
    /// Whether the interpolated height of a peak may exceed `level`.
    ///
    /// Between its samples a curve that oscillates fast rises well above them: first the
    /// bend at the peak, then the values halfway to its neighbours tell how far.
    fn may_exceed(&self, peak: Peak, level: f64) -> bool {
        let plan = &self.correlator;
        let r = &plan.lags()[peak.lag - 1..=peak.lag + 1];
        if r[1] + 2.0 * (2.0 * r[1] - r[0] - r[2]) + MARGIN <= level {
            return false;
        }
        let halfway = |lag| self.halfway.at(&plan.curve, plan.reach + lag);
        let (Some(left), Some(right)) = (halfway(peak.lag - 1), halfway(peak.lag)) else {
            return true;
        };
        let (_, height) = parabola(left, r[1].max(left).max(right), right);
        height + 0.25 * (2.0 * r[1] - left - right).abs() + MARGIN > level
    }
}
