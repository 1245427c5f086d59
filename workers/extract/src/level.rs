//! Columns of the waveform itself: energy, zero crossings, and where there is sound.
//!
//! Definitions: mean of the squares; mean of `librosa.feature.zero_crossing_rate`;
//! `librosa.effects.split(top_db=30)`.
//!
//! Always holds: frames are those of [`crate::spectrum`], summed from blocks of one hop,
//! so each sample is looked at once, however the samples were cut into blocks.

use std::ops::Range;

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use voxage_contract::spec::{HOP_SAMPLES, N_FFT};

use crate::lanes;
use crate::spectrum::n_frames;

/// Blocks of one hop in a frame.
const BLOCKS: usize = N_FFT / HOP_SAMPLES;

/// Samples from one value of the [`Level::contour`] to the next: 5.8 ms.
pub(crate) const CONTOUR_SAMPLES: usize = HOP_SAMPLES / 4;

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
    /// Where there is sound, in samples.
    pub(crate) intervals: Vec<Range<usize>>,
    /// Mean power of every [`CONTOUR_SAMPLES`] samples around the mean of all.
    pub(crate) contour: Vec<f32>,
}

/// Measures a waveform that comes in blocks.
#[derive(Default)]
pub(crate) struct Meter {
    hops: Vec<Hop>,
    /// Mean power and mean of every [`CONTOUR_SAMPLES`] samples.
    contour: Vec<(f32, f32)>,
    /// The start of a hop that is not complete.
    pending: Vec<f32>,
    n_samples: usize,
    last: f32,
}

/// [`HOP_SAMPLES`] samples.
#[derive(Clone, Copy, Default)]
struct Hop {
    energy: f64,
    /// Changes of sign, from the sample before it on.
    crossings: u16,
    /// The first of them is at its first sample.
    crosses_first: bool,
}

impl Meter {
    /// Takes the next samples.
    pub(crate) fn push(&mut self, mut samples: &[f32]) {
        if !self.pending.is_empty() {
            let missing = samples.len().min(HOP_SAMPLES - self.pending.len());
            self.pending.extend_from_slice(&samples[..missing]);
            samples = &samples[missing..];
            if self.pending.len() < HOP_SAMPLES {
                return;
            }
            let hop = std::mem::take(&mut self.pending);
            self.hop(&hop);
        }
        let hops = samples.chunks_exact(HOP_SAMPLES);
        self.pending.extend_from_slice(hops.remainder());
        hops.for_each(|hop| self.hop(hop));
    }

    fn hop(&mut self, samples: &[f32]) {
        let before = if self.hops.is_empty() { samples[0] } else { self.last };
        let crosses_first = is_negative(before) != is_negative(samples[0]);
        let mut hop = Hop { energy: 0.0, crossings: u16::from(crosses_first), crosses_first };
        hop.crossings += crossings(samples);
        for part in samples.chunks(CONTOUR_SAMPLES) {
            let energy = lanes::dot_f64(part, part);
            hop.energy += energy;
            let n = part.len() as f64;
            self.contour.push(((energy / n) as f32, (lanes::sum(part) / n) as f32));
        }
        self.last = samples[samples.len() - 1];
        self.n_samples += samples.len();
        self.hops.push(hop);
    }

