//! The correlation of a frame with itself at all lags, from which periods are read.
//!
//! Definitions: Boersma (1993): the autocorrelation of a windowed frame divided by that of
//! the window (`Auto`); Praat's "forward cross-correlation", the normalised correlation of
//! a frame with its own future (`Cross`). Channels are added before normalising.
//!
//! Always holds: both give a curve over lags -n to n with 1 in the middle.

use realfft::num_complex::Complex;

use super::sinc::Sinc;
use super::sound::Sound;
use crate::fft::{RealFft, fast_len};
use crate::lanes;

/// Depths to which curves are interpolated, in samples.
const AUTO_DEPTH: usize = 70;
const CROSS_DEPTH: usize = 700;

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
    Cross {
        span: RealFft<f64>,
        /// Sum over channels of the products of both spectra.
        products: Vec<Complex<f64>>,
        /// What the energy of the later window gains from lag to lag.
        gains: Vec<f64>,
    },
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
    /// Interpolates the curve.
    pub(super) sinc: Sinc,
}

impl Correlator {
    /// The autocorrelation of windows of `periods` periods of `floor_hz`; none if the rate
    /// is too low for that.
    pub(super) fn auto(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        let mut plan = Self::cross(rate_hz, floor_hz, periods)?;
        let n = plan.n_window;
        plan.reach = n / 2;
        plan.curve.truncate(2 * plan.reach + 1);
        plan.fft = RealFft::new(fast_len(n + plan.reach));
        let turn = std::f64::consts::TAU / (n + 1) as f64;
        let window: Vec<f64> = (1..=n).map(|i| 0.5 - 0.5 * (i as f64 * turn).cos()).collect();
        let mut power = vec![0.0; plan.fft.spectrum.len()];
        add_power(&mut plan.fft, &window, &mut power);
        let lags = autocorrelation(&mut plan.fft, &power);
        let window_inverse = lags[..=plan.reach].iter().map(|r| lags[0] / r).collect();
        plan.sinc = Sinc::tabulated(AUTO_DEPTH);
        plan.method = Method::Auto { window, window_inverse, power };
        Some(plan)
    }

    /// The cross-correlation of windows of `periods` periods of `floor_hz` with what
    /// follows them; none if the rate is too low for that.
    pub(super) fn cross(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        let dx = 1.0 / rate_hz;
        let window_s = periods / floor_hz;
        let half = ((window_s / dx).floor() as usize / 2).checked_sub(1).filter(|&n| n >= 2)?;
        let n_window = 2 * half;
        let fft = RealFft::new(fast_len(2 * n_window));
        let method = Method::Cross {
            span: RealFft::new(fft.signal.len()),
            products: fft.spectrum.clone(),
            gains: vec![0.0; n_window + 1],
        };
        Some(Self {
            method,
            fft,
            n_window,
            n_period: (1.0 / dx / floor_hz).floor() as usize,
            lead_s: 0.5 * (1.0 / floor_hz + window_s),
            max_lag: ((n_window as f64 / periods).floor() as usize + 2).min(n_window),
            reach: n_window,
            curve: vec![0.0; 2 * n_window + 1],
            frame: Vec::new(),
            sinc: Sinc::new(CROSS_DEPTH),
        })
    }

    /// The curve from lag 0 on.
    pub(super) fn lags(&self) -> &[f64] {
        &self.curve[self.reach..]
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
            *mean = lanes::sum(around(samples, right, self.n_period)) / (2 * self.n_period) as f64;
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
            Method::Cross { span, products, gains } => {
                let start = sound.low(time - self.lead_s).max(0) as usize;
                let (n, fft) = (self.n_window, &mut self.fft);
                products.fill(Complex::ZERO);
                gains.fill(0.0);
                let mut energy = 0.0;
                for (samples, (_, mean)) in sound.channels.iter().zip(&self.frame) {
                    let end = (start + 2 * n).min(samples.len());
                    let samples = &samples[start.min(end)..end];
                    span.signal.fill(0.0);
                    for (out, &x) in span.signal.iter_mut().zip(samples) {
                        *out = f64::from(x) - mean;
                    }
                    energy += span.signal[..n].iter().map(|x| x * x).sum::<f64>();
                    let ends = span.signal.iter().zip(&span.signal[n..]);
                    for (gain, (gone, new)) in gains[1..].iter_mut().zip(ends) {
                        *gain += new * new - gone * gone;
                    }
                    fft.signal[..n].copy_from_slice(&span.signal[..n]);
                    fft.signal[n..].fill(0.0);
                    fft.forward();
                    span.forward();
                    for ((sum, x), y) in products.iter_mut().zip(&fft.spectrum).zip(&span.spectrum)
                    {
                        *sum += x.conj() * y;
                    }
                }
                fft.spectrum.copy_from_slice(products);
                fft.inverse();
                let (scale, mut later) = (1.0 / fft.signal.len() as f64, energy);
                for ((lag, product), gain) in lags.iter_mut().zip(&fft.signal).zip(&*gains) {
                    later += gain;
                    let energies = energy * later;
                    *lag = if energies > 0.0 { product * scale / energies.sqrt() } else { 0.0 };
                }
            }
        }
        lags[0] = 1.0;
        let (before, after) = self.curve.split_at_mut(self.reach);
        for (mirrored, r) in before.iter_mut().rev().zip(&after[1..]) {
            *mirrored = *r;
        }
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
