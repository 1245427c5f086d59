//! Any sample rate to the one that features are computed at.
//!
//! A linear-phase low-pass filter, applied block by block in the frequency domain, where
//! changing the rate is cutting or extending the spectrum. The filter is a sinc under a
//! Kaiser window with the pass band and attenuation of soxr's quality HQ, which
//! `librosa.load` uses: flat to 0.91 of the lower Nyquist frequency, over 120 dB down
//! from 1.0 on.
//!
//! Always holds: no delay; `ceil(n * ratio)` samples come out of `n`.
//! It does not know about channels.

use voxage_contract::spec::SAMPLE_RATE_HZ;

use crate::fft::RealFft;

/// End of the pass band, as a part of the lower Nyquist frequency.
const PASS: f64 = 0.9136;

/// Middle of the transition (the filter's -6 dB point), as a part of the lower Nyquist frequency.
const EDGE: f64 = 0.95687;

/// About how many samples at the lower rate make a block.
const BLOCK: usize = 1024;

/// A plan to resample from one rate.
pub(crate) struct Resampler {
    /// Gain of each bin up to the lower Nyquist frequency.
    gain: Vec<f32>,
    input: RealFft<f32>,
    output: RealFft<f32>,
    /// Samples at either end of a block that wrap around and are not used.
    margin_in: usize,
    margin_out: usize,
    up: usize,
    down: usize,
}

impl Resampler {
    /// From `rate_hz` to [`SAMPLE_RATE_HZ`].
    pub(crate) fn new(rate_hz: u32) -> Self {
        let divisor = gcd(rate_hz, SAMPLE_RATE_HZ);
        let (up, down) = ((SAMPLE_RATE_HZ / divisor) as usize, (rate_hz / divisor) as usize);
        // A unit is the least piece with a whole number of samples at both rates.
        let low = up.min(down);
        // Where soxr needs a second stage, it asks the first one for one bit more, and the
        // second one sags a little towards the edge of the pass band.
        let filter =
            if up.max(down) == 2 { Filter::new(127.0, 0.0) } else { Filter::new(133.0, 0.001) };
        let margin = (filter.half / low as f64).ceil() as usize;
        let units = (BLOCK / low).max(4 * margin).next_power_of_two();
        let gain = filter.gain(low * units, down * units);
        Self {
            gain,
            input: RealFft::new(down * units),
            output: RealFft::new(up * units),
            margin_in: margin * down,
            margin_out: margin * up,
            up,
            down,
        }
    }

    /// The samples at [`SAMPLE_RATE_HZ`].
    pub(crate) fn run(&mut self, samples: &[f32]) -> Vec<f32> {
        // soxr rounds the length; librosa fills it up with a zero.
        let n_out = (2 * samples.len() * self.up + self.down) / (2 * self.down);
        let mut out = Vec::with_capacity(n_out + 1);
        let step = self.input.signal.len() - 2 * self.margin_in;
        let mut at = 0;
        while out.len() < n_out {
            // The block reaches over its part of the samples by a margin at both ends.
            let before = self.margin_in.saturating_sub(at);
            let start = at.saturating_sub(self.margin_in).min(samples.len());
            let end = (at + step + self.margin_in).min(samples.len());
            let block = &samples[start..end];
            self.input.signal.fill(0.0);
            self.input.signal[before..before + block.len()].copy_from_slice(block);
            self.transform();
            let usable = self.output.signal.len() - 2 * self.margin_out;
            let n = usable.min(n_out - out.len());
            out.extend_from_slice(&self.output.signal[self.margin_out..self.margin_out + n]);
            at += step;
        }
        out.resize((samples.len() * self.up).div_ceil(self.down), 0.0);
        out
    }

    fn transform(&mut self) {
        self.input.forward();
        let bins = self.input.spectrum.iter().zip(&self.gain);
        self.output.spectrum.fill(Default::default());
        for (out, (x, gain)) in self.output.spectrum.iter_mut().zip(bins) {
            *out = x * gain;
        }
        self.output.inverse();
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
        let mut fft = RealFft::<f64>::new(2 * n_low);
        let mut sum = 0.0;
        for i in 0..=(2.0 * self.half) as usize {
            let tap = self.at(i as f64 / 2.0);
            sum += if i == 0 { tap } else { 2.0 * tap };
            fft.signal[i] = tap;
            fft.signal[(2 * n_low - i) % (2 * n_low)] = tap;
        }
        fft.forward();
        let scale = (sum * n_in as f64).recip();
        let bins = fft.spectrum[..n_low / 2].iter().enumerate();
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

    const RATE: f64 = SAMPLE_RATE_HZ as f64;

    fn sine(hz: f64, rate: f64, n: usize) -> Vec<f32> {
        let turn = std::f64::consts::TAU * hz / rate;
        (0..n).map(|i| (turn * i as f64).sin() as f32).collect()
    }

    /// Greatest difference away from the ends, where the filter meets silence.
    fn distance(a: &[f32], b: &[f32]) -> f32 {
        let inner = a.len() / 4..a.len() * 3 / 4;
        a[inner.clone()].iter().zip(&b[inner]).fold(0.0, |d, (a, b)| d.max((a - b).abs()))
    }

    #[test]
    fn the_pass_band_is_flat_and_in_phase() {
        for rate_hz in [4_000, 8_000, 11_025, 16_000, 37_800, 44_100, 48_000, 96_000, 384_000] {
            let (rate, low) = (f64::from(rate_hz), f64::from(rate_hz.min(SAMPLE_RATE_HZ)) / 2.0);
            for part in [0.01, 0.5, 0.9] {
                let n = rate_hz as usize / 2;
                let out = Resampler::new(rate_hz).run(&sine(part * low, rate, n));
                let error = distance(&out, &sine(part * low, RATE, out.len()));
                // 0.01 dB.
                assert!(error < 1.15e-3, "{rate_hz} Hz at {part}: {error}");
            }
        }
    }

    #[test]
    fn nothing_is_mirrored() {
        for (rate_hz, hz) in [(44_100, 11_100.0), (48_000, 15_000.0), (384_000, 12_000.0)] {
            let out = Resampler::new(rate_hz).run(&sine(hz, f64::from(rate_hz), rate_hz as usize));
            let rest = distance(&out, &vec![0.0; out.len()]);
            assert!(rest < 1e-5, "{hz} Hz at {rate_hz} Hz: {rest}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn the_length_is_rounded_up(n in 0usize..5000, rate_hz in 4_000u32..100_000) {
            let out = Resampler::new(rate_hz).run(&vec![0.5; n]);
            prop_assert_eq!(out.len(), (n as f64 * RATE / f64::from(rate_hz)).ceil() as usize);
        }
    }
}
