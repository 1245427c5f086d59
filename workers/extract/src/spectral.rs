//! What the frames' spectra say beside their mel levels: piptrack's peaks, the centroid,
//! the roll-off and the slope.
//!
//! Definitions: `librosa.piptrack` (150 to 4000 Hz, threshold 0.1) with the mean, maximum
//! and minimum of its positive pitches; `librosa.feature.spectral_centroid` and
//! `spectral_rolloff` (0.85).
//!
//! Always holds: frames are taken one by one, in order.

#[cfg(not(feature = "portable"))]
use multiversion::multiversion;
use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ};

use crate::lanes;
use crate::spectrum::{N_BINS, N_PADDED};

/// Width of a bin in Hz.
const BIN_HZ: f64 = SAMPLE_RATE_HZ as f64 / N_FFT as f64;

/// The bins at 150 Hz <= f < 4000 Hz.
const PITCH_BINS: std::ops::Range<usize> = 14..372;

/// A peak has to exceed this part of its frame's maximum.
const THRESHOLD: f32 = 0.1;

/// Part of a frame's magnitude that lies below the roll-off.
const ROLL_OFF: f64 = 0.85;

/// Octaves from 250 to 8000 Hz, which a spectrum's slope is read from: wide enough to hold
/// a harmonic of any voice.
const OCTAVES: usize = 5;
const FIRST_OCTAVE_HZ: f64 = 250.0;

/// The first bin that a constant does not reach under a Hann window: 21.5 Hz. From it on
/// there are N_FFT / 2 values with the padding: whole vectors.
const FIRST_HEARD: usize = 2;

/// Running sums over frames, and what each was like.
#[derive(Default)]
pub(crate) struct Spectral {
    peaks: Peaks,
    /// Frequency in Hz of each frame's centroid above 20 Hz; 0 in silence.
    pub(crate) centroids_hz: Vec<f32>,
    /// Frequency in Hz of each frame's roll-off; 0 in silence.
    pub(crate) roll_offs_hz: Vec<f32>,
    /// Slope of each frame in dB an octave.
    pub(crate) slopes_db: Vec<f32>,
    centroid_sum_hz: f64,
    magnitude: Vec<f32>,
}

/// The frequencies of the spectral peaks so far.
#[derive(Default)]
struct Peaks {
    n: usize,
    sum_hz: f64,
    range_hz: Option<(f64, f64)>,
}

impl Spectral {
    /// Takes the power spectrum of the next frame; `shape` asks for its centroid,
    /// roll-off and slope to be kept.
    pub(crate) fn push(&mut self, power: &[f32], shape: bool) {
        self.magnitude.resize(N_PADDED, 0.0);
        roots(power, &mut self.magnitude);
        self.peaks.push(&self.magnitude[..N_BINS]);
        let (sum, moment) = moments(&self.magnitude);
        let is_sound = sum > f64::from(f32::MIN_POSITIVE);
        let centroid_hz = if is_sound { moment / sum * BIN_HZ } else { 0.0 };
        self.centroid_sum_hz += centroid_hz;
        if shape {
            // librosa's centroid counts a constant in; what names promise does not.
            let heard = &self.magnitude[FIRST_HEARD..FIRST_HEARD + N_FFT / 2];
            let (sum, moment) = moments(heard);
            let is_sound = sum > f64::from(f32::MIN_POSITIVE);
            let hz = |bin: f64| ((bin + FIRST_HEARD as f64) * BIN_HZ) as f32;
            let centroid_hz = if is_sound { hz(moment / sum) } else { 0.0 };
            let bin = roll_off(heard, ROLL_OFF * sum) as f64;
            self.centroids_hz.push(centroid_hz);
            self.roll_offs_hz.push(if is_sound { hz(bin) } else { 0.0 });
            self.slopes_db.push(slope_db(power) as f32);
        }
    }

