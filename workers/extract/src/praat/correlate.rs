//! The correlation of a frame with itself at all lags, from which periods are read.
//!
//! Definitions: Boersma (1993): the autocorrelation of a windowed frame divided by that of
//! the window (`Auto`); Praat's "forward cross-correlation", the normalised correlation of
//! a frame with its own future (`Cross`). Channels are added before normalising.
//!
//! Always holds: both give a curve over lags -n to n with 1 in the middle. Two frames go
//! through the transforms at a time, one as real and one as imaginary part.

use rustfft::num_complex::Complex;

use super::kernels;
use super::sinc::Sinc;
use super::sound::Sound;
use crate::fft::{Fft, fast_len, powers_f64};
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
    },
    /// Cross-correlation with what follows.
    Cross {
        /// From the middle of a frame back to where it starts, in seconds.
        lead_s: f64,
    },
}

/// A plan to correlate frames at one sample rate.
pub(super) struct Correlator {
    method: Method,
    fft: Fft<f64>,
    /// Samples of a frame; even.
    n_window: usize,
    /// Samples of the longest period.
    n_period: usize,
    /// Two frames and what came of them.
    frames: [Frame; 2],
    pub(super) curves: [Curve; 2],
    /// Interpolates the curves.
    pub(super) sinc: Sinc,
}

/// One frame and its correlations before they are put to scale.
#[derive(Default)]
struct Frame {
    /// Without their local mean, channel after channel.
    samples: Vec<f64>,
    /// The power spectrum, or of a cross-correlation the product of both spectra.
    power: Vec<f64>,
    products: Vec<Complex<f64>>,
    /// Of a cross-correlation at each lag: the product of both windows' energies.
    energies: Vec<f64>,
}

/// Correlations over lags.
pub(super) struct Curve {
    /// Lag 0 stands at `reach`.
    pub(super) y: Vec<f64>,
    /// The greatest lag.
    pub(super) reach: usize,
    /// Lags of interest, exclusive.
    pub(super) max_lag: usize,
}

impl Curve {
    /// The curve from lag 0 on.
    pub(super) fn lags(&self) -> &[f64] {
        &self.y[self.reach..]
    }
}

impl Correlator {
    /// The autocorrelation of windows of `periods` periods of `floor_hz`; none if the rate
    /// is too low for that.
    pub(super) fn auto(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        let mut plan = Self::cross(rate_hz, floor_hz, periods)?;
        let n = plan.n_window;
        let reach = n / 2;
        for curve in &mut plan.curves {
            curve.reach = reach;
            curve.y.truncate(2 * reach + 1);
        }
        plan.fft = Fft::new(fast_len(n + reach));
        let turn = std::f64::consts::TAU / (n + 1) as f64;
        let window: Vec<f64> = (1..=n).map(|i| 0.5 - 0.5 * (i as f64 * turn).cos()).collect();
        plan.frames[0].samples.clone_from(&window);
        plan.autocorrelate();
        let lags = &plan.fft.data;
        let window_inverse = lags[..=reach].iter().map(|r| lags[0].re / r.re).collect();
        plan.sinc = Sinc::tabulated(AUTO_DEPTH);
        plan.method = Method::Auto { window, window_inverse };
        Some(plan)
    }

    /// The cross-correlation of windows of `periods` periods of `floor_hz` with what
    /// follows them; none if the rate is too low for that.
    pub(super) fn cross(rate_hz: f64, floor_hz: f64, periods: f64) -> Option<Self> {
        let dx = 1.0 / rate_hz;
        let window_s = periods / floor_hz;
        let half = ((window_s / dx).floor() as usize / 2).checked_sub(1).filter(|&n| n >= 2)?;
        let n_window = 2 * half;
        let curve = || Curve {
            y: vec![0.0; 2 * n_window + 1],
            reach: n_window,
            max_lag: ((n_window as f64 / periods).floor() as usize + 2).min(n_window),
        };
        Some(Self {
            method: Method::Cross { lead_s: 0.5 * (1.0 / floor_hz + window_s) },
            fft: Fft::new(fast_len(2 * n_window)),
            n_window,
            n_period: (1.0 / dx / floor_hz).floor() as usize,
            frames: Default::default(),
            curves: [curve(), curve()],
            sinc: Sinc::new(CROSS_DEPTH),
        })
    }

    /// How many samples on either side of a frame's middle are looked at, generously.
    pub(super) fn reach(&self) -> usize {
        2 * self.n_window + self.n_period + 4
    }

