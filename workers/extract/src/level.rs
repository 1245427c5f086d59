//! Columns of the waveform itself: energy, zero crossings, and where there is sound.
//!
//! Definitions: mean of the squares; mean of `librosa.feature.zero_crossing_rate`;
//! `librosa.effects.split(top_db=30)`.
//!
//! Always holds: frames are those of [`crate::spectrum`], summed from blocks of one hop,
//! so each sample is looked at once.

use voxage_contract::spec::{HOP_SAMPLES, N_FFT, SAMPLE_RATE_HZ};

use crate::lanes;
use crate::spectrum::n_frames;

/// Blocks of one hop in a frame.
const BLOCKS: usize = N_FFT / HOP_SAMPLES;

/// A frame counts as sound down to this depth below the loudest, in dB.
const SPLIT_DB: f64 = 30.0;

/// Least power that has a level of its own: librosa's `amin`, squared.
const FLOOR: f64 = 1e-10;

/// What the waveform gives.
pub(crate) struct Level {
    /// Mean of the squared samples.
    pub(crate) energy: f64,
    /// Mean rate of sign changes, per sample.
    pub(crate) zero_crossing_rate: f64,
    /// Number of intervals of sound.
    pub(crate) n_intervals: usize,
    /// Their total length in seconds.
    pub(crate) sound_s: f64,
}

/// Measures a waveform of at least one sample.
pub(crate) fn level(samples: &[f32]) -> Level {
    // Frame i takes blocks i - 2 to i + 1: two empty blocks before, two after.
    let n_frames = n_frames(samples.len());
    let mut energies = vec![0.0; n_frames + BLOCKS];
    let mut crossings = vec![0; n_frames + BLOCKS];
    let mut n_crossings = 0;
    for (i, block) in samples.chunks(HOP_SAMPLES).enumerate() {
        let slot = i + BLOCKS / 2;
        energies[slot] = lanes::dot_f64(block, block);
        let before = samples[(i * HOP_SAMPLES).saturating_sub(1)];
        let crosses_first = is_negative(before) != is_negative(block[0]);
        let pairs = block.iter().zip(&block[1..]);
        let within: u32 = pairs.map(|(&a, &b)| u32::from(is_negative(a) != is_negative(b))).sum();
        crossings[slot] = within + u32::from(crosses_first);
        // A frame's first sample has no neighbour in the frame to differ from.
        if slot < n_frames && crosses_first {
            n_crossings -= 1;
        }
    }
    n_crossings +=
        crossings.windows(BLOCKS).take(n_frames).flatten().map(|&n| i64::from(n)).sum::<i64>();
    let powers = energies.windows(BLOCKS).take(n_frames).map(|e| e.iter().sum::<f64>());
    let powers: Vec<f64> = powers.map(|energy| energy / N_FFT as f64).collect();
    let (n_intervals, sound_samples) = split(&powers, samples.len());
    Level {
        energy: energies.iter().sum::<f64>() / samples.len() as f64,
        zero_crossing_rate: n_crossings as f64 / (n_frames * N_FFT) as f64,
        n_intervals,
        sound_s: sound_samples as f64 / f64::from(SAMPLE_RATE_HZ),
    }
}

/// Below zero, apart from rounding noise.
fn is_negative(x: f32) -> bool {
    x < -1e-10
}

/// Number of intervals of sound and the samples in them.
fn split(powers: &[f64], n_samples: usize) -> (usize, usize) {
    let db = |power: f64| 10.0 * power.max(FLOOR).log10();
    let threshold_db = db(powers.iter().copied().fold(0.0, f64::max)) - SPLIT_DB;
    let sound: Vec<bool> = powers.iter().map(|&power| db(power) > threshold_db).collect();
    let (mut n_intervals, mut sound_samples, mut start) = (0, 0, 0);
    for run in sound.chunk_by(bool::eq) {
        let end = (start + run.len() * HOP_SAMPLES).min(n_samples);
        if run[0] {
            n_intervals += 1;
            sound_samples += end - start;
        }
        start = end;
    }
    (n_intervals, sound_samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_sound_are_counted() {
        let rate = SAMPLE_RATE_HZ as usize;
        let tone = |i: usize| (i as f32 * 0.1).sin() * if i / rate != 1 { 0.5 } else { 0.0 };
        let level = level(&(0..3 * rate).map(tone).collect::<Vec<_>>());
        assert_eq!(level.n_intervals, 2);
        assert!((level.sound_s - 2.0).abs() < 0.15, "{}", level.sound_s);
        assert!((level.energy - 0.125 * 2.0 / 3.0).abs() < 1e-3, "{}", level.energy);
        // A tone of 0.1 / (2 pi) cycles a sample crosses zero twice a cycle.
        let rate = 0.1 / std::f64::consts::PI * 2.0 / 3.0;
        assert!((level.zero_crossing_rate - rate).abs() < 1e-3, "{}", level.zero_crossing_rate);
    }

    #[test]
    fn a_single_sample_is_an_interval() {
        let level = level(&[0.1]);
        assert_eq!((level.n_intervals, level.zero_crossing_rate), (1, 0.0));
        assert_eq!(level.sound_s, 1.0 / f64::from(SAMPLE_RATE_HZ));
    }
}
