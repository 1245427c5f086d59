//! The correlation of a frame with itself at all lags, from which periods are read.
//!
//! Definitions: Boersma (1993): the autocorrelation of a windowed frame divided by that of
//! the window (`Auto`); Praat's "forward cross-correlation", the normalised correlation of
//! a frame with its own future (`Cross`). Channels are added before normalising.
//!
//! Always holds: both give a curve over lags -n to n with 1 in the middle.

use super::sound::Sound;
use crate::fft::{RealFft, fast_len};

/// How a frame is compared with itself.
enum Method {
    /// Autocorrelation under a Hann window.
    Auto {
        window: Vec<f64>,
        /// The inverse of the window's own autocorrelation.
        window_inverse: Vec<f64>,
        power: Vec<f64>,
    },
    /// Cross-correlation with what follows.
    Cross { span: RealFft<f64> },
}

/// A plan to correlate frames at one sample rate.
pub(super) struct Correlator {
    method: Method,
    fft: RealFft<f64>,
    /// Samples of a frame; even.
    n_window: usize,
    /// Samples of the longest period.
    n_period: usize,
    /// From the middle of a frame back to where its cross-correlation starts, in seconds.
    lead_s: f64,
    /// Lags of interest, exclusive.
    pub(super) max_lag: usize,
    /// The curve reaches to this lag.
    pub(super) reach: usize,
    /// The curve: lag 0 stands at `reach`.
    pub(super) curve: Vec<f64>,
    /// For each channel the frame and the mean that was taken from it.
    frame: Vec<(Vec<f64>, f64)>,
}

impl Correlator {
    /// The autocorrelation of windows of `periods` periods of `floor_hz`; none if the rate
    /// is too low for that.
    pub(super) fn auto(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        let mut plan = Self::plan(rate_hz, floor_hz, periods, |n_window| n_window / 2)?;
        let n = plan.n_window;
        let turn = std::f64::consts::TAU / (n + 1) as f64;
        let window: Vec<f64> = (1..=n).map(|i| 0.5 - 0.5 * (i as f64 * turn).cos()).collect();
        let mut power = vec![0.0; plan.fft.spectrum.len()];
        add_power(&mut plan.fft, &window, &mut power);
        let lags = autocorrelation(&mut plan.fft, &power);
        let window_inverse = lags[..=plan.reach].iter().map(|r| lags[0] / r).collect();
        plan.method = Method::Auto { window, window_inverse, power };
        Some(plan)
    }

    /// The cross-correlation of windows of `periods` periods of `floor_hz` with what
    /// follows them; none if the rate is too low for that.
    pub(super) fn cross(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        Self::plan(rate_hz, floor_hz, periods, |n_window| n_window)
    }

    fn plan(
        rate_hz: f64,
        floor_hz: f64,
        periods: f64,
        reach: impl Fn(usize) -> usize,
    ) -> Option<Self> {
        let dx = 1.0 / rate_hz;
        let window_s = periods / floor_hz;
        let half = ((window_s / dx).floor() as usize / 2).checked_sub(1).filter(|&n| n >= 2)?;
        let n_window = 2 * half;
        let reach = reach(n_window);
        let n_fft = fast_len(n_window + reach);
        Some(Self {
            method: Method::Cross { span: RealFft::new(n_fft) },
            fft: RealFft::new(n_fft),
            n_window,
            n_period: (1.0 / dx / floor_hz).floor() as usize,
            lead_s: 0.5 * (1.0 / floor_hz + window_s),
            max_lag: ((n_window as f64 / periods).floor() as usize + 2).min(n_window),
            reach,
            curve: vec![0.0; 2 * reach + 1],
            frame: Vec::new(),
        })
    }

    /// Takes the frame around `time`, without its local mean; gives its peak amplitude
    /// within half a period around the middle.
    pub(super) fn prepare(&mut self, sound: Sound<'_>, time: f64) -> f64 {
        let right = (sound.low(time) + 1).max(0) as usize;
        let half = self.n_window / 2;
        let half_period = self.n_period / 2 + 1;
        let middle = half.saturating_sub(half_period)..(half + half_period).min(self.n_window);
        self.frame.resize_with(sound.channels.len(), Default::default);
        let mut peak = 0.0f64;
        for ((frame, mean), samples) in self.frame.iter_mut().zip(sound.channels) {
            *mean = sum(around(samples, right, self.n_period)) / (2 * self.n_period) as f64;
            frame.clear();
            frame.extend(around(samples, right, half).iter().map(|&x| f64::from(x) - *mean));
            frame.resize(self.n_window, 0.0);
            if let Method::Auto { window, .. } = &self.method {
                for (x, window) in frame.iter_mut().zip(window) {
                    *x *= window;
                }
            }
            peak = frame[middle.clone()].iter().fold(peak, |peak, x| peak.max(x.abs()));
        }
        peak
    }