    /// What the samples were like, at least one of them; ready for another waveform.
    pub(crate) fn finish(&mut self) -> Level {
        let rest = std::mem::take(&mut self.pending);
        if !rest.is_empty() {
            self.hop(&rest);
        }
        let Self { mut hops, contour, n_samples, .. } = std::mem::take(self);
        let n_frames = n_frames(n_samples);
        let energy: f64 = hops.iter().map(|hop| hop.energy).sum();
        // Frame i takes hops i - 2 to i + 1: two empty hops before, two after.
        hops.splice(0..0, [Hop::default(); BLOCKS / 2]);
        hops.resize(n_frames + BLOCKS, Hop::default());
        let crossings =
            |frame: &[Hop]| frame.iter().map(|hop| i64::from(hop.crossings)).sum::<i64>();
        let frames = || hops.windows(BLOCKS).take(n_frames);
        // A frame's first sample has no neighbour in the frame to differ from.
        let n_crossings: i64 =
            frames().map(|frame| crossings(frame) - i64::from(frame[0].crosses_first)).sum();
        let powers = frames().map(|frame| frame.iter().map(|hop| hop.energy).sum::<f64>());
        let powers: Vec<f64> = powers.map(|energy| energy / N_FFT as f64).collect();
        let mean = contour.iter().map(|(_, mean)| f64::from(*mean)).sum::<f64>();
        let mean = (mean / contour.len() as f64) as f32;
        let around_mean = |(power, part): (f32, f32)| power - mean * (2.0 * part - mean);
        Level {
            energy: energy / n_samples as f64,
            zero_crossing_rate: n_crossings as f64 / (n_frames * N_FFT) as f64,
            intervals: split(&powers, n_samples),
            contour: contour.into_iter().map(|part| around_mean(part).max(0.0)).collect(),
        }
    }
}

/// Changes of sign within a slice.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn crossings(samples: &[f32]) -> u16 {
    let pairs = samples.iter().zip(&samples[1..]);
    pairs.map(|(&a, &b)| u16::from(is_negative(a) != is_negative(b))).sum()
}

/// Below zero, apart from rounding noise.
#[inline(always)]
fn is_negative(x: f32) -> bool {
    x < -1e-10
}

/// The intervals of sound, in samples.
fn split(powers: &[f64], n_samples: usize) -> Vec<Range<usize>> {
    let db = |power: f64| 10.0 * power.max(FLOOR).log10();
    let threshold_db = db(powers.iter().copied().fold(0.0, f64::max)) - SPLIT_DB;
    let sound: Vec<bool> = powers.iter().map(|&power| db(power) > threshold_db).collect();
    let (mut intervals, mut start) = (Vec::new(), 0);
    for run in sound.chunk_by(bool::eq) {
        let end = (start + run.len() * HOP_SAMPLES).min(n_samples);
        if run[0] {
            intervals.push(start..end);
        }
        start = end;
    }
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::spec::SAMPLE_RATE_HZ;

    fn level(samples: &[f32], block: usize) -> Level {
        let mut meter = Meter::default();
        samples.chunks(block).for_each(|block| meter.push(block));
        meter.finish()
    }

    fn sound_s(level: &Level) -> f64 {
        level.intervals.iter().map(Range::len).sum::<usize>() as f64 / f64::from(SAMPLE_RATE_HZ)
    }

    #[test]
    fn intervals_of_sound_are_counted() {
        let rate = SAMPLE_RATE_HZ as usize;
        let tone = |i: usize| (i as f32 * 0.1).sin() * if i / rate != 1 { 0.5 } else { 0.0 };
        let samples: Vec<f32> = (0..3 * rate).map(tone).collect();
        for block in [100, 512, 3 * rate] {
            let level = level(&samples, block);
            assert_eq!(level.intervals.len(), 2);
            assert!((sound_s(&level) - 2.0).abs() < 0.15, "{}", sound_s(&level));
            assert!((level.energy - 0.125 * 2.0 / 3.0).abs() < 1e-3, "{}", level.energy);
            // A tone of 0.1 / (2 pi) cycles a sample crosses zero twice a cycle.
            let rate = 0.1 / std::f64::consts::PI * 2.0 / 3.0;
            assert!((level.zero_crossing_rate - rate).abs() < 1e-3, "{}", level.zero_crossing_rate);
            assert_eq!(level.contour.len(), samples.len().div_ceil(CONTOUR_SAMPLES));
        }
    }

    #[test]
    fn a_single_sample_is_an_interval() {
        let level = level(&[0.1], 1);
        assert_eq!((level.intervals.len(), level.zero_crossing_rate), (1, 0.0));
        assert_eq!(level.intervals[0], 0..1);
    }
}
