//! Who speaks: the embedding of a voice by a pretrained speaker encoder.
//!
//! Definition: Resemblyzer 0.1.4 (Wan et al., 2018, "Generalized end-to-end loss for speaker
//! verification"), `VoiceEncoder().embed_utterance(wav, rate=1.25, min_coverage=1)` after
//! `normalize_volume(wav, -30, increase_only=True)`, with librosa 0.10 or later. That is: a
//! level below -30 dB re full scale is raised to it; of the power mel spectrogram, windows of
//! 160 frames that start every 80 go through the network; the top layer's last hidden state
//! goes through a linear layer and a rectifier and is scaled to norm 1; the mean over the
//! windows is scaled to norm 1. Frames that fill no window count only where there is no
//! other: then silence follows until they do. (The package's own defaults are windows every
//! 77 frames, the last of which may be a quarter silence.)
//!
//! Always holds: memory is 16 kB for a second of speech, besides what is constant.
//! It does not know what silence is: it takes all that is pushed for speech.

mod gate;
mod lstm;
mod mel;
mod speech;
#[cfg(test)]
mod tests;
mod tile;
mod weights;

use std::sync::Arc;

use voxage_contract::spec::EMBEDDING_UNITS;

use crate::lanes;
use lstm::{BANDS, BATCH, Lstm, WINDOW};
pub(crate) use mel::RATE_HZ;
use mel::{HOP, Mel};
pub(crate) use speech::Speech;
use tile::UNITS;
pub use weights::{Weights, WeightsError};

/// Distance between the starts of two windows, in frames.
const STRIDE: usize = WINDOW / 2;

/// Mean square that nothing can be heard of: -120 dB re full scale.
const SILENCE: f64 = 1e-12;

/// Mean square that quieter recordings are raised to: -30 dB re full scale.
const LEVEL: f64 = 1e-3;

/// Makes embeddings, one recording after the other.
pub struct Encoder {
    weights: Arc<Weights>,
    mel: Mel,
    lstm: Lstm,
    frames: Vec<[f32; BANDS]>,
    n_samples: usize,
    /// Sum of the squared samples.
    energy: f64,
}

impl Encoder {
    /// An encoder for one thread.
    #[must_use]
    pub fn new(weights: Arc<Weights>) -> Self {
        Self {
            weights,
            mel: Mel::new(),
            lstm: Lstm::default(),
            frames: Vec::new(),
            n_samples: 0,
            energy: 0.0,
        }
    }

    /// Forgets a recording that was not finished.
    fn start(&mut self) {
        self.mel.start();
        self.frames.clear();
        (self.n_samples, self.energy) = (0, 0.0);
    }

    /// Takes the next samples of the recording's speech: mono, at 16 kHz.
    pub fn push(&mut self, samples: &[f32]) {
        self.n_samples += samples.len();
        self.energy += lanes::dot_f64(samples, samples);
        self.mel.push(samples, &mut self.frames);
    }

    /// The embedding of what was pushed, of norm 1; none where that was nothing, silence, or
    /// not finite. The next recording may follow.
    pub fn finish(&mut self) -> Option<[f32; EMBEDDING_UNITS]> {
        if self.energy <= SILENCE * self.n_samples as f64 {
            self.start();
            return None;
        }
        let missing = (WINDOW * HOP).saturating_sub(self.n_samples);
        self.mel.push(&vec![0.0; missing], &mut self.frames);
        self.mel.finish(&mut self.frames);
        let sum = self.sum_over_windows(gain(self.energy / self.n_samples as f64));
        self.start();
        unit(&sum)
    }

    /// The sum of the windows' embeddings, of the spectrogram scaled by `gain`.
    fn sum_over_windows(&mut self, gain: f32) -> [f32; UNITS] {
        let starts = (0..=self.frames.len() - WINDOW).step_by(STRIDE);
        let windows: Vec<_> =
            starts.filter_map(|start| self.frames[start..].first_chunk::<WINDOW>()).collect();
        let mut sum = [0.0; UNITS];
        // Even batches: a small last one would cost as much as a large one.
        let batch = windows.len().div_ceil(windows.len().div_ceil(BATCH));
        for windows in windows.chunks(batch) {
            for hidden in self.lstm.run(&self.weights.layers, windows, gain) {
                let rows = self.weights.linear.iter().zip(&self.weights.linear_bias);
                let mut rows = rows.map(|(row, bias)| (lanes::dot(row, hidden) + bias).max(0.0));
                let raw = std::array::from_fn(|_| rows.next().unwrap_or(0.0));
                for (sum, x) in sum.iter_mut().zip(unit(&raw).unwrap_or([0.0; UNITS])) {
                    *sum += x;
                }
            }
        }
        sum
    }
}

/// What raises a spectrogram of power where the recording's mean square is `power`.
fn gain(power: f64) -> f32 {
    if power > 0.0 { (LEVEL / power).max(1.0) as f32 } else { 1.0 }
}

/// The vector, scaled to norm 1; none where it has no direction.
fn unit(vector: &[f32; UNITS]) -> Option<[f32; UNITS]> {
    let norm = lanes::dot_f64(vector, vector).sqrt();
    (norm.is_finite() && norm > 0.0).then(|| vector.map(|x| (f64::from(x) / norm) as f32))
}
