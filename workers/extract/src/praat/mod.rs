//! The columns that Praat defines: jitter, shimmer and harmonics-to-noise ratio, measured
//! on the recording's own rate and channels.
//!
//! Always holds: nothing here is taken from Praat; the definitions are those of its manual
//! and of Boersma (1993), checked against what Praat answers.

mod candidates;
mod correlate;
mod harmonicity;
mod perturbation;
mod pitch;
mod pulses;
mod sinc;
mod sound;

use harmonicity::Harmonicity;
use pitch::PitchTracker;
use sound::Sound;

/// A plan to measure voices at one sample rate.
pub(crate) struct Praat {
    rate_hz: u32,
    tracker: Option<PitchTracker>,
    harmonicity: Option<Harmonicity>,
}

impl Praat {
    pub(crate) fn new(rate_hz: u32) -> Self {
        let rate = f64::from(rate_hz);
        Self { rate_hz, tracker: PitchTracker::new(rate), harmonicity: Harmonicity::new(rate) }
    }

    /// Jitter and shimmer, where there is enough voice to tell.
    pub(crate) fn perturbation(&mut self, channels: &[Vec<f32>]) -> [Option<f64>; 2] {
        let sound = Sound::new(channels, self.rate_hz);
        let Some(pitch) = self.tracker.as_mut().and_then(|tracker| tracker.track(sound)) else {
            return [None, None];
        };
        let pulses = pulses::pulses(sound, &pitch);
        [perturbation::jitter(&pulses), perturbation::shimmer(sound, &pulses)]
    }

    /// Mean harmonics-to-noise ratio in dB; none if the sound is shorter than a window.
    pub(crate) fn harmonicity_db(&mut self, channels: &[Vec<f32>]) -> Option<f64> {
        self.harmonicity.as_mut()?.mean_db(Sound::new(channels, self.rate_hz))
    }
}

pub(crate) fn debug(channels: &[Vec<f32>], rate: u32) -> String {
    let mut praat = Praat::new(rate);
    let sound = Sound::new(channels, rate);
    let pitch = praat.tracker.as_mut().unwrap().track(sound).unwrap();
    let pulses = pulses::pulses(sound, &pitch);
    let h = praat.harmonicity.as_mut().unwrap().frames_db(sound).unwrap();
    let f = |v: &[f64]| v.iter().map(|x| format!("{x:.12}")).collect::<Vec<_>>().join(" ");
    let hz: Vec<f64> = pitch.hz.iter().map(|x| x.unwrap_or(0.0)).collect();
    format!("{}\n{}\n{}\n", f(&hz), f(&pulses), f(&h))
}
