//! The log-mel spectrogram.
//!
//! Definition: `librosa.feature.melspectrogram` and `power_to_db`: 128 triangles on
//! Slaney's scale from 0 Hz to half the sample rate, each of unit area (Slaney's norm),
//! over the power spectrum; decibels of at least 1e-10, at most [`TOP_DB`] below the maximum.
//!
//! Always holds: a band's weights are kept for its own bins only.
//! It does not know how a spectrogram is stored.

use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ, TOP_DB};
use voxage_contract::{MelReference, N_MELS};

use crate::spectrum::{Frame, N_BINS};

/// Least power that has a level of its own.
const FLOOR: f32 = 1e-10;

/// The mel filters.
pub(crate) struct MelBank {
    bands: Vec<Band>,
}

struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

/// Slaney's mel scale: linear below 1 kHz, logarithmic above.
pub(crate) fn mel_to_hz(mel: f64) -> f64 {
    const LINEAR_HZ: f64 = 200.0 / 3.0;
    const BREAK_MEL: f64 = 1000.0 / LINEAR_HZ;
    if mel < BREAK_MEL {
        mel * LINEAR_HZ
    } else {
        1000.0 * ((6.4f64.ln() / 27.0) * (mel - BREAK_MEL)).exp()
    }
}

pub(crate) fn hz_to_mel(hz: f64) -> f64 {
    if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln() }
}

impl MelBank {
    pub(crate) fn new() -> Self {
        let nyquist_hz = f64::from(SAMPLE_RATE_HZ) / 2.0;
        let step_mel = hz_to_mel(nyquist_hz) / (N_MELS + 1) as f64;
        let edge_hz = |i: usize| mel_to_hz(step_mel * i as f64);
        let bin_hz = f64::from(SAMPLE_RATE_HZ) / N_FFT as f64;
        let bands = (0..N_MELS).map(|band| {
            let [low, centre, high] = [0, 1, 2].map(|i| edge_hz(band + i));
            let weight = |bin: usize| {
                let hz = bin as f64 * bin_hz;
                let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre));
                (triangle.max(0.0) * 2.0 / (high - low)) as f32
            };
            let first_bin = (0..N_BINS).find(|&bin| weight(bin) > 0.0).unwrap_or(0);
            let weights = (first_bin..N_BINS).map(weight).take_while(|&w| w > 0.0).collect();
            Band { first_bin, weights }
        });
        Self { bands: bands.collect() }
    }

    /// Adds one frame's levels in dB re 1 to `db`: 128 values, no lower bound but [`FLOOR`].
    pub(crate) fn push(&self, frame: Frame<'_>, db: &mut Vec<f32>) {
        db.extend(self.bands.iter().map(|band| {
            let bins = &frame.power[band.first_bin..];
            let power: f32 = band.weights.iter().zip(bins).map(|(w, p)| w * p).sum();
            10.0 * power.max(FLOOR).log10()
        }));
    }
}

/// Raises what lies more than [`TOP_DB`] below the maximum to that depth; gives the maximum.
pub(crate) fn clip(db: &mut [f32]) -> f32 {
    let max = db.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in db {
        *x = x.max(max - TOP_DB);
    }
    max
}

/// From levels re 1 with maximum `max` to levels re `reference`.
pub(crate) fn refer(db: &mut [f32], max: f32, reference: MelReference) {
    if reference == MelReference::Max {
        for x in db {
            *x -= max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_power_is_flat_in_all_wide_bands() {
        // Slaney's norm gives every triangle unit area over frequency in Hz.
        let power = [1.0; N_BINS];
        let mut db = Vec::new();
        MelBank::new().push(Frame { power: &power, magnitude: &power }, &mut db);
        let bin_db = -10.0 * (SAMPLE_RATE_HZ as f32 / N_FFT as f32).log10();
        assert!(db[60..].iter().all(|x| (x - bin_db).abs() < 0.2), "{db:?}");
    }

    #[test]
    fn levels_are_clipped_below_the_maximum() {
        let mut db = [-3.0, -200.0, -40.0];
        let max = clip(&mut db);
        assert_eq!((max, db), (-3.0, [-3.0, -83.0, -40.0]));
        refer(&mut db, max, MelReference::One);
        assert_eq!(db[0], -3.0);
        refer(&mut db, max, MelReference::Max);
        assert_eq!(db, [0.0, -80.0, -37.0]);
    }
}
