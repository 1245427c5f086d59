//! The moments at which the glottis closes.
//!
//! Definition: Praat's "Sound & Pitch: To PointProcess (cc)": from the highest peak in the
//! middle of a voiced stretch, period by period to both sides, to where the next period
//! resembles this one most.
//!
//! Always holds: pulses are in the order of time.

use super::pitch::Pitch;
use super::sound::Sound;

/// The pulses of a sound, in seconds.
pub(super) fn pulses(sound: Sound<'_>, pitch: &Pitch) -> Vec<f64> {
    let mut pulses = Vec::new();
    let peak = peak(sound);
    let (mut after, mut last_added) = (0.0, f64::NEG_INFINITY);
    while let Some((start, end)) = pitch.voiced_after(after) {
        let middle = 0.5 * (start + end);
        if let Some(hz) = pitch.at(middle) {
            let seed = extremum(sound, middle - 0.5 / hz, middle + 0.5 / hz);
            let mut time = seed;
            let mut before = Vec::new();
            while let Some(hz) = pitch.at(time) {
                let found = next_period(sound, time, 1.0 / hz, -1.25 / hz, -0.8 / hz);
                time = found.time.unwrap_or(time - 1.0 / hz);
                let ends = time < start;
                if found.is_pulse(ends, peak) && time - last_added > 0.8 / hz {
                    before.push(time);
                }
                if ends {
                    break;
                }
            }
            pulses.extend(before.into_iter().rev());
            pulses.push(seed);
            time = seed;
            while let Some(hz) = pitch.at(time) {
                let found = next_period(sound, time, 1.0 / hz, 0.8 / hz, 1.25 / hz);
                time = found.time.unwrap_or(time + 1.0 / hz);
                let ends = time > end;
                if found.is_pulse(ends, peak) {
                    pulses.push(time);
                    last_added = time;
                }
                if ends {
                    break;
                }
            }
        }
        after = end;
    }
    pulses
}

/// What resembles a period most.
struct Found {
    /// None if nothing does.
    time: Option<f64>,
    correlation: f64,
    /// Greatest magnitude of the samples there.
    peak: f64,
}

impl Found {
    /// At the ends of a voiced stretch more is asked of a pulse.
    fn is_pulse(&self, ends: bool, global_peak: f64) -> bool {
        if ends {
            self.correlation > 0.7 && self.peak > 0.023_333 * global_peak
        } else {
            self.correlation > 0.3 && (self.peak == 0.0 || self.peak > 0.01 * global_peak)
        }
    }
}

/// Where between `from` and `to` seconds from `time` the period around `time` comes again.
fn next_period(sound: Sound<'_>, time: f64, period: f64, from: f64, to: f64) -> Found {
    let half = 0.5 * period;
    let left = sound.nearest(time - half);
    let right = sound.nearest(time + half);
    let first = sound.low(time + from - half);
    let last = sound.high(time + to - half);
    let n = sound.len() as isize;
    let (mut r1, mut r2, mut r3) = (0.0, 0.0, 0.0);
    let mut best = (-1.0, 0.0, 0.0, 0, 0.0);
    for start in first..=last {
        let (mut norm1, mut norm2, mut product, mut peak) = (0.0, 0.0, 0.0, 0.0f64);
        for samples in sound.channels {
            for (i1, i2) in (left..=right).zip(start..) {
                if i1 < 0 || i1 >= n || i2 < 0 || i2 >= n {
                    continue;
                }
                let (a, b) = (f64::from(samples[i1 as usize]), f64::from(samples[i2 as usize]));
                norm1 += a * a;
                norm2 += b * b;
                product += a * b;
                peak = peak.max(b.abs());
            }
        }
        (r1, r2) = (r2, r3);
        r3 = if product == 0.0 { 0.0 } else { product / f64::sqrt(norm1 * norm2) };
        if r2 > best.0 && r2 >= r1 && r2 >= r3 {
            best = (r2, r1, r3, start - 1, peak);
        }
    }
    let (correlation, r1, r3, start, peak) = best;
    if correlation <= -1.0 {
        return Found { time: None, correlation: -1.0, peak: 0.0 };
    }
    let (mut correlation, mut position) = (correlation, start as f64);
    let curvature = 2.0 * correlation - r1 - r3;
    if curvature != 0.0 {
        let slope = 0.5 * (r3 - r1);
        correlation += 0.5 * slope * slope / curvature;
        position += slope / curvature;
    }
    Found { time: Some(time + (position - left as f64) * sound.dx), correlation, peak }
}

/// Greatest magnitude of the sound.
fn peak(sound: Sound<'_>) -> f64 {
    let samples = sound.channels.iter().flatten();
    f64::from(samples.fold(0.0f32, |peak, x| peak.max(x.abs())))
}

/// The time of the greatest magnitude between two times, in seconds.
fn extremum(sound: Sound<'_>, from: f64, to: f64) -> f64 {
    let first = sound.low(from).max(0);
    let last = sound.high(to).min(sound.len() as isize - 1);
    if first > last {
        return 0.5 * (from + to);
    }
    let (first, last) = (first as usize, last as usize);
    let value = |i: usize| sound.mixed(i);
    let (mut low, mut high) = (first, first);
    for i in first..=last {
        if value(i) < value(low) {
            low = i;
        }
        if value(i) > value(high) {
            high = i;
        }
    }
    let position = if value(low) == value(high) {
        0.5 * (first + last) as f64
    } else {
        let i = if value(low).abs() > value(high).abs() { low } else { high };
        if i == first || i == last {
            i as f64
        } else {
            let (left, middle, right) = (value(i - 1), value(i), value(i + 1));
            i as f64 + 0.5 * (right - left) / (2.0 * middle - left - right)
        }
    };
    sound.time(position)
}
