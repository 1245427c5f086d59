//! The encoder's mel spectrogram, taken from samples as they come.
//!
//! Definition: `librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160,
//! n_mels=40)`: power, not levels in dB; frames centred, zeros beyond the ends, periodic Hann
//! window, Slaney's scale and norm.
//!
//! Always holds: frames do not depend on how samples are cut into blocks.
//! It does not know how loud the recording is meant to be.

use super::lstm::BANDS;
use crate::fft::Fft;
use crate::mel::{Filter, triangles};
use crate::spectrum::hann;

/// Rate of the samples, in Hz.
pub(crate) const RATE_HZ: u32 = 16_000;

/// Length of a frame, in samples.
const N_FFT: usize = 400;

/// Distance between two frames, in samples.
pub(super) const HOP: usize = 160;

/// Samples that are taken in at a time.
const BLOCK: usize = 4096;

/// A spectrogram in the making.
pub(super) struct Mel {
    window: Vec<f32>,
    bands: Vec<Filter>,
    fft: Fft<f32>,
    /// Samples that frames are still to be made of, zeros before the first included.
    pending: Vec<f32>,
}

impl Mel {
    pub(super) fn new() -> Self {
        Self {
            window: hann(N_FFT).into_iter().map(|x| x as f32).collect(),
            bands: triangles(RATE_HZ, N_FFT, BANDS),
            fft: Fft::new(N_FFT),
            pending: vec![0.0; N_FFT / 2],
        }
    }

    /// Adds to `frames` those that the samples complete.
    pub(super) fn push(&mut self, samples: &[f32], frames: &mut Vec<[f32; BANDS]>) {
        for block in samples.chunks(BLOCK) {
            self.pending.extend_from_slice(block);
            let mut start = 0;
            while start + N_FFT <= self.pending.len() {
                frames.push(self.frame(start));
                start += HOP;
            }
            self.pending.drain(..start);
        }
    }

    /// Adds the last frames, those that reach beyond the end, and is as new.
    pub(super) fn finish(&mut self, frames: &mut Vec<[f32; BANDS]>) {
        self.push(&[0.0; N_FFT / 2], frames);
        self.start();
    }

    /// Forgets what was pushed.
    pub(super) fn start(&mut self) {
        self.pending.clear();
        self.pending.resize(N_FFT / 2, 0.0);
    }

    fn frame(&mut self, start: usize) -> [f32; BANDS] {
        let samples = &self.pending[start..];
        let windowed = samples.iter().zip(&self.window).map(|(x, window)| x * window);
        for (out, x) in self.fft.data.iter_mut().zip(windowed) {
            *out = x.into();
        }
        self.fft.forward();
        std::array::from_fn(|i| {
            let (first_bin, weights) = &self.bands[i];
            let bins = &self.fft.data[*first_bin..];
            weights.iter().zip(bins).map(|(weight, bin)| weight * bin.norm_sqr()).sum()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use voxage_contract::Gender;

    use super::*;
    use crate::synth::Speaker;

    #[derive(Deserialize)]
    struct Golden {
        voices: BTreeMap<String, Voice>,
    }

    /// A spectrogram that the oracle gave: every so many frames.
    #[derive(Deserialize)]
    struct Voice {
        mel_every: usize,
        mel: Vec<f32>,
    }

    #[test]
    fn spectrograms_are_those_of_librosa() {
        let golden = include_str!("../../tests/golden/embedding.json");
        let Golden { voices } = serde_json::from_str(golden).unwrap();
        let voice = &voices["long"];
        let samples = Speaker::new(11, 33.0, Gender::Male).utter(0, 7.3, RATE_HZ);
        let found: Vec<_> = frames(&[&samples]).into_iter().step_by(voice.mel_every).collect();
        assert_eq!(found.as_flattened().len(), voice.mel.len());
        let greatest = voice.mel.iter().copied().fold(0.0, f32::max);
        for (a, b) in found.as_flattened().iter().zip(&voice.mel) {
            assert!((a - b).abs() < 1e-5 * b + 1e-7 * greatest, "{a} {b}");
        }
    }

    fn frames(blocks: &[&[f32]]) -> Vec<[f32; BANDS]> {
        let (mut mel, mut frames) = (Mel::new(), Vec::new());
        for block in blocks {
            mel.push(block, &mut frames);
        }
        mel.finish(&mut frames);
        frames
    }

    #[test]
    fn blocks_do_not_show() {
        let samples: Vec<f32> = (0..9_999).map(|i| (i as f32 * 0.3).sin()).collect();
        let whole = frames(&[&samples]);
        assert_eq!(whole.len(), 1 + samples.len() / HOP);
        let (head, rest) = samples.split_at(17);
        let (middle, tail) = rest.split_at(5_000);
        assert_eq!(frames(&[head, &[], middle, tail]), whole);
    }

    #[test]
    fn a_tone_is_in_its_band() {
        let turn = std::f32::consts::TAU * 1000.0 / RATE_HZ as f32;
        let samples: Vec<f32> = (0..4_000).map(|i| (i as f32 * turn).sin()).collect();
        let frame = frames(&[&samples])[12];
        let loudest = (0..BANDS).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
        // 1000 Hz is mel 15 of 45.2, a 41st of which is a step.
        assert_eq!(loudest, 13);
    }
}
