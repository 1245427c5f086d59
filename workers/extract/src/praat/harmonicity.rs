//! The harmonics-to-noise ratio.
//!
//! Definition: Praat's "To Harmonicity (cc)" (0.01 s, 75 Hz, 0.1, 1.0): in each frame the
//! highest normalised cross-correlation r gives 10 log10(r / (1 - r)) dB, silence -200 dB.
//!
//! Always holds: no path is sought: with all costs zero each frame is on its own.

use std::collections::VecDeque;

use super::candidates::{Peak, candidate, peaks};
use super::correlate::{Correlator, Curve};
use super::pitch::FLOOR_HZ;
use super::sinc::{Halfway, Sinc, parabola};
use super::sound::{Clock, Sound};
use super::walk::Walk;

const STEP_S: f64 = 0.01;
const SILENCE_THRESHOLD: f64 = 0.1;
/// Longest periods in a window.
const PERIODS: f64 = 1.0;
/// What the estimated height of a peak may be off, beside what its bend tells.
const MARGIN: f64 = 0.03;
/// The level of a frame without voice.
pub(super) const UNVOICED_DB: f64 = -200.0;

/// A plan to measure harmonicity at one sample rate.
pub(super) struct Harmonicity {
    correlator: Correlator,
    halfway: Halfway,
    peaks: Vec<Peak>,
}

/// The harmonicity of a recording so far.
pub(super) struct Track {
    walk: Walk,
    global_peak: f64,
    /// Level of each frame in dB.
    pub(super) db: Vec<f64>,
    /// Of the frames that are being correlated, how strong no voice at all would be.
    unvoiced: VecDeque<f64>,
}

impl Harmonicity {
    /// None if the sample rate is too low.
    pub(super) fn new(rate_hz: f64) -> Option<Self> {
        let correlator = Correlator::cross(rate_hz, FLOOR_HZ, PERIODS)?;
        Some(Self { correlator, halfway: Halfway::new(), peaks: Vec::new() })
    }

    /// A track over a recording whose samples deviate by `global_peak` from their mean.
    pub(super) fn start(&self, clock: Clock, global_peak: f64) -> Track {
        let walk = Walk::new(clock.frames((1.0 + PERIODS) / FLOOR_HZ, STEP_S));
        let db = vec![UNVOICED_DB; walk.frames.n];
        Track { walk, global_peak, db, unvoiced: VecDeque::new() }
    }

    pub(super) fn needs(&self, track: &Track, clock: Clock) -> usize {
        track.walk.needs(clock, &self.correlator)
    }

    /// Goes on with what is at hand.
    pub(super) fn advance(&mut self, track: &mut Track, sound: (Sound<'_>, usize)) {
        let Track { walk, global_peak, db, unvoiced } = track;
        let rate_hz = sound.0.clock.rate_hz;
        let unvoiced = std::cell::RefCell::new(unvoiced);
        let wants = |peak: f64| {
            let intensity = if peak > *global_peak { 1.0 } else { peak / *global_peak };
            let strength = (2.0 - intensity / SILENCE_THRESHOLD).max(0.0);
            // Nothing is stronger than 1: a frame as silent as this is unvoiced in any case.
            let wants = peak > 0.0 && strength < 1.0;
            if wants {
                unvoiced.borrow_mut().push_back(strength);
            }
            wants
        };
        let (halfway, peaks) = (&self.halfway, &mut self.peaks);
        walk.advance(&mut self.correlator, sound, wants, |frame, curve, sinc| {
            let unvoiced = unvoiced.borrow_mut().pop_front().unwrap_or(0.0);
            db[frame] = level_db(curve, sinc, halfway, peaks, rate_hz, unvoiced);
        });
    }
}

/// The level of a frame in dB, from its curve.
fn level_db(
    curve: &Curve,
    sinc: &Sinc,
    halfway: &Halfway,
    found: &mut Vec<Peak>,
    rate_hz: f64,
    unvoiced_strength: f64,
) -> f64 {
    peaks(curve, 0.0, found);
    // The highest first: most of the others cannot reach what it gives.
    found.sort_unstable_by(|a, b| b.rank.total_cmp(&a.rank));
    let mut r = unvoiced_strength;
    for &peak in &*found {
        if may_exceed(curve, halfway, peak, r) {
            let candidate = candidate(curve, sinc, peak, rate_hz);
            if candidate.hz < 0.5 * rate_hz {
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
fn may_exceed(curve: &Curve, halfway: &Halfway, peak: Peak, level: f64) -> bool {
    let r = &curve.lags()[peak.lag - 1..=peak.lag + 1];
    if r[1] + 2.0 * (2.0 * r[1] - r[0] - r[2]) + MARGIN <= level {
        return false;
    }
    let halfway = |lag| halfway.at(&curve.y, curve.reach + lag);
    let (Some(left), Some(right)) = (halfway(peak.lag - 1), halfway(peak.lag)) else {
        return true;
    };
    let (_, height) = parabola(left, r[1].max(left).max(right), right);
    height + 0.25 * (2.0 * r[1] - left - right).abs() + MARGIN > level
}
