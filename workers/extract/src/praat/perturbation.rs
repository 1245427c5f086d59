//! How much a voice wavers from period to period.
//!
//! Definitions: Praat's jitter (local) and shimmer (local): the mean difference between
//! neighbouring periods, or their amplitudes, over the mean.
//!
//! Always holds: a gap in voicing or a jump in period counts as no difference.

use super::sound::Sound;

/// Shortest and longest period in seconds.
const PERIOD_S: std::ops::RangeInclusive<f64> = 0.0001..=0.02;

/// Neighbouring periods differ by this factor at most.
const PERIOD_FACTOR: f64 = 1.3;

/// Neighbouring amplitudes differ by this factor at most.
const AMPLITUDE_FACTOR: f64 = 1.6;

/// The mean difference between neighbouring periods over the mean period.
pub(super) fn jitter(pulses: &[f64]) -> Option<f64> {
    let periods: Vec<f64> = pulses.windows(2).map(|t| t[1] - t[0]).collect();
    let pairs = periods.windows(2).filter(|p| are_neighbours(p[0], p[1]));
    let (n, sum) = pairs.fold((0, 0.0), |(n, sum), p| (n + 1, sum + (p[0] - p[1]).abs()));
    let used = periods.iter().enumerate().filter(|(i, _)| is_period(&periods, *i));
    let (n_used, total) = used.fold((0, 0.0), |(n, total), (_, p)| (n + 1, total + p));
    (n > 0 && n_used > 0).then(|| (sum / f64::from(n)) / (total / f64::from(n_used)))
}

/// How strong a pulse is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amplitude {
    /// Of the pulse, in seconds.
    time: f64,
    /// Root mean square around it.
    rms: f64,
}

/// The amplitude of the second of three pulses, if it stands between two periods.
pub(super) fn amplitude(sound: Sound<'_>, t: [f64; 3]) -> Option<Amplitude> {
    if !are_neighbours(t[1] - t[0], t[2] - t[1]) {
        return None;
    }
    let rms = hann_rms(sound, t[1], 0.2 * (t[1] - t[0]), 0.2 * (t[2] - t[1]))?;
    (rms > 0.0).then_some(Amplitude { time: t[1], rms })
}

/// The mean difference between neighbouring amplitudes over the mean amplitude.
pub(super) fn shimmer(amplitudes: &[Amplitude]) -> Option<f64> {
    let differences = amplitudes.windows(2).filter_map(|pair| {
        let [a, b] = [pair[0], pair[1]];
        let near = PERIOD_S.contains(&(b.time - a.time))
            && a.rms.max(b.rms) / a.rms.min(b.rms) <= AMPLITUDE_FACTOR;
        near.then_some((a.rms - b.rms).abs())
    });
    let (n, sum) = differences.fold((0, 0.0), |(n, sum), x| (n + 1, sum + x));
    if n == 0 {
        return None;
    }
    let counted = &amplitudes[..amplitudes.len() - 1];
    let mean = counted.iter().map(|a| a.rms).sum::<f64>() / counted.len() as f64;
    (mean > 0.0).then(|| sum / f64::from(n) / mean)
}

fn are_neighbours(a: f64, b: f64) -> bool {
    PERIOD_S.contains(&a) && PERIOD_S.contains(&b) && a.max(b) / a.min(b) <= PERIOD_FACTOR
}

/// Whether an interval is a period: of plausible length, and not an outlier between two
/// others.
fn is_period(periods: &[f64], i: usize) -> bool {
    let is_far = |j: usize| {
        let other = periods.get(j);
        other.is_some_and(|&p| periods[i].max(p) / periods[i].min(p) > PERIOD_FACTOR)
    };
    PERIOD_S.contains(&periods[i]) && !(i > 0 && is_far(i - 1) && is_far(i + 1))
}

/// Root mean square around `middle` under a Hann window of unequal halves, in seconds.
fn hann_rms(sound: Sound<'_>, middle: f64, left: f64, right: f64) -> Option<f64> {
    let clock = sound.clock;
    let first = clock.high(middle - left).max(0);
    let last = clock.low(middle + right).min(clock.n_samples as isize - 1);
    if last - first < 2 {
        return None;
    }
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut add = |samples: std::ops::Range<usize>, width: f64| {
        // cos((n + 1) r) = 2 cos(r) cos(n r) - cos((n - 1) r).
        let step = std::f64::consts::PI * clock.dx / width;
        let phase = std::f64::consts::PI * (clock.time(samples.start as f64) - middle) / width;
        let (mut before, mut cos, turn) = ((phase - step).cos(), phase.cos(), 2.0 * step.cos());
        for i in samples {
            let window = 0.5 + 0.5 * cos;
            sum += (sound.mixed(i) * window).powi(2);
            weights += window * window;
            (before, cos) = (cos, turn * cos - before);
        }
    };
    let (first, end) = (first as usize, last as usize + 1);
    let is_left = |i: &usize| clock.time(*i as f64) - middle < 0.0;
    let split = (clock.low(middle).max(0) as usize).clamp(first, end);
    let split = (split..end).find(|i| !is_left(i)).unwrap_or(end);
    add(first..split, left);
    add(split..end, right);
    Some((sum / weights).sqrt())
}