    /// Mean, maximum and minimum of the peaks' frequencies in Hz, if there are any.
    pub(crate) fn peaks_hz(&self) -> [Option<f64>; 3] {
        let Peaks { n, sum_hz, range_hz } = self.peaks;
        range_hz.map_or([None; 3], |(min, max)| [sum_hz / n as f64, max, min].map(Some))
    }

    /// Mean centroid of `n_frames` frames in Hz.
    pub(crate) fn centroid_hz(&self, n_frames: usize) -> f64 {
        self.centroid_sum_hz / n_frames as f64
    }
}

impl Peaks {
    fn push(&mut self, magnitude: &[f32]) {
        let threshold = THRESHOLD * lanes::range(magnitude).1;
        let around = &magnitude[PITCH_BINS.start - 1..=PITCH_BINS.end];
        for (bin, x) in PITCH_BINS.zip(around.windows(3)) {
            // Bins at or below the threshold count as 0, also as neighbours: no difference.
            if x[1] > threshold && x[1] > x[0] && x[1] >= x[2] {
                let hz = (bin as f64 + vertex(x[0], x[1], x[2])) * BIN_HZ;
                let (min, max) = self.range_hz.unwrap_or((hz, hz));
                self.range_hz = Some((min.min(hz), max.max(hz)));
                self.sum_hz += hz;
                self.n += 1;
            }
        }
    }
}

/// Where the parabola through three neighbours has its vertex, relative to the middle one.
fn vertex(left: f32, middle: f32, right: f32) -> f64 {
    let curvature = f64::from(left + right) - 2.0 * f64::from(middle);
    let slope = f64::from(right - left) / 2.0;
    if slope.abs() >= curvature.abs() { 0.0 } else { -slope / curvature }
}

#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn roots(power: &[f32], magnitude: &mut [f32]) {
    for (magnitude, power) in magnitude.iter_mut().zip(power) {
        *magnitude = power.sqrt();
    }
}

/// The sum of the magnitudes, plain and times their bins.
#[cfg_attr(not(feature = "portable"), multiversion(targets = "simd"))]
fn moments(magnitude: &[f32]) -> (f64, f64) {
    const LANES: usize = 16;
    let (mut sum, mut moment) = ([0.0f32; LANES], [0.0f32; LANES]);
    let mut bin = std::array::from_fn::<f32, LANES, _>(|i| i as f32);
    for chunk in magnitude.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            sum[lane] += chunk[lane];
            moment[lane] += chunk[lane] * bin[lane];
            bin[lane] += LANES as f32;
        }
    }
    let total = |lanes: [f32; LANES]| lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
    (total(sum), total(moment))
}

/// The slope of the least-squares line through the levels of the octaves, in dB an octave.
fn slope_db(power: &[f32]) -> f64 {
    let bin = |octave: usize| (FIRST_OCTAVE_HZ / BIN_HZ * f64::from(1 << octave)).round() as usize;
    let level_db = |octave: usize| {
        let bins = bin(octave)..bin(octave + 1);
        let n = bins.len() as f64;
        10.0 * (lanes::sum(&power[bins]) / n).max(f64::from(f32::MIN_POSITIVE)).log10()
    };
    let middle = (OCTAVES - 1) as f64 / 2.0;
    let (moment, square) = (0..OCTAVES).fold((0.0, 0.0), |(moment, square), octave| {
        let x = octave as f64 - middle;
        (moment + x * level_db(octave), square + x * x)
    });
    moment / square
}

/// The first bin at which the sum of the magnitudes reaches `part`.
fn roll_off(magnitude: &[f32], part: f64) -> usize {
    const STRIDE: usize = 32;
    let (mut sum, mut first) = (0.0, 0);
    for stride in magnitude.chunks(STRIDE) {
        let next = sum + lanes::sum(stride);
        if next >= part {
            break;
        }
        (sum, first) = (next, first + STRIDE);
    }
    for (bin, &x) in magnitude.iter().enumerate().skip(first) {
        sum += f64::from(x);
        if sum >= part {
            return bin;
        }
    }
    magnitude.len() - 1
}
