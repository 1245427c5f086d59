//! What a whole spectrogram comes to, in numbers of which no length is left: how it moves,
//! and what it sounds like on average.
//!
//! Always holds: the numbers follow from the spectrogram alone, and need no training.

use std::f64::consts::PI;
use std::sync::LazyLock;

use tch::{Kind, Tensor};
use voxage_contract::{MelView, N_MELS};

/// Cepstral coefficients whose movement is looked at.
const MOVING: usize = 13;

/// Coefficients that are averaged.
const AVERAGED: usize = 40;

/// Frames of a quarter of a second that movement is measured over: 4 of 23 ms to each side.
const LAG: usize = 4;

/// The coefficients, their first and their second differences.
const SIGNALS: usize = 3 * MOVING;

/// Numbers of [`Statistics::dynamics`]: the correlations of all pairs of signals.
pub const DYNAMICS: usize = SIGNALS * (SIGNALS - 1) / 2;

/// Numbers of [`Statistics::timbre`].
pub const TIMBRE: usize = AVERAGED;

/// Cells are no lower than this, in dB below the recording's greatest: what is below is the
/// room, not the voice.
const FLOOR_DB: f64 = -60.0;

/// Frames this much quieter than the loudest are no speech, in dB.
const ACTIVE_DB: f64 = 30.0;

/// If fewer frames are speech, all are taken.
const FEWEST_ACTIVE: usize = 20;

/// The share of the identity that correlations are drawn to, so that they can be inverted.
const SHRINKAGE: f64 = 0.05;

/// Eigenvalues are at least this part of the greatest.
const LEAST_EIGENVALUE: f64 = 1e-6;

/// A spectrogram in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// The upper triangle of the matrix logarithm of the correlations between cepstral
    /// coefficients and their first and second differences, over frames of speech: 741.
    pub dynamics: Vec<f64>,
    /// The mean cepstrum over frames of speech: 40.
    pub timbre: Vec<f64>,
}

