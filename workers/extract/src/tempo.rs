//! The tempo that a beat tracker would start from.
//!
//! Definition: `librosa.beat.beat_track(y)[0]`: onset strength is the median over the mel
//! bands of each band's rise in dB; its autocorrelation in windows of 8 s, each divided by
//! its maximum, is averaged over the recording; the best lag under a log-normal prior
//! around 120 beats a minute is the tempo.
//!
//! Always holds: one forward transform for two frames and a single inverse one, since the
//! mean of autocorrelations is the transform of the mean power spectrum.

use rustfft::num_complex::Complex;
use voxage_contract::N_MELS;
use voxage_contract::spec::{HOP_SAMPLES, N_FFT, SAMPLE_RATE_HZ};

use crate::fft::{Fft, fast_len};
use crate::spectrum::hann;

/// Frames of one autocorrelation window: 8 s.
const WINDOW: usize = 8 * SAMPLE_RATE_HZ as usize / HOP_SAMPLES;

/// Frames by which the onset strength follows the spectrum: the difference and half a frame.
const DELAY: usize = 1 + N_FFT / (2 * HOP_SAMPLES);

/// The tempo that the prior prefers, in beats a minute; a factor of two is one deviation.
const PRIOR_BPM: f64 = 120.0;

/// Faster tempos are not considered, in beats a minute.
const MAX_BPM: f64 = 320.0;

/// A plan to estimate tempos.
pub(crate) struct Tempo {
    window: Vec<f64>,
    fft: Fft<f64>,
    power: Vec<f64>,
}

impl Tempo {
    pub(crate) fn new() -> Self {
        let fft = Fft::new(fast_len(2 * WINDOW - 1));
        Self { window: hann(WINDOW), power: vec![0.0; fft.len()], fft }
    }

    /// Beats a minute of a spectrogram of levels in dB, `[n_frames, 128]`; 0 where nothing
    /// rises.
    pub(crate) fn estimate(&mut self, db: &[f32]) -> f64 {
        let onset = onset_strength(db);
        if onset.iter().all(|&x| x == 0.0) {
            return 0.0;
        }
        let padded = pad(&onset);
        self.power.fill(0.0);
        let energies = energies(&padded, &self.window, onset.len());
        for (i, energies) in energies.chunks(2).enumerate() {
            // The energy is the autocorrelation's maximum; a window without any adds nothing.
            let scale = |i: usize| match energies.get(i) {
                Some(&energy) if energy > f64::MIN_POSITIVE => energy.sqrt().recip(),
                _ => 0.0,
            };
            let (first, second) = (scale(0), scale(1));
            let (signal, rest) = self.fft.data.split_at_mut(WINDOW);
            let onsets = padded[2 * i..].windows(2).zip(&self.window);
            for (z, (x, window)) in signal.iter_mut().zip(onsets) {
                let [x, y] = [x[0], x[1]].map(|x| f64::from(x) * window);
                *z = Complex::new(x * first, y * second);
            }
            rest.fill(Complex::ZERO);
            self.fft.forward();
            for (sum, bin) in self.power.iter_mut().zip(&self.fft.data) {
                *sum += bin.norm_sqr();
            }
        }
        // Of two signals in one, the sum of both power spectra is the even part.
        for (bin, power) in self.fft.data.iter_mut().zip(&self.power) {
            *bin = (*power).into();
        }
        self.fft.inverse();
        let scale = (self.fft.len() * onset.len()) as f64;
        best_bpm(self.fft.data[..WINDOW].iter().map(|x| x.re / scale))
    }
}

/// The energy of `n` windows, one from each of the first values on.
fn energies(padded: &[f32], window: &[f64], n: usize) -> Vec<f64> {
    let energy = |frame: &[f32]| {
        frame.iter().zip(window).map(|(&x, w)| (f64::from(x) * w).powi(2)).sum::<f64>()
    };
    padded.windows(WINDOW).take(n).map(energy).collect()
}

/// The rise of each frame over the one before, delayed to where the rise is heard.
fn onset_strength(db: &[f32]) -> Vec<f32> {
    let n_frames = db.len() / N_MELS;
    let mut onset = vec![0.0; n_frames];
    let pairs = db.chunks_exact(N_MELS).zip(db.chunks_exact(N_MELS).skip(1));
    let mut rises = [0.0f32; N_MELS];
    for (strength, (before, now)) in onset.iter_mut().skip(DELAY).zip(pairs) {
        for ((rise, now), before) in rises.iter_mut().zip(now).zip(before) {
            *rise = (now - before).max(0.0);
        }
        *strength = median(&mut rises);
    }
    onset
}

fn median(values: &mut [f32; N_MELS]) -> f32 {
    // Most bands seldom rise: then there is nothing to sort.
    if values.iter().map(|&x| usize::from(x == 0.0)).sum::<usize>() > N_MELS / 2 {
        return 0.0;
    }
    let (below, upper, _) = values.select_nth_unstable_by(N_MELS / 2, f32::total_cmp);
    let lower = below.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f32::midpoint(lower, *upper)
}

/// Half a window at both ends, falling linearly to zero.
fn pad(onset: &[f32]) -> Vec<f32> {
    let half = WINDOW / 2;
    let ramp = |edge: f32, i: usize| (f64::from(edge) / half as f64 * i as f64) as f32;
    let (first, last) = (onset[0], onset[onset.len() - 1]);
    let mut padded = Vec::with_capacity(onset.len() + WINDOW);
    padded.extend((0..half).map(|i| ramp(first, i)));
    padded.extend_from_slice(onset);
    padded.extend((0..half).rev().map(|i| ramp(last, i)));
    padded
}

/// The tempo whose lag has the greatest autocorrelation under the prior.
fn best_bpm(autocorrelation: impl Iterator<Item = f64>) -> f64 {
    let frames_per_minute = 60.0 * f64::from(SAMPLE_RATE_HZ) / HOP_SAMPLES as f64;
    let mut best = (f64::NEG_INFINITY, 0.0);
    for (lag, strength) in autocorrelation.enumerate().skip(1) {
        let bpm = frames_per_minute / lag as f64;
        if bpm < MAX_BPM {
            let octaves = (bpm / PRIOR_BPM).log2();
            let score = (1e6 * strength).ln_1p() - 0.5 * octaves * octaves;
            if score > best.0 {
                best = (score, bpm);
            }
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tempo_of_beats_is_their_rate() {
        // All bands rise by 40 dB every 22 frames: 117.45 beats a minute.
        let level = |frame: usize| if frame % 22 < 4 { 0.0f32 } else { -40.0 };
        let db: Vec<f32> = (0..600).flat_map(|frame| [level(frame); N_MELS]).collect();
        let bpm = Tempo::new().estimate(&db);
        assert!((bpm - 117.453_835).abs() < 1e-5, "{bpm}");
        assert_eq!(Tempo::new().estimate(&[-10.0; 50 * N_MELS]), 0.0);
    }
}
