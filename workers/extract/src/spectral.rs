//! Columns that summarise the frames' spectra: piptrack's peaks and the centroid.
//!
//! Definitions: `librosa.piptrack` (150 to 4000 Hz, threshold 0.1) with the mean, maximum
//! and minimum of its positive pitches; the mean of `librosa.feature.spectral_centroid`.
//!
//! Always holds: frames are taken one by one, in any order, and none is kept.

use voxage_contract::spec::{N_FFT, SAMPLE_RATE_HZ};

use crate::lanes;
use crate::spectrum::{Frame, N_BINS};

/// Width of a bin in Hz.
const BIN_HZ: f64 = SAMPLE_RATE_HZ as f64 / N_FFT as f64;

/// The bins at 150 Hz <= f < 4000 Hz.
const PITCH_BINS: std::ops::Range<usize> = 14..372;

/// A peak has to exceed this part of its frame's maximum.
const THRESHOLD: f32 = 0.1;

/// Running sums over frames.
#[derive(Default)]
pub(crate) struct Spectral {
    peaks: Peaks,
    centroid_sum_hz: f64,
    n_frames: usize,
}

/// The frequencies of the spectral peaks so far.
#[derive(Default)]
struct Peaks {
    n: usize,
    sum_hz: f64,
    range_hz: Option<(f64, f64)>,
}

impl Spectral {
    pub(crate) fn push(&mut self, frame: Frame<'_>) {
        self.peaks.push(frame.magnitude);
        self.centroid_sum_hz += centroid_hz(frame.magnitude);
        self.n_frames += 1;
    }

    /// Mean, maximum and minimum of the peaks' frequencies in Hz, if there are any.
    pub(crate) fn peaks_hz(&self) -> [Option<f64>; 3] {
        let Peaks { n, sum_hz, range_hz } = self.peaks;
        range_hz.map_or([None; 3], |(min, max)| [sum_hz / n as f64, max, min].map(Some))
    }

    /// Mean centroid in Hz.
    pub(crate) fn centroid_hz(&self) -> f64 {
        self.centroid_sum_hz / self.n_frames as f64
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

/// The magnitude-weighted mean frequency of a frame in Hz; 0 in silence.
fn centroid_hz(magnitude: &[f32]) -> f64 {
    const LANES: usize = 8;
    // One partial sum a lane: the compiler may then compute them side by side.
    let (mut sum, mut moment) = ([0.0f32; LANES], [0.0f32; LANES]);
    let (chunks, rest) = magnitude.as_chunks::<LANES>();
    let mut bin = std::array::from_fn::<f32, LANES, _>(|i| i as f32);
    for chunk in chunks {
        for lane in 0..LANES {
            sum[lane] += chunk[lane];
            moment[lane] += chunk[lane] * bin[lane];
            bin[lane] += LANES as f32;
        }
    }
    let first_rest = (N_BINS - rest.len()) as f64;
    let total = |lanes: [f32; LANES]| lanes.iter().map(|&x| f64::from(x)).sum::<f64>();
    let (mut sum, mut moment) = (total(sum), total(moment));
    for (i, &x) in rest.iter().enumerate() {
        sum += f64::from(x);
        moment += f64::from(x) * (first_rest + i as f64);
    }
    if sum > f64::from(f32::MIN_POSITIVE) { moment / sum * BIN_HZ } else { 0.0 }
}
