//! The short-time spectrum that the mel spectrogram, the spectral columns and the tempo
//! are made of: one transform for two frames, shared by all.
//!
//! Definition: `librosa.stft` with its defaults: frames of [`N_FFT`] samples every
//! [`HOP_SAMPLES`], centred, zeros beyond the ends, periodic Hann window.
//!
//! Always holds: there are `1 + n / HOP_SAMPLES` frames, in order, however the samples
//! were cut into blocks; digital silence has a power of exactly 0.
//! It does not know what is made of a frame.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use rustfft::num_complex::Complex;
use voxage_contract::spec::{HOP_SAMPLES, N_FFT};

use crate::fft::{Fft, powers_f32};

/// Bins of a spectrum, 0 Hz to half the sample rate.
pub(crate) const N_BINS: usize = N_FFT / 2 + 1;

/// Values of a power spectrum with what pads it to whole vectors.
pub(crate) const N_PADDED: usize = N_BINS.next_multiple_of(16);

/// Number of frames of `n_samples` samples.
pub(crate) fn n_frames(n_samples: usize) -> usize {
    1 + n_samples / HOP_SAMPLES
}

/// The periodic Hann window of `n` samples.
pub(crate) fn hann(n: usize) -> Vec<f64> {
    let turn = std::f64::consts::TAU / n as f64;
    (0..n).map(|i| 0.5 - 0.5 * (turn * i as f64).cos()).collect()
}

/// A plan for the transform of frames, fed block by block.
pub(crate) struct Stft {
    window: Vec<f32>,
    fft: Fft<f32>,
    /// Samples that frames to come still need.
    pending: Vec<f32>,
    n_samples: usize,
    n_done: usize,
    powers: [Vec<f32>; 2],
}

impl Stft {
    pub(crate) fn new() -> Self {
        Self {
            window: hann(N_FFT).into_iter().map(|x| x as f32).collect(),
            fft: Fft::new(N_FFT),
            pending: Vec::new(),
            n_samples: 0,
            n_done: 0,
            powers: [(); 2].map(|()| vec![0.0; N_PADDED]),
        }
    }

    /// Makes ready for another recording.
    pub(crate) fn start(&mut self) {
        (self.n_samples, self.n_done) = (0, 0);
        self.pending.clear();
        self.pending.resize(N_FFT / 2, 0.0);
    }

    /// Takes the next samples; gives `each` the power spectra |X|² of the frames that they
    /// complete, [`N_PADDED`] values of which the last ones are 0.
    pub(crate) fn push(&mut self, samples: &[f32], each: &mut impl FnMut(&[f32])) {
        self.n_samples += samples.len();
        self.pending.extend_from_slice(samples);
        let mut at = 0;
        while self.pending.len() - at >= N_FFT + HOP_SAMPLES {
            self.transform(at, 2, each);
            at += 2 * HOP_SAMPLES;
        }
        self.pending.drain(..at);
    }

    /// The frames that reach beyond the last sample.
    pub(crate) fn finish(&mut self, each: &mut impl FnMut(&[f32])) {
        self.pending.resize(self.pending.len() + N_FFT, 0.0);
        let mut at = 0;
        for left in (1..=n_frames(self.n_samples) - self.n_done).rev().step_by(2) {
            self.transform(at, left.min(2), each);
            at += 2 * HOP_SAMPLES;
        }
    }

    /// One or two frames from `at` on.
    fn transform(&mut self, at: usize, n: usize, each: &mut impl FnMut(&[f32])) {
        let first = &self.pending[at..at + N_FFT];
        let second = &self.pending[at + HOP_SAMPLES..at + HOP_SAMPLES + N_FFT];
        windowed(first, second, &self.window, &mut self.fft.data);
        // The rounding noise of a frame would show in its neighbour.
        let silent = [first, second].map(|frame| frame.iter().all(|&x| x == 0.0));
        self.fft.forward();
        let [first, second] = &mut self.powers;
        first.fill(0.0);
        second.fill(0.0);
        powers_f32(&self.fft.data, &mut first[..N_BINS], &mut second[..N_BINS]);
        for (power, silent) in self.powers.iter_mut().zip(silent).take(n) {
            if silent {
                power.fill(0.0);
            }
            each(power);
        }
        self.n_done += n;
    }
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn windowed(first: &[f32], second: &[f32], window: &[f32], out: &mut [Complex<f32>]) {
    for (((out, a), b), w) in out.iter_mut().zip(first).zip(second).zip(window) {
        *out = Complex::new(a * w, b * w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(samples: &[f32], block: usize) -> Vec<Vec<f32>> {
        let (mut stft, mut all) = (Stft::new(), Vec::new());
        stft.start();
        for block in samples.chunks(block) {
            stft.push(block, &mut |power| all.push(power.to_vec()));
        }
        stft.finish(&mut |power| all.push(power.to_vec()));
        all
    }

    #[test]
    fn blocks_do_not_matter() {
        for n in [1, 511, 512, 5000, 5120] {
            let samples: Vec<f32> = (0..n).map(|i| (i as f32 * 0.3).sin()).collect();
            let whole = frames(&samples, n);
            assert_eq!(whole.len(), n_frames(n));
            for block in [1, 100, 1023] {
                assert_eq!(frames(&samples, block), whole, "{n} in {block}");
            }
        }
    }

    #[test]
    fn a_tone_is_a_line() {
        // Bin 100 of 2048; a Hann window halves the amplitude: (n / 4)² of power.
        let turn = std::f32::consts::TAU * 100.0 / N_FFT as f32;
        let samples: Vec<f32> = (0..8192).map(|i| (turn * i as f32).cos()).collect();
        for power in &frames(&samples, 777)[3..13] {
            assert!((power[100] / (N_FFT as f32 / 4.0).powi(2) - 1.0).abs() < 1e-4);
            assert!(power[110] < 1e-6 * power[100] && power[N_BINS..].iter().all(|&x| x == 0.0));
        }
    }

    #[test]
    fn silence_beside_sound_is_silence() {
        let mut samples = vec![0.0; 10_240];
        samples[..1024].fill(1.0);
        assert!(frames(&samples, 5000)[4..].iter().flatten().all(|&x| x == 0.0));
    }
}
