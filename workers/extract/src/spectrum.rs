//! The short-time spectrum that the mel spectrogram, the spectral columns and the tempo
//! are made of: one transform a frame, shared by all.
//!
//! Definition: `librosa.stft` with its defaults: frames of [`N_FFT`] samples every
//! [`HOP_SAMPLES`], centred, zeros beyond the ends, periodic Hann window.
//!
//! Always holds: there are `1 + n / HOP_SAMPLES` frames.
//! It does not know what is made of a frame.

use voxage_contract::spec::{HOP_SAMPLES, N_FFT};

use crate::fft::RealFft;

/// Bins of a spectrum, 0 Hz to half the sample rate.
pub(crate) const N_BINS: usize = N_FFT / 2 + 1;

/// Number of frames of `n_samples` samples.
pub(crate) fn n_frames(n_samples: usize) -> usize {
    1 + n_samples / HOP_SAMPLES
}

/// The periodic Hann window of `n` samples.
pub(crate) fn hann(n: usize) -> Vec<f64> {
    let turn = std::f64::consts::TAU / n as f64;
    (0..n).map(|i| 0.5 - 0.5 * (turn * i as f64).cos()).collect()
}

/// A plan for the transform of frames.
pub(crate) struct Stft {
    window: Vec<f32>,
    fft: RealFft<f32>,
    power: Vec<f32>,
    magnitude: Vec<f32>,
}

/// One frame's spectrum.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// |X|², [`N_BINS`] values.
    pub(crate) power: &'a [f32],
    /// |X|.
    pub(crate) magnitude: &'a [f32],
}

impl Stft {
    pub(crate) fn new() -> Self {
        Self {
            window: hann(N_FFT).into_iter().map(|x| x as f32).collect(),
            fft: RealFft::new(N_FFT),
            power: vec![0.0; N_BINS],
            magnitude: vec![0.0; N_BINS],
        }
    }

    /// The spectrum of frame `index`.
    pub(crate) fn frame(&mut self, samples: &[f32], index: usize) -> Frame<'_> {
        let centre = index * HOP_SAMPLES;
        let start = centre.saturating_sub(N_FFT / 2);
        let end = (centre + N_FFT / 2).min(samples.len());
        let before = (N_FFT / 2).saturating_sub(centre);
        let signal = &mut self.fft.signal;
        if end - start < N_FFT {
            signal.fill(0.0);
        }
        let windowed = signal[before..].iter_mut().zip(&self.window[before..]);
        for ((out, window), x) in windowed.zip(&samples[start..end]) {
            *out = x * window;
        }
        self.fft.forward();
        let bins = self.fft.spectrum.iter().zip(&mut self.power).zip(&mut self.magnitude);
        for ((bin, power), magnitude) in bins {
            *power = bin.norm_sqr();
            *magnitude = power.sqrt();
        }
        Frame { power: &self.power, magnitude: &self.magnitude }
    }
}
