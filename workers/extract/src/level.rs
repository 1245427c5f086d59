//! Columns of the waveform itself: energy, zero crossings, and where there is sound.
//!
//! Definitions: mean of the squares; mean of `librosa.feature.zero_crossing_rate`;
//! `librosa.effects.split(top_db=30)`.
//!
//! Always holds: frames are those of [`crate::spectrum`], summed from blocks of one hop,
//! so each sample is looked at once.

use voxage_contract::spec::{HOP_SAMPLES, N_FFT, SAMPLE_RATE_HZ};

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

/// Measures the waveform.
pub(crate) fn level(samples: &[f32]) -> Level {
    // Frame i takes blocks i - 2 to i + 1: two empty blocks before, two after.
    let n_frames = n_frames(samples.len());
    let mut energies = vec![0.0; n_frames + BLOCKS];
    let mut crossings = vec![0u32; n_frames + BLOCKS];
    let mut crosses_first = vec![false; n_frames + BLOCKS];
    let mut was_negative = samples.first().is_some_and(|&x| is_negative(x));
    for (i, block) in samples.chunks(HOP_SAMPLES).enumerate() {
        let slot = i + BLOCKS / 2;
        for (j, &x) in block.iter().enumerate() {
            energies[slot] += f64::from(x) * f64::from(x);
            let crosses = is_negative(x) != was_negative;
            crossings[slot] += u32::from(crosses);
            crosses_first[slot] |= crosses && j == 0;
            was_negative = is_negative(x);
        }
    }
    // A frame's first sample has no neighbour within the frame to differ from.
    let n_crossings: u64 = (0..n_frames)
        .map(|i| {
            let blocks = &crossings[i..i + BLOCKS];
            u64::from(blocks.iter().sum::<u32>()) - u64::from(crosses_first[i])
        })
        .sum();
    let powers: Vec<f64> =
        (0..n_frames).map(|i| energies[i..i + BLOCKS].iter().sum::<f64>() / N_FFT as f64).collect();
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
    let (mut n_intervals, mut sound_samples, mut start) = (0, 0, None);
    for (i, sound) in powers.iter().map(|&power| db(power) > threshold_db).enumerate() {
        match (sound, start) {
            (true, None) => start = Some(i * HOP_SAMPLES),
            (false, Some(from)) => {
                n_intervals += 1;
                sound_samples += i * HOP_SAMPLES - from;
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        n_intervals += 1;
        sound_samples += n_samples.saturating_sub(from);
    }
    (n_intervals, sound_samples)
}