    /// Fills the curve of the frame that was prepared last, around `time`.
    pub(super) fn correlate(&mut self, sound: Sound<'_>, time: f64) {
        let lags = &mut self.curve[self.reach..];
        match &mut self.method {
            Method::Auto { window_inverse, power, .. } => {
                power.fill(0.0);
                for (frame, _) in &self.frame {
                    add_power(&mut self.fft, frame, power);
                }
                let products = autocorrelation(&mut self.fft, power);
                let scale = 1.0 / products[0];
                for (lag, (r, inverse)) in
                    lags.iter_mut().zip(products.iter().zip(&*window_inverse))
                {
                    *lag = r * inverse * scale;
                }
            }
            Method::Cross { span } => {
                let start = sound.low(time - self.lead_s).max(0) as usize;
                cross(sound, start, self.n_window, &self.frame, &mut self.fft, span, lags);
            }
        }
        lags[0] = 1.0;
        let (before, after) = self.curve.split_at_mut(self.reach);
        for (mirrored, r) in before.iter_mut().rev().zip(&after[1..]) {
            *mirrored = *r;
        }
    }
}

/// Normalised correlations of `n` samples from `start` with as many that begin one, two,
/// ... later.
fn cross(
    sound: Sound<'_>,
    start: usize,
    n: usize,
    frame: &[(Vec<f64>, f64)],
    fft: &mut RealFft<f64>,
    span: &mut RealFft<f64>,
    lags: &mut [f64],
) {
    let n_span = n + lags.len() - 1;
    let (mut energy, mut sliding) = (0.0, vec![0.0; lags.len()]);
    let mut products = vec![Default::default(); fft.spectrum.len()];
    for (samples, (_, mean)) in sound.channels.iter().zip(frame) {
        let samples = &samples[start.min(samples.len())..(start + n_span).min(samples.len())];
        span.signal.fill(0.0);
        for (out, &x) in span.signal.iter_mut().zip(samples) {
            *out = f64::from(x) - mean;
        }
        fft.signal[..n].copy_from_slice(&span.signal[..n]);
        fft.signal[n..].fill(0.0);
        energy += fft.signal[..n].iter().map(|x| x * x).sum::<f64>();
        let mut change = 0.0;
        for (lag, total) in sliding.iter_mut().enumerate().skip(1) {
            let (gone, new) = (span.signal[lag - 1], span.signal[lag - 1 + n]);
            change += new * new - gone * gone;
            *total += change;
        }
        fft.forward();
        span.forward();
        for ((sum, x), y) in products.iter_mut().zip(&fft.spectrum).zip(&span.spectrum) {
            *sum += x.conj() * y;
        }
    }
    fft.spectrum.copy_from_slice(&products);
    fft.inverse();
    let scale = 1.0 / fft.signal.len() as f64;
    for ((lag, product), change) in lags.iter_mut().zip(&fft.signal).zip(&sliding) {
        let energies = energy * (energy + change);
        *lag = if energies > 0.0 { product * scale / energies.sqrt() } else { 0.0 };
    }
}

/// Adds the power spectrum of `samples`, padded with zeros, to `power`.
fn add_power(fft: &mut RealFft<f64>, samples: &[f64], power: &mut [f64]) {
    fft.signal[..samples.len()].copy_from_slice(samples);
    fft.signal[samples.len()..].fill(0.0);
    fft.forward();
    for (sum, bin) in power.iter_mut().zip(&fft.spectrum) {
        *sum += bin.norm_sqr();
    }
}

/// The autocorrelation that belongs to a power spectrum, times the length.
fn autocorrelation<'a>(fft: &'a mut RealFft<f64>, power: &[f64]) -> &'a [f64] {
    for (bin, &power) in fft.spectrum.iter_mut().zip(power) {
        *bin = power.into();
    }
    fft.inverse();
    &fft.signal
}

/// The `2 * n` samples around the gap before `right`, as far as there are any.
fn around(samples: &[f32], right: usize, n: usize) -> &[f32] {
    &samples[right.saturating_sub(n).min(samples.len())..(right + n).min(samples.len())]
}

fn sum(samples: &[f32]) -> f64 {
    let (chunks, rest) = samples.as_chunks::<8>();
    let mut lanes = [0.0; 8];
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x)).sum::<f64>()
}
