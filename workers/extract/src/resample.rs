//! Any sample rate to the one that features are computed at.
//!
//! A linear-phase low-pass filter, applied block by block in the frequency domain, where
//! changing the rate is cutting or extending the spectrum. The filter is a sinc under a
//! Kaiser window with the pass band and attenuation of soxr's quality HQ, which
//! `librosa.load` uses: flat to 0.91 of the lower Nyquist frequency, over 120 dB down
//! from 1.0 on.
//!
//! Always holds: no delay; `ceil(n * ratio)` samples come out of `n`, the same ones
//! however they were cut into blocks. Filter and samples being real, two blocks go through
//! one complex transform as its real and imaginary part.
//! It does not know about channels.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use rustfft::num_complex::Complex;

use crate::fft::Fft;

/// End of the pass band, as a part of the lower Nyquist frequency.
const PASS: f64 = 0.9136;

/// Middle of the transition (the filter's -6 dB point), as a part of the lower Nyquist frequency.
const EDGE: f64 = 0.95687;

/// About how many samples at the lower rate make a block.
const BLOCK: usize = 1024;

/// A plan to resample from one rate to another, fed block by block.
pub(crate) struct Resampler {
    /// Nothing to do where both rates are the same.
    filter: Option<BlockFilter>,
    up: usize,
    down: usize,
    n_in: usize,
    n_out: usize,
}

impl Resampler {
    /// From `from_hz` to `to_hz`.
    pub(crate) fn new(from_hz: u32, to_hz: u32) -> Self {
        let divisor = gcd(from_hz, to_hz);
        let (up, down) = ((to_hz / divisor) as usize, (from_hz / divisor) as usize);
        let filter = (up != down).then(|| BlockFilter::new(up, down));
        Self { filter, up, down, n_in: 0, n_out: 0 }
    }

    /// Makes ready for another recording.
    pub(crate) fn start(&mut self) {
        (self.n_in, self.n_out) = (0, 0);
        if let Some(filter) = &mut self.filter {
            filter.start();
        }
    }

    /// Takes the next samples; appends to `out` what they complete.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.n_in += samples.len();
        let before = out.len();
        match &mut self.filter {
            Some(filter) => filter.push(samples, out),
            None => out.extend_from_slice(samples),
        }
        self.n_out += out.len() - before;
    }

    /// Appends the rest to `out`.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        // soxr rounds the length; librosa fills it up with a zero.
        let total = (2 * self.n_in * self.up + self.down) / (2 * self.down);
        let start = out.len();
        if let Some(filter) = &mut self.filter {
            let more = total.saturating_sub(self.n_out);
            while out.len() - start < more {
                filter.push(&vec![0.0; filter.step], out);
            }
            out.truncate(start + more);
        }
        let filled = (self.n_in * self.up).div_ceil(self.down);
        out.resize(start + filled - self.n_out, 0.0);
    }
}

/// The filter over blocks that overlap by a margin at both ends.
struct BlockFilter {
    /// Gain of each bin up to the lower Nyquist frequency.
    gain: Vec<f32>,
    input: Fft<f32>,
    output: Fft<f32>,
    pending: Vec<f32>,
    /// Samples at either end of a block that wrap around and are not used.
    margin_in: usize,
    margin_out: usize,
    /// Samples from one block to the next.
    step: usize,
}

impl BlockFilter {
    fn new(up: usize, down: usize) -> Self {
        // A unit is the least piece with a whole number of samples at both rates.
        let low = up.min(down);
        // Where soxr needs a second stage, it asks the first one for one bit more, and the
        // second one sags a little towards the edge of the pass band.
        let filter =
            if up.max(down) == 2 { Filter::new(127.0, 0.0) } else { Filter::new(133.0, 0.001) };
        let margin = (filter.half / low as f64).ceil() as usize;
        let units = (BLOCK / low).max(4 * margin).next_power_of_two();
        Self {
            gain: filter.gain(low * units, down * units),
            input: Fft::new(down * units),
            output: Fft::new(up * units),
            pending: Vec::new(),
            margin_in: margin * down,
            margin_out: margin * up,
            step: (units - 2 * margin) * down,
        }
    }

    fn start(&mut self) {
        self.pending.clear();
        self.pending.resize(self.margin_in, 0.0);
    }

    fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.pending.extend_from_slice(samples);
        let (mut at, n, n_out) = (0, self.input.len(), self.output.len());
        while self.pending.len() - at >= n + self.step {
            let (first, second) = (&self.pending[at..at + n], &self.pending[at + self.step..]);
            for (z, (a, b)) in self.input.data.iter_mut().zip(first.iter().zip(second)) {
                *z = Complex::new(*a, *b);
            }
            self.input.forward();
            filtered(&self.input.data, &self.gain, &mut self.output.data);
            self.output.inverse();
            let usable = &self.output.data[self.margin_out..n_out - self.margin_out];
            out.extend(usable.iter().map(|z| z.re));
            out.extend(usable.iter().map(|z| z.im));
            at += 2 * self.step;
        }
        self.pending.drain(..at);
    }
}

/// Moves the bins below the lower Nyquist frequency, positive and negative, to where they
/// belong at the other rate.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn filtered(bins: &[Complex<f32>], gain: &[f32], out: &mut [Complex<f32>]) {
    let (n_in, n_out, n) = (bins.len(), out.len(), gain.len());
    for ((out, x), gain) in out.iter_mut().zip(bins).zip(gain) {
        *out = x * gain;
    }
    out[n..n_out - n + 1].fill(Complex::new(0.0, 0.0));
    let negative = out[n_out - n + 1..].iter_mut().zip(&bins[n_in - n + 1..]);
    for ((out, x), gain) in negative.zip(gain[1..].iter().rev()) {
        *out = x * gain;
    }
}

/// A low-pass filter around time 0, in samples at the lower rate.
struct Filter {
    /// Half its length.
    half: f64,
    /// Shape of its Kaiser window.
    beta: f64,
    /// Part of the amplitude that is lost at the edge of the pass band.
    sag: f64,
}

impl Filter {
    /// Kaiser's formulas for a transition from [`PASS`] to 1.0, with soxr's factor for the
    /// length.
    fn new(attenuation_db: f64, sag: f64) -> Self {
        let half = 0.817 * (attenuation_db - 7.95);
        Self { half, beta: 0.1102 * (attenuation_db - 8.7), sag }
    }

    fn at(&self, t: f64) -> f64 {
        let window = bessel_i0(self.beta * (1.0 - (t / self.half).powi(2)).max(0.0).sqrt());
        sinc(EDGE * t) * window
    }

    /// The gain at the bins of a block of `n_low` samples at the lower rate, over the
    /// length `n_in` of the block that is transformed.
    fn gain(&self, n_low: usize, n_in: usize) -> Vec<f32> {
        // At twice the lower rate the filter, which ends at the lower Nyquist frequency,
        // does not alias; it is even around sample 0, so its spectrum is real.
        let mut fft = Fft::<f64>::new(2 * n_low);
        let mut sum = 0.0;
        for i in 0..=(2.0 * self.half) as usize {
            let tap = self.at(i as f64 / 2.0);
            sum += if i == 0 { tap } else { 2.0 * tap };
            fft.data[i] = tap.into();
            fft.data[(2 * n_low - i) % (2 * n_low)] = tap.into();
        }
        fft.forward();
        let scale = (sum * n_in as f64).recip();
        let bins = fft.data[..n_low / 2].iter().enumerate();
        let gain = bins.map(|(k, bin)| {
            let edge = 2.0 * k as f64 / n_low as f64 / PASS;
            (bin.re * scale * (1.0 - self.sag * edge.powi(12))) as f32
        });
        gain.collect()
    }
}

fn sinc(x: f64) -> f64 {
    let x = std::f64::consts::PI * x;
    if x == 0.0 { 1.0 } else { x.sin() / x }
}