impl Statistics {
    /// Those of a spectrogram; zeros if it has no frames.
    #[must_use]
    pub fn of(mel: MelView<'_>) -> Self {
        let cells = mel.to_db();
        let loudest = f64::from(cells.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let frames: Vec<Vec<f64>> = cells
            .chunks_exact(N_MELS)
            .map(|frame| frame.iter().map(|&db| f64::from(db) - loudest).collect())
            .collect();
        let cepstra: Vec<[f64; AVERAGED]> = frames.iter().map(|frame| cepstrum(frame)).collect();
        let active = active(&frames);
        if active.is_empty() {
            return Self { dynamics: vec![0.0; DYNAMICS], timbre: vec![0.0; TIMBRE] };
        }
        let mean = |band: usize| active.iter().map(|&i| cepstra[i][band]).sum::<f64>();
        let timbre = (0..AVERAGED).map(|band| mean(band) / active.len() as f64).collect();
        let signals: Vec<_> = active.iter().map(|&i| signals(&cepstra, i)).collect();
        Self { dynamics: log_triangle(&correlations(&signals)), timbre }
    }
}

/// The first coefficients of a frame's orthonormal cosine transform (DCT-II), above the floor.
fn cepstrum(frame: &[f64]) -> [f64; AVERAGED] {
    static BASIS: LazyLock<Vec<[f64; N_MELS]>> = LazyLock::new(|| {
        let n = N_MELS as f64;
        let cosine = |k: usize, band: usize| {
            let scale = if k == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
            scale * (PI / n * (band as f64 + 0.5) * k as f64).cos()
        };
        (0..AVERAGED).map(|k| std::array::from_fn(|band| cosine(k, band))).collect()
    });
    let floored: [f64; N_MELS] = std::array::from_fn(|band| frame[band].max(FLOOR_DB));
    std::array::from_fn(|k| BASIS[k].iter().zip(&floored).map(|(a, b)| a * b).sum())
}

/// The positions of frames of speech; all if there are hardly any.
fn active(frames: &[Vec<f64>]) -> Vec<usize> {
    let level = |frame: &Vec<f64>| {
        let power: f64 = frame.iter().map(|db| 10f64.powf(db / 10.0)).sum();
        10.0 * (power + 1e-10).log10()
    };
    let levels: Vec<f64> = frames.iter().map(level).collect();
    let loudest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let active: Vec<_> = (0..levels.len()).filter(|&i| levels[i] > loudest - ACTIVE_DB).collect();
    if active.len() < FEWEST_ACTIVE { (0..levels.len()).collect() } else { active }
}

/// The coefficients at a frame with their differences; 0 where those reach beyond an end.
fn signals(cepstra: &[[f64; AVERAGED]], i: usize) -> [f64; SIGNALS] {
    let reach = |lag: usize| {
        let before = i.checked_sub(lag)?;
        cepstra.get(i + lag).map(|after| (&cepstra[before], after))
    };
    let (near, far) = (reach(LAG), reach(2 * LAG));
    std::array::from_fn(|signal| match (signal / MOVING, signal % MOVING) {
        (0, k) => cepstra[i][k],
        (1, k) => near.map_or(0.0, |(before, after)| after[k] - before[k]),
        (_, k) => far.map_or(0.0, |(before, after)| after[k] - 2.0 * cepstra[i][k] + before[k]),
    })
}

/// Correlations between all signals, row-major `[39, 39]`, drawn towards the identity.
fn correlations(signals: &[[f64; SIGNALS]]) -> Vec<f64> {
    let n = signals.len() as f64;
    let mut means = [0.0; SIGNALS];
    for signal in signals {
        means.iter_mut().zip(signal).for_each(|(mean, x)| *mean += x / n);
    }
    let mut products = vec![0.0; SIGNALS * SIGNALS];
    for signal in signals {
        let centred: [f64; SIGNALS] = std::array::from_fn(|i| signal[i] - means[i]);
        for i in 0..SIGNALS {
            for j in 0..SIGNALS {
                products[i * SIGNALS + j] += centred[i] * centred[j];
            }
        }
    }
    let deviation = |i: usize| products[i * SIGNALS + i].sqrt() + 1e-9;
    let deviations: Vec<f64> = (0..SIGNALS).map(deviation).collect();
    let mut correlations = products;
    for i in 0..SIGNALS {
        for j in 0..SIGNALS {
            let cell = &mut correlations[i * SIGNALS + j];
            *cell /= deviations[i] * deviations[j];
            *cell = (1.0 - SHRINKAGE) * *cell + if i == j { SHRINKAGE } else { 0.0 };
        }
    }
    correlations
}

/// The upper triangle, without the diagonal, of a matrix's logarithm.
fn log_triangle(matrix: &[f64]) -> Vec<f64> {
    let side = SIGNALS as i64;
    let (values, vectors) = Tensor::from_slice(matrix).view([side, side]).linalg_eigh("L");
    let least = values.max() * LEAST_EIGENVALUE;
    let logs = values.maximum(&least).log();
    let log: Tensor = (&vectors * logs.unsqueeze(0)).matmul(&vectors.tr());
    let cells = Vec::<f64>::try_from(log.to_kind(Kind::Double).flatten(0, -1));
    let cells = cells.unwrap_or_default();
    let above = (0..SIGNALS).flat_map(|i| (i + 1..SIGNALS).map(move |j| i * SIGNALS + j));
    above.map(|cell| cells.get(cell).copied().unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use voxage_contract::{Mel, MelStorage};

    /// A spectrogram that the oracle's script makes too.
    fn mel(frames: usize) -> Mel {
        let cell = |i: usize| {
            let (frame, band) = ((i / N_MELS) as f64, (i % N_MELS) as f64);
            let wave = 20.0 * (frame * 0.21 + band * 0.05).sin() + 8.0 * (frame * 0.73).cos();
            let speech = if (frame as usize / 40) % 4 == 3 { -50.0 } else { 0.0 };
            (wave - band * 0.3 + speech - 30.0) as f32
        };
        Mel::encode(&(0..frames * N_MELS).map(cell).collect::<Vec<_>>(), MelStorage::F32)
    }

    /// Written by `tests/oracle/spectrum_statistics.py`: numpy and scipy.
    #[test]
    fn they_are_those_of_the_oracle() {
        let golden: serde_json::Value = serde_json::from_str(include_str!("golden.json")).unwrap();
        for (frames, expected) in golden.as_object().unwrap() {
            let found = Statistics::of(mel(frames.parse().unwrap()).view());
            assert_eq!((found.dynamics.len(), found.timbre.len()), (DYNAMICS, TIMBRE));
            for (name, found) in [("dynamics", &found.dynamics), ("timbre", &found.timbre)] {
                let expected = expected[name].as_array().unwrap();
                for (i, expected) in expected.iter().map(|x| x.as_f64().unwrap()).enumerate() {
                    // Every seventh number is kept.
                    let found = found[7 * i];
                    let close = (found - expected).abs() < 1e-3 * expected.abs().max(1.0);
                    assert!(close, "{frames} frames, {name} {}: {found} {expected}", 7 * i);
                }
            }
        }
    }

    #[test]
    fn without_frames_they_are_nothing() {
        let none = Statistics::of(Mel::encode(&[], MelStorage::U8).view());
        assert!(none.dynamics.iter().chain(&none.timbre).all(|x| *x == 0.0));
        let constant = Statistics::of(Mel::encode(&[-3.0; 40 * N_MELS], MelStorage::U8).view());
        assert!(constant.dynamics.iter().all(|x| x.is_finite()));
    }
}