    /// Takes the frame around `time`, without its local mean, into slot 0 or 1; gives its
    /// peak amplitude within half a period around the middle.
    pub(super) fn prepare(&mut self, slot: usize, sound: Sound<'_>, time: f64) -> f64 {
        let right = (sound.clock.low(time) + 1).max(0) as usize;
        let around = |n: usize| right.saturating_sub(n)..right + n;
        let half = self.n_window / 2;
        let half_period = (self.n_period / 2 + 1).min(half);
        let frame = &mut self.frames[slot];
        frame.samples.clear();
        let mut peak = 0.0f64;
        let means = sound
            .part(around(self.n_period))
            .map(|part| lanes::sum(part) / (2 * self.n_period) as f64);
        match &self.method {
            Method::Auto { window, .. } => {
                for (part, mean) in sound.part(around(half)).zip(means) {
                    let from = frame.samples.len();
                    frame.samples.resize(from + self.n_window, 0.0);
                    let frame = &mut frame.samples[from..];
                    kernels::windowed(part, mean, window, frame);
                    peak = lanes::peak_f64(&frame[half - half_period..half + half_period], peak);
                }
            }
            Method::Cross { lead_s } => {
                let start = sound.clock.low(time - lead_s).max(0) as usize;
                let span = sound.part(start..start + 2 * self.n_window);
                let middles = sound.part(around(half_period));
                for ((part, middle), mean) in span.zip(middles).zip(means) {
                    let (low, high) = lanes::range(middle);
                    peak = peak.max(f64::from(high) - mean).max(mean - f64::from(low));
                    let from = frame.samples.len();
                    frame.samples.extend(part.iter().map(|&x| f64::from(x) - mean));
                    frame.samples.resize(from + 2 * self.n_window, 0.0);
                }
            }
        }
        peak
    }

    /// Fills the curves of the frames that were prepared last; only the first of them
    /// counts if the second slot was not prepared.
    pub(super) fn correlate(&mut self) {
        match &self.method {
            Method::Auto { .. } => self.autocorrelate(),
            Method::Cross { .. } => self.cross_correlate(),
        }
        let [first, second] = &mut self.curves;
        let reach = first.reach;
        kernels::unpack(&self.fft.data, &mut first.y[reach..], &mut second.y[reach..]);
        let scale = 1.0 / self.fft.len() as f64;
        for (curve, frame) in self.curves.iter_mut().zip(&self.frames) {
            let (before, lags) = curve.y.split_at_mut(reach);
            match &self.method {
                Method::Auto { window_inverse, .. } => kernels::scale_auto(lags, window_inverse),
                Method::Cross { .. } => kernels::scale_cross(lags, &frame.energies, scale),
            }
            lags[0] = 1.0;
            before.copy_from_slice(&lags[1..]);
            before.reverse();
        }
    }

    /// Leaves the autocorrelations of both frames, times the length, in the transform's
    /// buffer.
    fn autocorrelate(&mut self) {
        let (n, n_bins) = (self.n_window, self.fft.len() / 2 + 1);
        let n_samples = self.frames[0].samples.len();
        let [a, b] = &mut self.frames;
        b.samples.resize(n_samples, 0.0);
        for power in [&mut a.power, &mut b.power] {
            power.clear();
            power.resize(n_bins, 0.0);
        }
        for (x, y) in a.samples.chunks_exact(n).zip(b.samples.chunks_exact(n)) {
            kernels::pack(x, y, &mut self.fft.data);
            self.fft.forward();
            powers_f64(&self.fft.data, &mut a.power, &mut b.power);
        }
        kernels::join_even(&a.power, &b.power, &mut self.fft.data);
        self.fft.inverse();
    }

    /// Leaves the correlations of both frames with their future, times the length, in the
    /// transform's buffer, and finds the energies that go with them.
    fn cross_correlate(&mut self) {
        let n = self.n_window;
        for frame in &mut self.frames {
            frame.products.clear();
            frame.products.resize(self.fft.len() / 2 + 1, Complex::ZERO);
            frame.energies.clear();
            frame.energies.resize(n + 1, 0.0);
            for span in frame.samples.chunks_exact(2 * n) {
                kernels::pack(span, &span[..n], &mut self.fft.data);
                self.fft.forward();
                kernels::add_products(&self.fft.data, &mut frame.products);
                kernels::add_energies(span, &mut frame.energies);
            }
            let first = frame.energies[0];
            frame.energies.iter_mut().for_each(|energy| *energy *= first);
        }
        let [a, b] = &self.frames;
        kernels::join(&a.products, &b.products, &mut self.fft.data);
        self.fft.inverse();
    }
}
