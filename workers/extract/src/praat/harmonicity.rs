//! The harmonics-to-noise ratio.
//!
//! Definition: Praat's "To Harmonicity (cc)" (0.01 s, 75 Hz, 0.1, 1.0): in each frame the
//! highest normalised cross-correlation r gives 10 log10(r / (1 - r)) dB, silence -200 dB;
//! the mean of all frames.
//!
//! Always holds: no path is sought: with all costs zero each frame is on its own.

use super::candidates::{Candidate, Choice, find};
use super::correlate::Correlator;
use super::pitch::{FLOOR_HZ, global_peak};
use super::sound::{Sound, frames};

const STEP_S: f64 = 0.01;
const SILENCE_THRESHOLD: f64 = 0.1;
/// Longest periods in a window.
const PERIODS: f64 = 1.0;
const DEPTH: usize = 700;
/// The level of a frame without voice.
const UNVOICED_DB: f64 = -200.0;

/// A plan to measure harmonicity at one sample rate.
pub(super) struct Harmonicity {
    correlator: Correlator,
    candidates: Vec<Candidate>,
}

impl Harmonicity {
    /// None if the sample rate is too low.
    pub(super) fn new(rate_hz: f64) -> Option<Self> {
        let correlator = Correlator::cross(rate_hz, FLOOR_HZ, PERIODS)?;
        Some(Self { correlator, candidates: Vec::new() })
    }

    /// The mean over all frames in dB; none if the sound is shorter than a window.
    pub(super) fn mean_db(&mut self, sound: Sound<'_>) -> Option<f64> {
        let window_s = (1.0 + PERIODS) / FLOOR_HZ;
        let (n, first_s) = frames(sound, window_s, STEP_S)?;
        let global_peak = global_peak(sound);
        let sum: f64 =
            (0..n).map(|i| self.frame_db(sound, first_s + i as f64 * STEP_S, global_peak)).sum();
        Some(sum / n as f64)
    }

    pub(super) fn frames_db(&mut self, sound: Sound<'_>) -> Option<Vec<f64>> {
        let window_s = (1.0 + PERIODS) / FLOOR_HZ;
        let (n, first_s) = frames(sound, window_s, STEP_S)?;
        let global_peak = global_peak(sound);
        Some(
            (0..n)
                .map(|i| self.frame_db(sound, first_s + i as f64 * STEP_S, global_peak))
                .collect(),
        )
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
        self.candidates.clear();
        let ceiling_hz = 0.5 * sound.rate_hz;
        let choice = Choice {
            least_strength: 0.0,
            most: (ceiling_hz / FLOOR_HZ).floor() as usize - 1,
            octave_cost: 0.0,
            depth: DEPTH,
        };
        find(&self.correlator, sound.rate_hz, &choice, &mut self.candidates);
        let voiced = self.candidates.iter().filter(|c| c.hz < ceiling_hz).map(|c| c.strength);
        let r = voiced.fold(unvoiced_strength, f64::max);
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
}