/// The modified Bessel function of order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= (x / (2.0 * k)).powi(2);
        sum += term;
        k += 1.0;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use voxage_contract::spec::SAMPLE_RATE_HZ;

    const RATE: f64 = SAMPLE_RATE_HZ as f64;

    fn resample(from_hz: u32, samples: &[f32], block: usize) -> Vec<f32> {
        let (mut resampler, mut out) = (Resampler::new(from_hz, SAMPLE_RATE_HZ), Vec::new());
        resampler.start();
        for block in samples.chunks(block) {
            resampler.push(block, &mut out);
        }
        resampler.finish(&mut out);
        out
    }

    fn sine(hz: f64, rate: f64, n: usize) -> Vec<f32> {
        let turn = std::f64::consts::TAU * hz / rate;
        (0..n).map(|i| (turn * i as f64).sin() as f32).collect()
    }

    /// Amplitude of a tone in the middle half of `samples`, by least squares, and the
    /// greatest magnitude of all else there.
    fn tone(samples: &[f32], hz: f64) -> (f64, f64) {
        let inner = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let wave = |i: usize| (std::f64::consts::TAU * hz / RATE * i as f64).sin_cos();
        let (mut ss, mut sc, mut cc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, &x) in inner.iter().enumerate() {
            let ((sin, cos), x) = (wave(i), f64::from(x));
            (ss, sc, cc) = (ss + sin * sin, sc + sin * cos, cc + cos * cos);
            (xs, xc) = (xs + x * sin, xc + x * cos);
        }
        let determinant = ss * cc - sc * sc;
        let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
        let rest = inner.iter().enumerate().map(|(i, &x)| {
            let (sin, cos) = wave(i);
            (f64::from(x) - a * sin - b * cos).abs()
        });
        (a.hypot(b), rest.fold(0.0, f64::max))
    }

    const RATES_HZ: [u32; 13] = [
        4_000, 8_000, 11_025, 12_000, 16_000, 24_000, 32_000, 37_800, 44_100, 48_000, 96_000,
        192_000, 384_000,
    ];

    /// Tones over the whole pass band: ripple below 0.01 dB, images 100 dB down.
    #[test]
    fn the_pass_band_is_flat_and_clean() {
        for rate_hz in RATES_HZ {
            let (rate, low) = (f64::from(rate_hz), f64::from(rate_hz.min(SAMPLE_RATE_HZ)) / 2.0);
            for step in 1..=45 {
                let hz = 0.02 * f64::from(step) * low;
                let out = resample(rate_hz, &sine(hz, rate, rate_hz as usize / 2), 8192);
                let (amplitude, rest) = tone(&out, hz);
                let ripple_db = 20.0 * amplitude.log10();
                assert!(ripple_db.abs() < 0.01, "{rate_hz} Hz: {ripple_db} dB at {hz} Hz");
                let rest_db = 20.0 * (rest / amplitude).log10();
                assert!(rest_db < -100.0, "{rate_hz} Hz: images of {rest_db} dB at {hz} Hz");
            }
        }
    }

    /// Tones above the new Nyquist frequency: nothing of them is left.
    #[test]
    fn aliases_are_100_db_down() {
        for rate_hz in RATES_HZ.into_iter().filter(|&rate_hz| rate_hz > SAMPLE_RATE_HZ) {
            let (nyquist, top) = (RATE / 2.0, f64::from(rate_hz) / 2.0);
            for step in 0..40 {
                let hz = nyquist + (top - nyquist) * f64::from(step) / 40.0;
                let out =
                    resample(rate_hz, &sine(hz, f64::from(rate_hz), rate_hz as usize / 2), 8192);
                let inner = &out[out.len() / 4..out.len() * 3 / 4];
                let peak = inner.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
                assert!(peak < 1e-5, "{rate_hz} Hz: {peak} left of a tone of {hz} Hz");
            }
        }
    }

    #[test]
    fn time_stays_in_place() {
        for rate_hz in RATES_HZ {
            let (rate, low) = (f64::from(rate_hz), f64::from(rate_hz.min(SAMPLE_RATE_HZ)) / 2.0);
            let out = resample(rate_hz, &sine(0.3 * low, rate, rate_hz as usize / 2), 8192);
            let expected = sine(0.3 * low, RATE, out.len());
            let inner = out.len() / 4..out.len() * 3 / 4;
            for (a, b) in out[inner.clone()].iter().zip(&expected[inner]) {
                assert!((a - b).abs() < 1e-3, "{rate_hz} Hz: {a} is not {b}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn the_length_is_rounded_up_and_blocks_do_not_matter(
            n in 0usize..20_000,
            rate_hz in 4_000u32..100_000,
            block in 1usize..5000,
        ) {
            let samples = sine(300.0, f64::from(rate_hz), n);
            let out = resample(rate_hz, &samples, block);
            prop_assert_eq!(out.len(), (n as f64 * RATE / f64::from(rate_hz)).ceil() as usize);
            prop_assert_eq!(out, resample(rate_hz, &samples, n.max(1)));
        }
    }
}
