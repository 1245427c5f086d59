//! The log-mel spectrogram.
//!
//! Definition: `librosa.feature.melspectrogram` and `power_to_db`: 128 triangles on
//! Slaney's scale from 0 Hz to half the sample rate, each of unit area (Slaney's norm),
//! over the power spectrum; decibels of at least 1e-10, at most [`TOP_DB`] below the maximum.
//!
//! Always holds: a band's weights are kept for its own bins only.
//! It does not know how a spectrogram is stored.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ, TOP_DB};
use voxage_contract::{MelReference, N_MELS};

use crate::lanes;
use crate::spectrum::N_PADDED;

/// Least power that has a level of its own.
const FLOOR: f32 = 1e-10;

/// The mel filters.
pub(crate) struct MelBank {
    bands: Vec<Band>,
}

struct Band {
    first_bin: usize,
    /// Filled up with zeros to whole vectors.
    weights: Vec<[f32; LANES]>,
}

const LANES: usize = 8;

/// Slaney's mel scale: linear below 1 kHz, logarithmic above.
fn mel_to_hz(mel: f64) -> f64 {
    const LINEAR_HZ: f64 = 200.0 / 3.0;
    const BREAK_MEL: f64 = 1000.0 / LINEAR_HZ;
    if mel < BREAK_MEL {
        mel * LINEAR_HZ
    } else {
        1000.0 * ((6.4f64.ln() / 27.0) * (mel - BREAK_MEL)).exp()
    }
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4f64.ln() }
}

/// A filter of a spectrum: the first bin that it lets through, and the weights from there on.
pub(crate) type Filter = (usize, Vec<f32>);

/// `n_bands` triangles on Slaney's scale from 0 Hz to half the sample rate, each of unit
/// area over frequency in Hz, for spectra of `n_fft` samples.
pub(crate) fn triangles(rate_hz: u32, n_fft: usize, n_bands: usize) -> Vec<Filter> {
    let bin_hz = f64::from(rate_hz) / n_fft as f64;
    let filter = |band: usize| {
        let [low, centre, high] = [0, 1, 2].map(|i| edge_hz(rate_hz, n_bands, band + i));
        let weight = |bin: usize| {
            let hz = bin as f64 * bin_hz;
            let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre));
            (triangle.max(0.0) * 2.0 / (high - low)) as f32
        };
        let bins = 0..=n_fft / 2;
        let first_bin = bins.clone().find(|&bin| weight(bin) > 0.0).unwrap_or(0);
        (first_bin, bins.skip(first_bin).map(weight).take_while(|&w| w > 0.0).collect())
    };
    (0..n_bands).map(filter).collect()
}

/// The frequency at which triangle `i` - 1 ends, `i` has its top and `i` + 1 begins,
/// counted from 1.
fn edge_hz(rate_hz: u32, n_bands: usize, i: usize) -> f64 {
    mel_to_hz(hz_to_mel(f64::from(rate_hz) / 2.0) / (n_bands + 1) as f64 * i as f64)
}

impl MelBank {
    pub(crate) fn new() -> Self {
        let filters = triangles(SAMPLE_RATE_HZ, N_FFT, N_MELS).into_iter();
        let bands = filters.map(|(first_bin, mut weights)| {
            // The last vector stays within the padded spectrum.
            let n_lanes = weights.len().next_multiple_of(LANES);
            let start = first_bin.min(N_PADDED - n_lanes);
            weights.splice(0..0, vec![0.0; first_bin - start]);
            weights.resize(n_lanes.max(weights.len().next_multiple_of(LANES)), 0.0);
            Band { first_bin: start, weights: weights.as_chunks().0.to_vec() }
        });
        Self { bands: bands.collect() }
    }

    /// Adds the levels of one frame's power spectrum in dB re 1 to `db`: 128 values, no
    /// lower bound but [`FLOOR`].
    pub(crate) fn push(&self, power: &[f32], db: &mut Vec<f32>) {
        let mut levels = [0.0; N_MELS];
        powers(&self.bands, power, &mut levels);
        to_db(&mut levels);
        db.extend_from_slice(&levels);
    }
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn powers(bands: &[Band], power: &[f32], out: &mut [f32; N_MELS]) {
    for (out, band) in out.iter_mut().zip(bands) {
        let mut lanes = [0.0f32; LANES];
        let bins = power[band.first_bin..].as_chunks::<LANES>().0;
        for (weights, bins) in band.weights.iter().zip(bins) {
            for lane in 0..LANES {
                lanes[lane] += weights[lane] * bins[lane];
            }
        }
        *out = lanes.iter().sum();
    }
}

/// Levels of powers, 10 log10.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn to_db(values: &mut [f32; N_MELS]) {
    for x in values {
        *x = 10.0 * std::f32::consts::LOG10_2 * log2(if *x > FLOOR { *x } else { FLOOR });
    }
}

/// The logarithm of a positive normal number, off by at most 2e-7 of its size or of 1,
/// without a branch.
///
/// With x = m * 2^e and m next to 1: log2(x) = e + 2 / ln 2 * artanh((m - 1) / (m + 1)), by
/// the series of artanh.
#[inline(always)]
fn log2(x: f32) -> f32 {
    // The exponent such that m lies between the roots of 1/2 and of 2.
    let bits = x.to_bits().wrapping_sub(std::f32::consts::FRAC_1_SQRT_2.to_bits());
    let exponent = bits.cast_signed() >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((exponent << 23).cast_unsigned()));
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0))));
    exponent as f32 + 2.0 * std::f32::consts::LOG2_E * s * series
}

/// Raises what lies more than [`TOP_DB`] below the maximum to that depth; gives the maximum.
pub(crate) fn clip(db: &mut [f32]) -> f32 {
    let max = lanes::range(db).1;
    floor(db, max - TOP_DB);
    max
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn floor(db: &mut [f32], floor: f32) {
    for x in db {
        *x = if *x < floor { floor } else { *x };
    }
}

/// From levels re 1 with maximum `max` to levels re `reference`.
pub(crate) fn refer(db: &mut [f32], max: f32, reference: MelReference) {
    if reference == MelReference::Max {
        for x in db {
            *x -= max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_power_is_flat_in_all_wide_bands() {
        // Slaney's norm gives every triangle unit area over frequency in Hz.
        let mut db = Vec::new();
        MelBank::new().push(&[1.0; N_PADDED], &mut db);
        let bin_db = -10.0 * (SAMPLE_RATE_HZ as f32 / N_FFT as f32).log10();
        assert!(db[60..].iter().all(|x| (x - bin_db).abs() < 0.2), "{db:?}");
    }

    #[test]
    fn logarithms_are_those_of_the_library() {
        for i in 0..100_000 {
            let x = (-37.0 + 74.0 * f64::from(i) / 1e5).exp2() as f32;
            let exact = f64::from(x).log2();
            let error = (f64::from(log2(x)) - exact).abs();
            assert!(error <= 2e-7 * exact.abs().max(1.0), "{x}: {error}");
        }
        assert_eq!(log2(1.0), 0.0);
    }

    #[test]
    fn levels_are_clipped_below_the_maximum() {
        let mut db = [-3.0, -200.0, -40.0];
        let max = clip(&mut db);
        assert_eq!((max, db), (-3.0, [-3.0, -83.0, -40.0]));
        refer(&mut db, max, MelReference::One);
        assert_eq!(db[0], -3.0);
        refer(&mut db, max, MelReference::Max);
        assert_eq!(db, [0.0, -80.0, -37.0]);
    }
}
